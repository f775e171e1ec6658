//go:build !walletonly

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strconv"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/secretfile"
	"github.com/jeton-auth/jeton/internal/server"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// backupFlags are the flags of 'jeton backup'.
type backupFlags struct {
	place place
	out   output
	force bool
}

// backupCommand implements 'jeton backup'. The server makes the backup, or this process if no
// server is running; either way it is one read transaction, which blocks no writer.
func backupCommand() *cobra.Command {
	var b backupFlags

	c := &cobra.Command{
		Use:   "backup FILE",
		Short: "Write everything that the server stores into one file",
		Args:  exactArgs("FILE"),
		Long: `Write everything that the server stores into one file, as of one moment, with the server
running or stopped; - is standard output. 'jeton restore' restores it into SQLite or
PostgreSQL, whichever it came from. The file has a version and a checksum, and is read back
completely before it gets its name.

A database that an earlier version has written is backed up as it is, not upgraded: that
version can restore the file as well.

Protect the file like the passwords: it holds their hashes, and is readable by you only.
keys.secret is not in it: keep a copy of that elsewhere.`,
		Example: `  jeton backup /backup/jeton-monday
  jeton backup - | age -r age1qqqsyqcyq5rqwzqfpg9scrgwpugpzysn4vqsrr9h7ahpnpjwvq3sgsyetd > jeton.age`,
		RunE: func(c *cobra.Command, args []string) error { return b.run(c, args[0]) },
	}

	return withFlags(c, &b.place, &b.out, &b)
}

func (b *backupFlags) flags(c *cobra.Command) {
	c.Flags().BoolVar(&b.force, "force", false, "write to a terminal, or replace an existing file")
}

// run refuses a terminal and an existing file before it opens the data directory. A backup to
// standard output is not read back here: the checksum at its end lets 'jeton restore' refuse
// an incomplete one.
func (b *backupFlags) run(c *cobra.Command, name string) error {
	if name == "-" && !b.force && term.IsTerminal(int(os.Stdout.Fd())) {
		return usage{errors.New("a backup does not belong on a terminal: name a file, or use --force")}
	}
	if _, err := os.Lstat(name); name != "-" && err == nil && !b.force {
		return fmt.Errorf("%w: %s exists; --force replaces it", jeton.ErrConflict, name)
	}

	ctx := c.Context()
	write, end, err := b.source(ctx)
	if err != nil {
		return err
	}
	defer end()

	if name == "-" {
		return write(ctx, c.OutOrStdout(), func(int64) {})
	}

	show := newProgress(c.ErrOrStderr())
	summary, err := backupTo(ctx, write, name, show)
	show.end()

	if err != nil {
		return interrupted(ctx, err, "the backup was interrupted; no file was written")
	}

	return printBackup(c, &b.out, name, summary)
}

// backupSource writes a backup to w, and reports the bytes so far.
type backupSource func(ctx context.Context, w io.Writer, report func(int64)) error

// source returns the server as the source, or this process if no server is running. The returned
// function closes it. A database with an older schema stays as it is: this may be the backup before
// its upgrade.
func (b *backupFlags) source(ctx context.Context) (backupSource, func(), error) {
	ctl, err := openControl(ctx, &b.place)
	if err == nil {
		return fetching(ctl), ctl.end, nil
	}

	if !errors.Is(err, server.ErrOldSchema) {
		return nil, nil, err
	}

	conf, err := b.place.server()
	older := func(ctx context.Context, w io.Writer, report func(int64)) error {
		return server.BackupOlder(ctx, conf, &counted{w: w, report: report})
	}

	return older, func() {}, err
}

// fetching returns the API as a source.
func fetching(ctl *control) backupSource {
	return func(ctx context.Context, w io.Writer, report func(int64)) error {
		return fetchBackup(ctx, ctl, w, report)
	}
}

// counted reports how many bytes have been written.
type counted struct {
	w      io.Writer
	report func(int64)
	n      int64
}

func (c *counted) Write(b []byte) (int, error) {
	n, err := c.w.Write(b)
	c.n += int64(n)
	c.report(c.n)

	return n, err
}

// printBackup prints the number of rows of each table, as they were read back from the file,
// not as they were written.
func printBackup(c *cobra.Command, out *output, name string, s server.Summary) error {
	var rows [][]string
	for _, t := range s.Tables {
		rows = append(rows, []string{t.Table, strconv.FormatInt(t.Rows, 10)})
	}

	if err := out.print(c.OutOrStdout(), s, []string{"TABLE", "ROWS"}, rows); err != nil {
		return err
	}

	if !out.json {
		fmt.Fprintf(c.OutOrStdout(), "backed up %d rows to %s, and read them back\n", s.Rows(), name)
	}

	return nil
}

// backupTo writes a backup beside the target, reads it back completely, and renames it. The
// target is complete or not there at all; a crash leaves at most NAME.part, which the next backup
// to the same name removes.
func backupTo(ctx context.Context, write backupSource, name string, show *progress) (s server.Summary, err error) {
	part := name + ".part"
	if err := os.Remove(part); err != nil && !errors.Is(err, fs.ErrNotExist) { // of an interrupted backup
		return s, err
	}

	f, err := secretfile.Create(part)
	if err != nil {
		return s, fmt.Errorf("create file for the backup: %w", err)
	}

	err = write(ctx, f, show.bytes)
	if err == nil {
		err = f.Sync() // before the rename: a power cut must not leave the name with an empty file
	}
	err = errors.Join(err, f.Close())

	if err == nil {
		s, err = server.CheckBackup(ctx, part)
	}
	if err == nil {
		err = os.Rename(part, name)
	}
	if err != nil {
		return s, errors.Join(fmt.Errorf("write backup: %w", err), os.Remove(part))
	}

	return s, syncDirectory(filepath.Dir(name))
}

// fetchBackup copies a backup from the server to w, and reports the bytes so far.
func fetchBackup(ctx context.Context, ctl *control, w io.Writer, report func(int64)) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://control/api/v1/backup", nil)
	if err != nil {
		return err
	}

	answer, err := ctl.http.Do(r)
	if err != nil {
		return fmt.Errorf("%w: call the server: %w", jeton.ErrUnavailable, err)
	}
	defer answer.Body.Close()

	if answer.StatusCode >= 400 {
		return problem(answer)
	}

	var n int64

	b := make([]byte, 256<<10)
	for {
		got, err := answer.Body.Read(b)
		n += int64(got)

		_, failed := w.Write(b[:got])
		if failed != nil {
			return failed // of this machine: the disk is full, or the reader of a pipe has ended
		}
		if got > 0 {
			report(n)
		}

		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%w: the backup is incomplete; see the server's log: %w", jeton.ErrUnavailable, err)
		}
	}
}

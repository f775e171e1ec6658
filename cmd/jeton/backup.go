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
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/server"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

func backupCommand() *cobra.Command {
	var p place
	var out output
	var force bool

	c := &cobra.Command{
		Use:   "backup FILE",
		Short: "Write everything that the server stores into one file",
		Args:  exactArgs("FILE"),
		Long: `Write everything that the server stores into one file, as of one moment, with the server
running or stopped; - is standard output. 'jeton restore' restores it into SQLite or
PostgreSQL, whichever it came from. The file has a version and a checksum, and is read back
completely before it gets its name.

Protect the file like the passwords: it holds their hashes, and is readable by you only.
keys.secret is not in it: keep a copy of that elsewhere.`,
		Example: `  jeton backup /backup/jeton-monday
  jeton backup - | age -r age1qqqsyqcyq5rqwzqfpg9scrgwpugpzysn4vqsrr9h7ahpnpjwvq3sgsyetd > jeton.age`,
	}

	c.RunE = func(c *cobra.Command, args []string) error {
		name := args[0]
		if name == "-" && !force && term.IsTerminal(int(os.Stdout.Fd())) {
			return usage{errors.New("a backup does not belong on a terminal: name a file, or use --force")}
		}
		if _, err := os.Lstat(name); name != "-" && err == nil && !force {
			return fmt.Errorf("%w: %s exists; --force replaces it", jeton.ErrConflict, name)
		}

		return withControl(&p, func(ctx context.Context, c *cobra.Command, _ []string, ctl *control) error {
			if name == "-" {
				return fetchBackup(ctx, ctl, c.OutOrStdout(), func(int64) {})
			}

			show := newProgress(c.ErrOrStderr())
			summary, err := backupTo(ctx, ctl, name, show)
			show.end()

			if err != nil {
				return interrupted(ctx, err, "the backup was interrupted; no file was written")
			}

			return printBackup(c, &out, name, summary)
		})(c, args)
	}

	p.flags(c)
	out.flags(c)
	c.Flags().BoolVar(&force, "force", false, "write to a terminal, or replace an existing file")

	return c
}

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

// backupTo writes a backup beside the target, reads it back completely, and renames it.
func backupTo(ctx context.Context, ctl *control, name string, show *progress) (s server.Summary, err error) {
	part := name + ".part"
	if err := os.Remove(part); err != nil && !errors.Is(err, fs.ErrNotExist) { // of an interrupted backup
		return s, err
	}

	f, err := os.OpenFile(part, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return s, fmt.Errorf("create file for the backup: %w", err)
	}

	err = fetchBackup(ctx, ctl, f, show.bytes)
	if err == nil {
		err = f.Sync()
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

// syncDirectory makes a new name in a directory durable, if the system supports that.
func syncDirectory(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()

	if err := d.Sync(); err != nil && !errors.Is(err, errors.ErrUnsupported) {
		return err
	}

	return nil
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
		if _, werr := w.Write(b[:got]); werr != nil {
			return werr
		}

		n += int64(got)
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

func restoreCommand() *cobra.Command {
	var p place
	var out output
	var r server.Restoring

	c := &cobra.Command{
		Use:   "restore FILE",
		Short: "Replace everything that the server stores with a backup",
		Args:  exactArgs("FILE"),
		Long: `Replace everything that the server stores with a backup. Stop the server first, on all
nodes. The file is read completely first: a file that is truncated, damaged, foreign or from
a newer version is refused, and nothing is changed. Then everything is replaced in one step.
The previous SQLite database is kept beside the new one; a PostgreSQL database must be
empty, or is overwritten with --replace.

The backup does not know what was spent or revoked after it was made. So the restore starts
a new epoch: all sessions and tokens end, all signing keys are revoked, assertions of clients
from before now are refused, and no number is used twice. Passwords, users and clients are as
they were when the backup was made.

With --trust-credentials sessions, tokens and signing keys stay: what was spent or revoked
since is VALID AGAIN.`,
		Example: `  jeton restore /backup/jeton-monday
  jeton restore jeton-monday --config jeton.yaml --replace --output json`,
	}

	c.RunE = func(c *cobra.Command, args []string) error {
		conf, dir, err := p.open()
		if err != nil {
			return err
		}

		show := newProgress(c.ErrOrStderr())
		r.Path = args[0]
		r.Report = show.rows

		done, err := server.Restore(c.Context(), server.Config{
			File:    conf,
			DataDir: dir,
			Version: version(),
			Log:     warnings(),
		}, r)

		show.end()

		if err != nil {
			return interrupted(c.Context(), err, "the restore was interrupted; nothing was changed")
		}

		made := done.Backup.Made.UTC().Format(time.RFC3339)
		if out.json {
			err = printJSON(c.OutOrStdout(), done)
		} else {
			fmt.Fprintf(c.OutOrStdout(), "restored %d rows from a backup of %s\n", done.Backup.Rows(), made)
			if done.Kept != "" {
				fmt.Fprintf(c.OutOrStdout(), "the previous database is now %s\n", done.Kept)
			}
			printRenewed(c.OutOrStdout(), done.Renewed, r.Trust)
		}

		warnRestored(c.ErrOrStderr(), r.Trust, made)

		return err
	}

	p.flags(c)
	out.flags(c)
	c.Flags().BoolVar(
		&r.Trust,
		"trust-credentials",
		false,
		"keep sessions, tokens and signing keys: what was spent or revoked since is valid again",
	)

	c.Flags().BoolVar(&r.Replace, "replace", false, "overwrite a PostgreSQL database that is not empty")

	return c
}

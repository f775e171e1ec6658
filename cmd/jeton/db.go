package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/jeton-auth/jeton/internal/config"
	"github.com/jeton-auth/jeton/internal/server"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

func dbCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "db", Short: "Look after the database: copy it to another one, begin a new epoch",
		Example: `  jeton db copy --from sqlite:/var/lib/jeton --to postgres://jeton@db.example/jeton
  jeton db epoch`,
	}

	c.AddCommand(dbCopy(), dbEpoch())
	return c
}

func dbCopy() *cobra.Command {
	var p place
	var out output
	var from, to string

	c := &cobra.Command{
		Use:   "copy",
		Short: "Make a database equal to another one, of either engine",
		Args:  noArgs,
		Long: `Make a database equal to another one: SQLite to PostgreSQL, back, or to its own kind. An
end is sqlite:FOLDER (a data folder), a postgres:// URL, or the word config for the
database that the configuration names. Where PostgreSQL wants a password, put it into
PGPASSWORD or ~/.pgpass, where nobody reads it off the command line, or into the
configuration.

The source may be served from meanwhile; what is copied is as of the moment at which the
copy began. Then stop it and run the same command again: only what differs is copied.
The copy may be broken off at any moment and is run again in the same way. Until it has
come to its end no server starts on the destination, which has to be empty or a copy of
the same source that no server has started on. In the end both sides are read from
beginning to end, and what every table holds is compared and printed.

The file keys.secret is not in the database: take it along.`,
		Example: `  jeton db copy --from sqlite:/var/lib/jeton --to postgres://jeton@db.example/jeton
  jeton db copy --from config --to sqlite:/srv/jeton --output json`,
	}

	c.RunE = func(c *cobra.Command, _ []string) error {
		source, err := databaseEnd("from", from, &p)
		if err != nil {
			return err
		}

		target, err := databaseEnd("to", to, &p)
		if err != nil {
			return err
		}

		asJSON, err := out.json()
		if err != nil {
			return err
		}

		show := newProgress(c.ErrOrStderr())
		done, err := server.CopyDatabase(c.Context(), server.Config{
			Version: version(),
			Log:     warnings(),
		}, source, target, show.rows)
		show.end()

		if err != nil {
			return interrupted(c.Context(), err, "the copy was broken off; the same command goes on with it")
		}
		if asJSON {
			return printJSON(c.OutOrStdout(), done)
		}

		return printCopied(c, &out, done)
	}

	p.flags(c)
	out.flags(c)
	c.Flags().StringVar(&from, "from", "", "what is copied: sqlite:FOLDER, postgres://USER@HOST/NAME, or config")
	c.Flags().StringVar(&to, "to", "", "what becomes equal to it: the same")

	return c
}

func printCopied(c *cobra.Command, out *output, done server.Copied) error {
	var rows [][]string
	for _, t := range done.Tables {
		rows = append(rows, []string{t.Table, strconv.FormatInt(t.Rows, 10), t.SHA256})
	}

	if err := out.print(c.OutOrStdout(), done, []string{"TABLE", "ROWS", "SHA-256 OF BOTH SIDES"}, rows); err != nil {
		return err
	}

	w := c.OutOrStdout()
	fmt.Fprintf(w, "equal: %d rows written, %d removed\n", done.Written, done.Removed)

	if done.Served {
		fmt.Fprintln(
			w,
			"A server is up on the source, and what it writes from now on is not in the copy: stop it,\nrun the same command again, which copies what differs, and only then start on the copy.",
		)
		return nil
	}

	fmt.Fprintln(
		w,
		"No server is up on the source: nothing is missing. Take keys.secret along, start on the copy,\nand do not start on the source again: what is spent here would not be spent there.",
	)

	return nil
}

// databaseEnd reads what a flag names.
func databaseEnd(flag, text string, p *place) (server.End, error) {
	if folder, ok := strings.CutPrefix(text, "sqlite:"); ok && folder != "" {
		folder = strings.TrimPrefix(folder, "//")
		if filepath.Base(folder) == filepath.Base(server.DataFile("")) {
			folder = filepath.Dir(folder)
		}

		dir, err := filepath.Abs(folder)
		return server.End{DataDir: dir}, err
	}

	switch {
	case text == "config":
		conf, dir, err := p.open()
		if err != nil {
			return server.End{}, err
		}
		return server.End{Database: conf.Database, DataDir: dir}, nil
	case strings.HasPrefix(text, "postgres://"), strings.HasPrefix(text, "postgresql://"):
		conf, err := config.Default(func(name string) (string, bool) {
			if name == "JETON_DATABASE" {
				return text, true
			}
			return os.LookupEnv(name)
		})
		if err != nil {
			return server.End{}, usage{fmt.Errorf("--%s: %w", flag, err)}
		}

		return server.End{Database: conf.Database}, nil
	}

	return server.End{}, usage{fmt.Errorf(
		"--%s is sqlite:FOLDER, postgres://USER@HOST/NAME, or config, not %q",
		flag,
		secretless(text),
	)}
}

// secretless keeps a password that came in a wrong place off the screen.
func secretless(text string) string {
	i := strings.LastIndex(text, "@")
	if i >= 0 {
		return "…" + text[i:]
	}
	return text
}

func dbEpoch() *cobra.Command {
	var p place
	var out output
	var trust bool

	c := &cobra.Command{
		Use:   "epoch",
		Short: "Begin a new epoch of a database that was brought back by other means",
		Args:  noArgs,
		Long: `Begin a new epoch of a database that was brought back from the past: by pg_restore, from a
snapshot of a disk, by a failover that has lost what was committed last. 'jeton restore'
does this by itself.

Such a database does not know what was spent, ended or revoked in the time that it has
lost. So all sessions and tokens end, all signing keys are revoked, assertions of clients
from before now are refused, and no number that may have been given is given again. The
server has to be stopped, on all nodes.

With --trust-credentials everything stays as it is in the database: what was spent or
revoked since is GOOD AGAIN.`,
		Example: `  pg_restore --dbname jeton jeton.dump && jeton db epoch --config jeton.yaml
  jeton db epoch --data-dir /var/lib/jeton`,
	}

	c.RunE = func(c *cobra.Command, _ []string) error {
		conf, dir, err := p.open()
		if err != nil {
			return err
		}

		asJSON, err := out.json()
		if err != nil {
			return err
		}

		done, err := server.NewEpoch(c.Context(), server.Config{
			File:    conf,
			DataDir: dir,
			Version: version(),
			Log:     warnings(),
		}, trust)
		if err != nil {
			return err
		}

		if asJSON {
			err = printJSON(c.OutOrStdout(), done)
		} else {
			printRenewed(c.OutOrStdout(), done, trust)
		}

		warnOfThePast(c.ErrOrStderr(), trust, "")

		return err
	}

	p.flags(c)
	out.flags(c)
	c.Flags().BoolVar(
		&trust,
		"trust-credentials",
		false,
		"keep sessions, tokens and signing keys: what was spent or revoked since is good again",
	)

	return c
}

func printRenewed(w io.Writer, r server.Renewed, trust bool) {
	fmt.Fprintf(w, "epoch %d has begun\n", r.Epoch)
	if !trust {
		fmt.Fprintf(w, "ended: %d sessions, %d tokens; revoked: %d signing keys\n", r.Sessions, r.Tokens, r.Keys)
	}
}

// warnOfThePast says what nobody should have to find out. when is the time of the past, or "".
func warnOfThePast(w io.Writer, trust bool, when string) {
	if when == "" {
		when = "the moment that the database is from"
	}

	fmt.Fprintf(w, `
Everything is as of %s. What was changed since then is as it was before:
  - passwords that were changed are the old ones again
  - people and clients who were removed or disabled are back, those who were added are gone
  - keys and secrets of clients that were retired or replaced are good again
  - logins since then do not count for the terms of the next login
Do what was done since then once more, before you let anybody in.
`, when)

	if trust {
		fmt.Fprint(w, `
WARNING: THE CREDENTIALS ARE TRUSTED. Sessions that were logged out since then are open again,
tokens that were revoked are good again, and uses that were spent can be spent AGAIN.
`)
	}
}

// warnings is a log for a command of a person.
func warnings() *slog.Logger {
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
}

// interrupted says what Ctrl-C has left behind.
func interrupted(ctx context.Context, err error, left string) error {
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return exit{exitFailure, left}
	}
	return err
}

// progress tells a person at a terminal how far something has come, and programs nothing.
type progress struct {
	w     io.Writer
	wrote bool
}

func newProgress(w io.Writer) *progress {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return &progress{}
	}
	return &progress{w: w}
}

func (p *progress) rows(at server.Progress) {
	if p.w != nil {
		fmt.Fprintf(p.w, "\r\x1b[K%s: %d of %d rows", at.Table, at.Rows, at.Of)
		p.wrote = true
	}
}

func (p *progress) bytes(n int64) {
	if p.w != nil {
		fmt.Fprintf(p.w, "\r\x1b[K%d MiB", n>>20)
		p.wrote = true
	}
}

// end clears the line.
func (p *progress) end() {
	if p.wrote {
		fmt.Fprint(p.w, "\r\x1b[K")
	}
}

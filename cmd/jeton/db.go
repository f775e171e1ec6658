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
		Use:   "db",
		Short: "Maintain the database: copy it to another one, start a new epoch",
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
		Short: "Copy a database to another one, of either engine",
		Args:  noArgs,
		Long: `Copy a database to another one: SQLite to PostgreSQL, back, or to the same engine. Each is
sqlite:DIRECTORY (a data directory), a postgres:// URL, or the word config for the database
that the configuration names. Put PostgreSQL's password into PGPASSWORD or ~/.pgpass, so
that it is not on the command line, or into the configuration.

A server may run on the source meanwhile; the copy is as of the moment at which it began.
Then stop the server and run the same command again: only the differences are copied. An
interrupted copy can be run again and continues. No server starts on an unfinished copy. The
destination must be empty, or a copy of the same source on which no server has started. At
the end both databases are read completely and compared table by table.

The file keys.secret is not in the database: copy it, too.`,
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

		show := newProgress(c.ErrOrStderr())
		done, err := server.CopyDatabase(c.Context(), server.Config{
			Version: version(),
			Log:     warnings(),
		}, source, target, show.rows)

		show.end()

		if err != nil {
			return interrupted(c.Context(), err, "the copy was interrupted; run the same command again to continue")
		}
		if out.json {
			return printJSON(c.OutOrStdout(), done)
		}

		return printCopied(c, &out, done)
	}

	p.flags(c)
	out.flags(c)
	c.Flags().StringVar(&from, "from", "", "source: sqlite:DIRECTORY, postgres://USER@HOST/NAME, or config")
	c.Flags().StringVar(&to, "to", "", "destination, in the same form")

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
			"A server is running on the source, and the copy lacks what it writes from now on. Stop it,\n"+
				"run the same command again, which copies the differences, and then start on the copy.",
		)

		return nil
	}

	fmt.Fprintln(
		w,
		"No server is running on the source: the copy is complete. Copy keys.secret, too, start on the\n"+
			"copy, and do not start on the source again: uses spent on one are not spent on the other.",
	)

	return nil
}

// databaseEnd parses the source or destination of a copy.
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
		"invalid --%s %q: want sqlite:DIRECTORY, postgres://USER@HOST/NAME, or config",
		flag,
		withoutSecret(text),
	)}
}

// withoutSecret removes a password from an invalid URL, so that it is not printed.
func withoutSecret(text string) string {
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
		Short: "Start a new epoch of a database that was restored by other means",
		Args:  noArgs,
		Long: `Start a new epoch of a database that was restored to an earlier state: by pg_restore, from a
disk snapshot, or by a failover that has lost the last commits. 'jeton restore' includes
this.

Such a database does not know what was spent or revoked in the time that it has lost. So all
sessions and tokens end, all signing keys are revoked, assertions of clients from before now
are refused, and no number that may have been used is used again. Stop the server first, on
all nodes.

With --trust-credentials sessions, tokens and signing keys stay: what was spent or revoked
since is VALID AGAIN.`,
		Example: `  pg_restore --dbname jeton jeton.dump && jeton db epoch --config jeton.yaml
  jeton db epoch --data-dir /var/lib/jeton`,
	}

	c.RunE = func(c *cobra.Command, _ []string) error {
		conf, dir, err := p.open()
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

		if out.json {
			err = printJSON(c.OutOrStdout(), done)
		} else {
			printRenewed(c.OutOrStdout(), done, trust)
		}

		warnRestored(c.ErrOrStderr(), trust, "")

		return err
	}

	p.flags(c)
	out.flags(c)
	c.Flags().BoolVar(
		&trust,
		"trust-credentials",
		false,
		"keep sessions, tokens and signing keys: what was spent or revoked since is valid again",
	)

	return c
}

func printRenewed(w io.Writer, r server.Renewed, trust bool) {
	fmt.Fprintf(w, "started epoch %d\n", r.Epoch)
	if !trust {
		fmt.Fprintf(w,
			"ended %s and %s; revoked %s\n",
			plural(r.Sessions, "session"),
			plural(r.Tokens, "token"),
			plural(r.Keys, "signing key"),
		)
	}
}

// warnRestored warns the operator of what a restore has undone. when is the time of the restored
// state, or "".
func warnRestored(w io.Writer, trust bool, when string) {
	if when == "" {
		when = "the time of the restored database"
	}

	fmt.Fprintf(w, `
Everything is as of %s. Every change since then is undone:
  - changed passwords are the old ones again
  - users and clients that were deleted or disabled are back, those that were added are gone
  - keys and secrets of clients that were retired or replaced are valid again
  - logins since then do not count for re-login terms
Repeat those changes before you let users in.
`, when)

	if trust {
		fmt.Fprint(w, `
WARNING: THE CREDENTIALS ARE TRUSTED. Sessions that were logged out since then are valid again,
revoked tokens are valid again, and spent uses can be spent AGAIN.
`)
	}
}

// warnings is the log of a command: warnings and errors, on standard error.
func warnings() *slog.Logger {
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
}

// interrupted returns an error that says what Ctrl-C has left behind.
func interrupted(ctx context.Context, err error, left string) error {
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return exit{exitFailure, left}
	}
	return err
}

// progress shows progress on a terminal, and nothing otherwise.
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

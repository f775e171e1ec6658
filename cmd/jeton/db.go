//go:build !walletonly

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/jeton-auth/jeton/internal/config"
	"github.com/jeton-auth/jeton/internal/server"

	"github.com/spf13/cobra"
)

// dbCommand implements 'jeton db': the commands that open a database themselves, not through
// the API of a server.
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

// copyFlags are the flags of 'jeton db copy'.
type copyFlags struct {
	place    place
	out      output
	from, to string
}

// dbCopy implements 'jeton db copy'.
func dbCopy() *cobra.Command {
	var f copyFlags

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
		RunE: func(c *cobra.Command, _ []string) error { return f.run(c) },
	}

	return withFlags(c, &f.place, &f.out, &f)
}

func (f *copyFlags) flags(c *cobra.Command) {
	c.Flags().StringVar(&f.from, "from", "", "source: sqlite:DIRECTORY, postgres://USER@HOST/NAME, or config")
	c.Flags().StringVar(&f.to, "to", "", "destination, in the same form")
}

func (f *copyFlags) run(c *cobra.Command) error {
	source, err := databaseEnd("from", f.from, &f.place)
	if err != nil {
		return err
	}

	target, err := databaseEnd("to", f.to, &f.place)
	if err != nil {
		return err
	}

	// No configuration file: both databases are named by the flags.
	conf := server.Config{Version: version(), Log: warnings()}
	show := newProgress(c.ErrOrStderr())
	done, err := server.CopyDatabase(c.Context(), conf, source, target, show.rows)
	show.end()

	if err != nil {
		return interrupted(c.Context(), err, "the copy was interrupted; run the same command again to continue")
	}

	return printCopied(c, &f.out, done)
}

// printCopied prints a checksum per table, which is that of both sides: a copy that differs is
// an error before this. It says which of two things comes next, because a copy of a running
// server is not complete.
func printCopied(c *cobra.Command, out *output, done server.Copied) error {
	var rows [][]string
	for _, t := range done.Tables {
		rows = append(rows, []string{t.Table, strconv.FormatInt(t.Rows, 10), t.SHA256})
	}

	if err := out.print(c.OutOrStdout(), done, []string{"TABLE", "ROWS", "SHA-256 OF BOTH SIDES"}, rows); err != nil {
		return err
	}

	if out.json {
		return nil
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
		flag, withoutSecret(text),
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

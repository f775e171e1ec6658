//go:build !walletonly

package main

import (
	"context"
	"fmt"
	"io"
	"strconv"

	"github.com/jeton-auth/jeton/internal/server"

	"github.com/spf13/cobra"
)

// migrateCommand implements 'jeton migrate'.
func migrateCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "migrate",
		Short: "Upgrade the database schema, or show what an upgrade would do",
		Long: `Upgrade the database schema, or show what an upgrade would do. A server upgrades the schema
when it starts; these commands do it earlier, or check beforehand that it succeeds. No other
command does: it refuses an older schema, or leaves it as it is, as 'jeton backup' does. Each
step is one transaction, and one program at a time runs them.

Before the steps the database is kept as it was, in the data directory: jeton.db.before-N, a
copy of a SQLite database, or jeton.backup-before-N, a backup of PostgreSQL; N is the first
missing step. It needs the same space again. The newest two are kept; delete them when the
new version has proved good. 'jeton migrate undo' puts a copy back.

On PostgreSQL, nodes of the previous version continue beside a step that only adds tables or
columns. Any other step is refused while they are running: stop all of them first. They do
not start again after it. 'jeton migrate preflight' says which case it is.`,
		Example: `  jeton migrate status
  jeton migrate preflight
  jeton migrate up
  jeton migrate undo`,
	}

	c.AddCommand(migrateStatus(), migrateUp(), migratePreflight(), migrateUndo())

	return c
}

// migrateStatus implements 'jeton migrate status'.
func migrateStatus() *cobra.Command {
	var p place
	var out output

	c := &cobra.Command{
		Use:   "status",
		Short: "List the schema steps and which have been applied",
		Args:  noArgs,
		Long: `List the schema steps and which have been applied. It changes nothing, and works while a
server is running.`,
		Example: `  jeton migrate status
  jeton migrate status --output json`,
		RunE: func(c *cobra.Command, _ []string) error {
			conf, err := p.server()
			if err != nil {
				return err
			}

			list, err := server.Migrations(c.Context(), conf)
			if err != nil {
				return withServers(c.Context(), err)
			}

			var rows [][]string
			for _, m := range list {
				state := "missing"
				if m.Applied {
					state = "applied"
				}
				rows = append(rows, []string{strconv.Itoa(m.Step), m.Name, state})
			}

			return out.print(c.OutOrStdout(), list, []string{"STEP", "NAME", "STATE"}, rows)
		},
	}

	return withFlags(c, &p, &out)
}

// migrateUp implements 'jeton migrate up'. It is for an operator who upgrades the schema at a
// chosen time: 'jeton serve' does the same when it starts.
func migrateUp() *cobra.Command {
	var p place
	var out output

	c := &cobra.Command{
		Use:   "up",
		Short: "Apply the missing steps",
		Args:  noArgs,
		Long: `Apply the missing steps, after the database was kept as it was: see 'jeton migrate --help'.
With SQLite no server may be running.`,
		Example: `  jeton migrate up
  jeton migrate up --config /etc/jeton/jeton.yaml --output json`,
		RunE: func(c *cobra.Command, _ []string) error {
			conf, err := p.server()
			if err != nil {
				return err
			}

			names, err := server.Migrate(c.Context(), conf, false)
			if err != nil {
				return notMigrated(c.Context(), err)
			}

			if out.json {
				// Without a step the list is empty and not null, for programs.
				return printJSON(c.OutOrStdout(), migrated{append([]string{}, names...), false})
			}
			printSteps(c.OutOrStdout(), names, "applied", conf.Where())

			return nil
		},
	}

	return withFlags(c, &p, &out)
}

// migrated is the JSON output of a migration.
type migrated struct {
	Steps []string `json:"steps"`
	Trial bool     `json:"trial"`
}

// printSteps prints the steps, and what was done with them.
func printSteps(w io.Writer, names []string, done, where string) {
	for _, name := range names {
		fmt.Fprintf(w, "%s %s in %s\n", oneLine(name), done, where)
	}
	if len(names) == 0 {
		fmt.Fprintln(w, "the schema is up to date")
	}
}

// notMigrated completes the error of a migration.
func notMigrated(ctx context.Context, err error) error {
	err = withServers(ctx, err)
	return interrupted(ctx, err, "interrupted; the unfinished step was rolled back")
}

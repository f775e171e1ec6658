//go:build !walletonly

package main

import (
	"fmt"
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

Before the steps, SQLite keeps a copy of the database beside it: jeton.db.before-N, where N
is the first missing step. It needs the same space again. Delete it when the new version has
proved good.

On PostgreSQL, nodes of the previous version continue beside a step that only adds tables or
columns. After any other step they refuse to start.`,
		Example: `  jeton migrate status
  jeton migrate preflight
  jeton migrate up`,
	}

	c.AddCommand(migrateStatus(), migrateUp(), migratePreflight())

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
	return migrating(&cobra.Command{
		Use:   "up",
		Short: "Apply the missing steps",
		Args:  noArgs,
		Long: `Apply the missing steps. With SQLite no server may be running, and the database before the
upgrade is kept as jeton.db.before-N. With PostgreSQL make a backup first: the previous
version may not be able to open the upgraded database.`,
		Example: `  jeton migrate up
  jeton migrate up --config /etc/jeton/jeton.yaml --output json`,
	}, false, "applied")
}

// migratePreflight implements 'jeton migrate preflight'.
func migratePreflight() *cobra.Command {
	return migrating(&cobra.Command{
		Use:   "preflight",
		Short: "Check whether the missing steps would succeed",
		Args:  noArgs,
		Long: `Apply the missing steps and roll all of them back: it reports whether they would succeed,
and changes nothing. On PostgreSQL it uses one transaction, which blocks the nodes for as
long as the steps take; if it would have to wait for a lock, it gives up. With SQLite it
works on a copy beside the file, which needs the same space again; a server may be running.`,
		Example: `  jeton migrate preflight
  jeton migrate preflight --output json`,
	}, true, "would be applied")
}

// migrated is the JSON output of a migration.
type migrated struct {
	Steps []string `json:"steps"`
	Trial bool     `json:"trial"`
}

// migrating makes the command up or preflight: try rolls the steps back, and done is what is
// printed after the name of each step.
func migrating(c *cobra.Command, try bool, done string) *cobra.Command {
	var p place
	var out output

	c.RunE = func(c *cobra.Command, _ []string) error {
		conf, err := p.server()
		if err != nil {
			return err
		}

		names, err := server.Migrate(c.Context(), conf, try)
		if err != nil {
			err = withServers(c.Context(), err)
			return interrupted(c.Context(), err, "interrupted; the unfinished step was rolled back")
		}

		if out.json {
			// Without a step the list is empty and not null, for programs.
			return printJSON(c.OutOrStdout(), migrated{append([]string{}, names...), try})
		}

		for _, name := range names {
			fmt.Fprintf(c.OutOrStdout(), "%s %s in %s\n", oneLine(name), done, conf.Where())
		}

		if len(names) == 0 {
			fmt.Fprintln(c.OutOrStdout(), "the schema is up to date")
		}

		return nil
	}

	return withFlags(c, &p, &out)
}

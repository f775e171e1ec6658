package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/jeton-auth/jeton/internal/server"

	"github.com/spf13/cobra"
)

func migrateCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "migrate",
		Short: "Bring the schema of the database up to date, or see what an upgrade would do",
		Long: `Bring the schema of the database up to date, or see what an upgrade would do. A server does
so by itself when it starts; these commands are for whoever wants to do it before, or to
know beforehand that it goes through. Each step is taken whole or not at all, and one
program at a time takes them.

On PostgreSQL nodes of the version before go on beside a step that only adds. A step
after which they could not is refused to them: they do not start any more.`,
		Example: `  jeton migrate status
  jeton migrate preflight
  jeton migrate up`,
	}

	c.AddCommand(migrateStatus(), migrateUp(), migratePreflight())

	return c
}

func migrateStatus() *cobra.Command {
	var p place
	var out output

	c := &cobra.Command{
		Use:   "status",
		Short: "List the steps of the schema and which have been applied",
		Args:  noArgs,
		Long: `List the steps of the schema and which have been applied. It changes nothing, and works
beside a server that is up.`,
		Example: `  jeton migrate status
  jeton migrate status --output json`,
		RunE: func(c *cobra.Command, _ []string) error {
			conf, err := p.server()
			if err != nil {
				return err
			}

			list, err := server.Migrations(c.Context(), conf)
			if err != nil {
				return err
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

	p.flags(c)
	out.flags(c)

	return c
}

func migrateUp() *cobra.Command {
	return migrating(&cobra.Command{
		Use:   "up",
		Short: "Apply the steps that are missing",
		Args:  noArgs,
		Long: `Apply the steps that are missing. With SQLite no server may be up; make a backup first: the
version before does not open what this one has changed.`,
		Example: `  jeton migrate up
  jeton migrate up --config /etc/jeton/jeton.yaml --output json`,
	}, false, "applied")
}

func migratePreflight() *cobra.Command {
	return migrating(&cobra.Command{
		Use:   "preflight",
		Short: "Say whether the steps that are missing would go through",
		Args:  noArgs,
		Long: `Apply the steps that are missing and take all of them back: it says whether they would go
through, and changes nothing. On PostgreSQL it does so in one transaction, which holds up
the nodes for as long as the steps take; where it would have to wait for others, it
gives up. With SQLite it works on a copy beside the file, which needs as much room again;
a server may be up.`,
		Example: `  jeton migrate preflight
  jeton migrate preflight --output json`,
	}, true, "would be applied")
}

// migrated is what a program is told of a migration.
type migrated struct {
	Steps []string `json:"steps"`
	Trial bool     `json:"trial"`
}

func migrating(c *cobra.Command, try bool, done string) *cobra.Command {
	var p place
	var out output

	c.RunE = func(c *cobra.Command, _ []string) error {
		asJSON, err := out.json()
		if err != nil {
			return err
		}

		conf, err := p.server()
		if err != nil {
			return err
		}

		names, err := server.Migrate(c.Context(), conf, try)
		if err != nil {
			if errors.Is(err, context.Canceled) && c.Context().Err() != nil {
				return errors.New("broken off; a step that had not come to its end was not taken")
			}
			return err
		}

		if asJSON {
			return printJSON(c.OutOrStdout(), migrated{append([]string{}, names...), try})
		}

		for _, name := range names {
			fmt.Fprintf(c.OutOrStdout(), "%s %s\n", oneLine(name), done)
		}

		if len(names) == 0 {
			fmt.Fprintln(c.OutOrStdout(), "the schema is up to date")
		}

		return nil
	}

	p.flags(c)
	out.flags(c)

	return c
}

// server is how a command reaches the database of a server without being one.
func (p *place) server() (server.Config, error) {
	conf, dir, err := p.open()
	return server.Config{
		File:    conf,
		DataDir: dir,
		Version: version(),
		Log:     warnings(),
	}, err
}

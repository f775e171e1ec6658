//go:build !walletonly

package main

import (
	"fmt"
	"io"
	"time"

	"github.com/jeton-auth/jeton/internal/server"

	"github.com/spf13/cobra"
)

// migratePreflight implements 'jeton migrate preflight'.
func migratePreflight() *cobra.Command {
	var p place
	var out output

	c := &cobra.Command{
		Use:   "preflight",
		Short: "Check whether the missing steps would succeed, and what they need",
		Args:  noArgs,
		Long: `Apply the missing steps and roll all of them back: it reports whether they would succeed, how
long they take, the space that they need, and whether other servers can continue. It changes
nothing. On PostgreSQL it uses one transaction, which blocks the nodes for as long as the
steps take; if it would have to wait for a lock, it gives up. With SQLite it works on a copy
beside the file, which needs the same space again; a server may be running.`,
		Example: `  jeton migrate preflight
  jeton migrate preflight --output json`,
		RunE: func(c *cobra.Command, _ []string) error {
			conf, err := p.server()
			if err != nil {
				return err
			}

			found, err := server.TryMigration(c.Context(), conf)
			if err != nil {
				return notMigrated(c.Context(), err)
			}

			if out.json {
				return printJSON(c.OutOrStdout(), found)
			}
			printPreflight(c.OutOrStdout(), found, conf)

			return nil
		},
	}

	return withFlags(c, &p, &out)
}

// printPreflight prints a line for each thing that an operator looks at before an upgrade.
func printPreflight(w io.Writer, p server.Preflight, conf server.Config) {
	printSteps(w, p.Steps, "would be applied", conf.Where())
	if len(p.Steps) == 0 {
		how := "start this version"
		if conf.File.Database != nil {
			how = "rolling: replace one server after the other"
		}
		fmt.Fprintln(w, "upgrade: "+how)

		return
	}

	fmt.Fprintf(w, "schema: %d, after the upgrade %d (jeton %s)\n", p.Schema, p.Target, p.Program)
	took := time.Duration(p.Seconds * float64(time.Second)).Round(time.Millisecond)
	fmt.Fprintf(w, "trial: all steps succeeded, in %s\n", took)

	if p.Before != "" {
		fmt.Fprintf(w, "kept before: %s\n", p.Before)
	}
	if conf.File.Database == nil && p.Free >= 0 {
		fmt.Fprintf(w, "space: the database has %s, free are %s\n", megabytes(p.Size), megabytes(p.Free))
	}

	fmt.Fprintln(w, "upgrade: "+howToUpgrade(p, conf.File.Database != nil))
}

// howToUpgrade says whether nodes are replaced one after the other, or have to be stopped.
func howToUpgrade(p server.Preflight, shared bool) string {
	running := plural(p.Servers, "server") + " running"

	switch {
	case !shared && p.Servers == 0:
		return "start this version; no server is running"
	case !shared:
		return "a restart: a server is running; it upgrades the schema when this version starts in its place"
	case p.Beside:
		return "rolling: replace one server after the other; those of the previous version continue (" +
			running + ")"
	case p.Servers == 0:
		return "with a stop, for " + p.Stop + ": do not start the previous version again (" + running + ")"
	default:
		return "with a stop, for " + p.Stop + ": stop all servers of the previous version, then start this one; " +
			"until then it refuses to start (" + running + ")"
	}
}

// megabytes prints a size.
func megabytes(n int64) string { return fmt.Sprintf("%.1f MB", float64(n)/1e6) }

// undoFlags are the flags of 'jeton migrate undo'.
type undoFlags struct {
	place place
	out   output
	trust trust
	force int
}

// migrateUndo implements 'jeton migrate undo'.
func migrateUndo() *cobra.Command {
	var u undoFlags

	c := &cobra.Command{
		Use:   "undo",
		Short: "Put the database from before the last upgrade back",
		Args:  noArgs,
		Long: `Put the copy of a SQLite database that was kept before the last upgrade in its place, so that
the previous version can open it. Stop the server first, run this with the version that made
the upgrade, and then start the previous version. The upgraded database is kept beside it.

All rows are compared: if anything was written since the upgrade, the command names the
tables, the schema and the time that it would go back to, and refuses. With --force and that
schema what was written is given up: it may be an earlier one than you expect, if the copy
from before the last upgrade is gone. Then a new epoch starts, as
after 'jeton restore': all sessions and tokens end, since each could have been spent or
revoked in that time; --trust-credentials keeps them.

A PostgreSQL database is not undone in place. The command says whether the previous version
works with the new schema, and where the backup from before the upgrade is.`,
		Example: `  jeton migrate undo --data-dir /var/lib/jeton
  jeton migrate undo --force 12 --output json`,
		RunE: func(c *cobra.Command, _ []string) error { return u.run(c) },
	}

	return withFlags(c, &u.place, &u.out, &u.trust, &u)
}

func (u *undoFlags) flags(c *cobra.Command) {
	c.Flags().IntVar(&u.force, "force", 0, "give up what was written since the upgrade from this `schema`")
}

// run opens the database itself: no server may be running on it.
func (u *undoFlags) run(c *cobra.Command) error {
	conf, err := u.place.server()
	if err != nil {
		return err
	}

	done, err := server.UndoMigration(c.Context(), conf, server.Undoing{Force: u.force, Trust: bool(u.trust)})
	if err != nil {
		err = withServers(c.Context(), err)
		return interrupted(c.Context(), err, "interrupted; nothing was changed")
	}

	if done.Epoch != nil {
		// The warning is for the operator, also if a program reads the result.
		defer warnRestored(c.ErrOrStderr(), u.trust, "the time before the upgrade")
	}

	w := c.OutOrStdout()
	if u.out.json {
		return printJSON(w, done)
	}

	fmt.Fprintf(w, "the database is %s again, with schema %d\n", done.Copy, done.Schema)
	fmt.Fprintf(w, "the upgraded database is now %s\n", done.Kept)
	if done.Epoch == nil {
		fmt.Fprintln(w, "nothing was written since the upgrade: sessions and tokens are as they were")
		return nil
	}

	for _, d := range done.Lost {
		fmt.Fprintf(w, "given up: %s in %s\n", plural(d.Rows, "row"), d.Table)
	}
	printRenewed(w, *done.Epoch, u.trust)

	return nil
}

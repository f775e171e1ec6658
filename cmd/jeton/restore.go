//go:build !walletonly

package main

import (
	"fmt"
	"time"

	"github.com/jeton-auth/jeton/internal/server"

	"github.com/spf13/cobra"
)

// restoreFlags are the flags of 'jeton restore'.
type restoreFlags struct {
	place   place
	out     output
	trust   trust
	replace bool
}

// restoreCommand implements 'jeton restore'. There is no restore from standard input: the file
// is read twice, completely to check it and then to restore it.
func restoreCommand() *cobra.Command {
	var r restoreFlags

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
		RunE: func(c *cobra.Command, args []string) error { return r.run(c, args[0]) },
	}

	return withFlags(c, &r.place, &r.out, &r.trust, &r)
}

func (r *restoreFlags) flags(c *cobra.Command) {
	c.Flags().BoolVar(&r.replace, "replace", false, "overwrite a PostgreSQL database that is not empty")
}

// run opens the database itself, not through a server, and fails if one is running on it.
func (r *restoreFlags) run(c *cobra.Command, path string) error {
	conf, err := r.place.server()
	if err != nil {
		return err
	}

	show := newProgress(c.ErrOrStderr())
	done, err := server.Restore(c.Context(), conf, server.Restoring{
		Path:    path,
		Trust:   bool(r.trust),
		Report:  show.rows,
		Replace: r.replace,
	})

	show.end()

	if err != nil {
		return interrupted(c.Context(), err, "the restore was interrupted; nothing was changed")
	}

	made := done.Backup.Made.UTC().Format(time.RFC3339)

	// The warning is for the operator, also if a program reads the result.
	defer warnRestored(c.ErrOrStderr(), r.trust, made)

	w := c.OutOrStdout()
	if r.out.json {
		return printJSON(w, done)
	}

	fmt.Fprintf(w, "restored %d rows from a backup of %s in %s\n", done.Backup.Rows(), made, conf.Where())
	if done.Kept != "" {
		fmt.Fprintf(w, "the previous database is now %s\n", done.Kept)
	}

	printRenewed(w, done.Renewed, r.trust)

	return nil
}

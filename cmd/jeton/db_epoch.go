//go:build !walletonly

package main

import (
	"fmt"
	"io"

	"github.com/jeton-auth/jeton/internal/server"

	"github.com/spf13/cobra"
)

// trust is the flag of the commands after which a database is as it was earlier: it keeps the
// credentials of that time.
type trust bool

func (t *trust) flags(c *cobra.Command) {
	c.Flags().BoolVar(
		(*bool)(t), "trust-credentials", false,
		"keep sessions, tokens and signing keys: what was spent or revoked since is valid again",
	)
}

// dbEpoch implements 'jeton db epoch'. Decision 0012 says why a restored database needs it.
func dbEpoch() *cobra.Command {
	var p place
	var out output
	var trusted trust

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
		conf, err := p.server()
		if err != nil {
			return err
		}

		done, err := server.NewEpoch(c.Context(), conf, bool(trusted))
		if err != nil {
			return withServers(c.Context(), err)
		}

		// The warning is for the operator, also if a program reads the result.
		defer warnRestored(c.ErrOrStderr(), trusted, "")

		if out.json {
			return printJSON(c.OutOrStdout(), done)
		}

		fmt.Fprintln(c.OutOrStdout(), "database: "+conf.Where())
		printRenewed(c.OutOrStdout(), done, trusted)

		return nil
	}

	return withFlags(c, &p, &out, &trusted)
}

// printRenewed prints what the new epoch has ended. With --trust-credentials nothing was, and
// the warning says what that means.
func printRenewed(w io.Writer, r server.Renewed, trust trust) {
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
func warnRestored(w io.Writer, trust trust, when string) {
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

//go:build !walletonly

package main

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/url"

	"github.com/jeton-auth/jeton/internal/api"

	"github.com/spf13/cobra"
)

// userIdentities implements 'jeton user identities'.
func userIdentities() *cobra.Command {
	var p place
	var out output

	c := &cobra.Command{
		Use:     "identities NAME",
		Short:   "List the accounts of a user at other providers",
		Args:    exactArgs("NAME"),
		Example: `  jeton user identities diane`,
	}

	c.RunE = withControl(&p, func(ctx context.Context, c *cobra.Command, args []string, ctl *control) error {
		var got []api.Identity
		if err := ctl.call(ctx, http.MethodGet, userPath(args[0], "identities"), nil, &got); err != nil {
			return fmt.Errorf("identities of user %s: %w", args[0], err)
		}

		rows := [][]string{}
		for _, i := range got {
			// A provider that was removed from the configuration has no name there.
			rows = append(rows, []string{cmp.Or(i.Provider, "-"), i.Issuer, i.Label, when(i.Created)})
		}

		return out.print(c.OutOrStdout(), got, []string{"PROVIDER", "ISSUER", "ACCOUNT", "SINCE"}, rows)
	})

	c.AddCommand(userIdentitiesRemove())

	return withFlags(c, &p, &out)
}

// userIdentitiesRemove implements 'jeton user identities remove'.
func userIdentitiesRemove() *cobra.Command {
	var p place

	c := &cobra.Command{
		Use:   "remove NAME ISSUER",
		Short: "Disconnect a user from another provider, and end the sessions that began there",
		Long: `Disconnect a user from another provider, and end the sessions that began there, with the
tokens that applications got by them. A user without a password or a passkey cannot sign in
then: 'jeton user recover' makes a link to set a password.`,
		Args:    exactArgs("NAME", "ISSUER"),
		Example: `  jeton user identities remove diane https://login.company.example`,
	}

	c.RunE = changing(&p, func(args []string) (change, error) {
		return change{
			method:  http.MethodDelete,
			path:    userPath(args[0], "identities") + "?" + url.Values{"issuer": {args[1]}}.Encode(),
			subject: "identity of user " + args[0] + " at " + args[1],
			done:    "disconnected user " + args[0] + " from " + args[1],
		}, nil
	})

	p.flags(c)

	return c
}

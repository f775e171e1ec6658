//go:build !walletonly

package main

import (
	"errors"
	"net/http"
	"slices"

	"github.com/jeton-auth/jeton/internal/api"

	"github.com/spf13/cobra"
)

// clientAddresses implements 'jeton client addresses'. A flag that was not given is null in the request and changes
// nothing.
func clientAddresses() *cobra.Command {
	var p place
	var redirects, logouts []string
	var backchannel string

	c := &cobra.Command{
		Use:   "addresses NAME",
		Short: "Set the addresses of a client that signs users in",
		Args:  exactArgs("NAME"),

		Annotations: map[string]string{emptyRemoves: "yes"},

		Long: `Set the addresses of a client that signs users in (OpenID Connect). A list replaces the
current one; an empty value removes all. The next request has to name one of the new ones.`,
		Example: `  jeton client addresses grafana --redirect-uri https://metrics.example.org/login/generic_oauth
  jeton client addresses grafana --backchannel-logout-uri ''`,
	}

	c.RunE = changing(&p, func(args []string) (change, error) {
		given := func(flag string, list []string) *[]string {
			if !c.Flags().Changed(flag) {
				return nil
			}
			list = slices.DeleteFunc(list, func(uri string) bool { return uri == "" })
			return &list
		}

		in := api.ClientAddresses{
			RedirectURIs:           given("redirect-uri", redirects),
			PostLogoutRedirectURIs: given("post-logout-redirect-uri", logouts),
		}
		if c.Flags().Changed("backchannel-logout-uri") {
			in.BackchannelLogoutURI = &backchannel
		}
		if in == (api.ClientAddresses{}) {
			return change{}, usage{errors.New("give at least one address")}
		}

		return change{
			method:  http.MethodPut,
			path:    clientPath(args[0], "addresses"),
			body:    in,
			subject: "client " + args[0],
			done:    "set the addresses of client " + args[0],
		}, nil
	})

	p.flags(c)
	c.Flags().StringArrayVar(
		&redirects, "redirect-uri", nil, "address that browsers return to from the sign-in page (may be repeated)",
	)
	c.Flags().StringArrayVar(
		&logouts, "post-logout-redirect-uri", nil,
		"address for browsers after a sign-out by the client (may be repeated)",
	)
	c.Flags().StringVar(
		&backchannel, "backchannel-logout-uri", "",
		"https:// address that gets a logout token for each session of a user that ends",
	)

	return c
}

//go:build !walletonly

package main

import (
	"context"
	"fmt"
	"net/http"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/api"

	"github.com/spf13/cobra"
)

// checkRequest implements 'jeton check'. Its exit code is that of the refusal, so that a script needs no output.
func checkRequest() *cobra.Command {
	var p place
	var out output
	var in api.Check

	c := &cobra.Command{
		Use:   "check METHOD URL",
		Short: "Show whether a request would be accepted, without sending it",
		Args:  exactArgs("METHOD", "URL"),
		Long: `Show whether a request to a service would be accepted, and every check of the decision. Nothing
is sent: no use is taken, no session is kept alive, and the audit log has no event.

With --as, it is judged as if it showed the newest session of the user at the service, or a new
one if there is none; with --token, as if it showed that token; else without a credential. The
exit code is 0 if it would be accepted, and that of the refusal otherwise.`,
		Example: `  jeton check --as diane GET https://app.example/orders
  jeton check --token t_7d2kx0c4m9q1r8t5 DELETE https://app.example/orders/7 --output json
  jeton check GET /orders --service app`,
	}

	c.RunE = withControl(&p, func(ctx context.Context, c *cobra.Command, args []string, ctl *control) error {
		if ctl.offline {
			return exit{exitUnreachable, "no server is running on this data directory; start it, and check again"}
		}

		in.Method, in.URL = args[0], args[1]
		var v api.TestedToken
		if err := ctl.call(ctx, http.MethodPost, "/api/v1/check", in, &v); err != nil {
			return err
		}

		if out.json {
			if err := printJSON(c.OutOrStdout(), v); err != nil {
				return err
			}
		} else {
			printChecked(c, in, v)
		}

		if v.Allowed {
			return nil
		}

		return exit{exitCode(jeton.FromCode(v.Code)), ""}
	})

	f := c.Flags()
	f.StringVar(&in.User, "as", "", "name of the user who sends it")
	f.StringVar(&in.Token, "token", "", "accessor of the token that it shows")
	f.StringVar(&in.Service, "service", "", "name of the service, if URL is a path")
	f.StringVar(&in.Source, "source", "", "address that it comes from")
	c.MarkFlagsMutuallyExclusive("as", "token")

	return withFlags(c, &p, &out)
}

// printChecked prints a decision on a request, and its checks.
func printChecked(c *cobra.Command, in api.Check, v api.TestedToken) {
	verdict := "accepted"
	if !v.Allowed {
		verdict = fmt.Sprintf("refused, %d %s", v.Status, v.Code)
	}

	line := fmt.Sprintf("%s: %s %s", verdict, in.Method, in.URL)
	if v.Service != "" {
		line += " at " + v.Service
	}
	fmt.Fprintln(c.OutOrStdout(), oneLine(line))

	for _, check := range v.Checks {
		fmt.Fprintf(c.OutOrStdout(), "  %-5s %-16s %s\n", check.Result, check.Name, oneLine(check.Value))
	}
}

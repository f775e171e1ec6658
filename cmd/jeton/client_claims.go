//go:build !walletonly

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/api"
	"github.com/jeton-auth/jeton/internal/openid"

	"github.com/spf13/cobra"
)

// clientClaims implements 'jeton client claims'. Its exit code is that of the refusal, as of 'jeton check'.
func clientClaims() *cobra.Command {
	var p place
	var out output
	var user string
	var scopes []string

	c := &cobra.Command{
		Use:   "claims NAME --user USER",
		Short: "Show what a client would learn of a user who signs in there",
		Args:  exactArgs("NAME"),
		Long: `Show the claims of a user that a client would get in the ID token and from the userinfo endpoint
(OpenID Connect), and whether the user may sign in there. No user is signed in. The claims of the
sign-in itself, such as auth_time and sid, are not shown. The exit code is 0 if the user may sign
in, and that of the refusal otherwise.`,
		Example: `  jeton client claims grafana --user diane
  jeton client claims grafana --user diane --scope profile --scope groups --output json`,
	}

	c.RunE = withControl(&p, func(ctx context.Context, c *cobra.Command, args []string, ctl *control) error {
		query := url.Values{"user": {user}}
		if c.Flags().Changed("scope") {
			query.Set("scope", strings.Join(scopes, " "))
		}

		var v api.ClaimsPreview
		if err := ctl.call(ctx, http.MethodGet, clientPath(args[0], "claims")+"?"+query.Encode(), nil, &v); err != nil {
			return fmt.Errorf("claims of user %s at client %s: %w", user, args[0], err)
		}

		if err := printClaims(c, &out, v); err != nil || v.Allowed {
			return err
		}

		return exit{exitCode(jeton.FromCode(v.Code)), ""}
	})

	f := c.Flags()
	f.StringVar(&user, "user", "", "name of the user (required)")
	f.StringSliceVar(&scopes, "scope", nil,
		"scope of the request (may be repeated; default profile, email and groups; openid is always one)")
	_ = c.MarkFlagRequired("user")

	return withFlags(c, &p, &out)
}

// printClaims prints the claims and where they are, or why the client gets none.
func printClaims(c *cobra.Command, out *output, v api.ClaimsPreview) error {
	w := c.OutOrStdout()
	if out.json {
		return printJSON(w, v)
	}

	if !v.Allowed {
		fmt.Fprintf(w, "refused, %s: %s may not sign in at %s\n", v.Code, oneLine(v.User), oneLine(v.Client))
		for _, check := range v.Checks {
			fmt.Fprintf(w, "  %-5s %-16s %s\n", check.Result, check.Name, oneLine(check.Value))
		}

		return nil
	}

	rows, err := claimRows(v)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "scopes %s, %s subject\n", strings.Join(v.Scopes, " "), v.Subject)

	return out.print(w, v, []string{"CLAIM", "VALUE", "IN"}, rows)
}

// claimRows returns the claims in the order of the names, with where each is.
func claimRows(v api.ClaimsPreview) ([][]string, error) {
	id, err := claimTexts(v.IDToken)
	if err != nil {
		return nil, err
	}
	info, err := claimTexts(v.UserInfo)
	if err != nil {
		return nil, err
	}

	var rows [][]string
	for _, name := range openid.ClaimNames() {
		value, ok := info[name]
		if !ok {
			continue
		}

		in := "userinfo"
		if _, ok := id[name]; ok {
			in = "ID token, userinfo"
		}
		rows = append(rows, []string{name, value, in})
	}

	return rows, nil
}

// claimTexts returns the claims as JSON, by name.
func claimTexts(claims *openid.Claims) (map[string]string, error) {
	b, err := json.Marshal(claims)
	if err != nil {
		return nil, err
	}

	var raw map[string]json.RawMessage
	if err := json.Unmarshal(b, &raw); err != nil {
		return nil, err
	}

	texts := map[string]string{}
	for name, value := range raw {
		texts[name] = string(value)
	}

	return texts, nil
}

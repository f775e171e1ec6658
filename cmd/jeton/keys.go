package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/api"

	"github.com/spf13/cobra"
)

func keysCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "keys",
		Short: "Manage the keys that tokens are signed with: list, rotate, revoke",
		Long: `Manage the keys that the server signs tokens with. It makes those that its configuration
asks for when it starts, and rotates them on schedule: a key is published before it
signs (next), signs (current), and checks what it has signed until that has expired
(retired). The commands work with the server running or stopped; they need to be run by
whoever may open its data folder.`,
		Example: `  jeton keys list
  jeton keys rotate`,
	}

	c.AddCommand(keysList(), keysRotate(), keysRevoke())

	return c
}

func keysList() *cobra.Command {
	var p place
	var out output

	c := &cobra.Command{
		Use:   "list",
		Short: "List signing keys",
		Args:  noArgs,
		Example: `  jeton keys list
  jeton keys list --output json`,
	}

	c.RunE = withControl(&p, func(ctx context.Context, c *cobra.Command, _ []string, ctl *control) error {
		var list []jeton.SigningKey
		if err := ctl.call(ctx, http.MethodGet, "/api/v1/keys", nil, &list); err != nil {
			return err
		}
		return printKeys(c, &out, list)
	})

	p.flags(c)
	out.flags(c)

	return c
}

func printKeys(c *cobra.Command, out *output, list []jeton.SigningKey) error {
	var rows [][]string
	for _, k := range list {
		rows = append(rows, []string{
			k.ID,
			k.Kind,
			k.Algorithm,
			k.Status,
			when(k.Signs),
			orOpen(k.Retires),
			orOpen(k.Withdrawn),
		})
	}
	return out.print(c.OutOrStdout(), list, []string{
		"KID",
		"TOKENS",
		"ALG",
		"STATUS",
		"SIGNS FROM",
		"UNTIL",
		"CHECKS UNTIL",
	}, rows)
}

// orOpen shows an end that may not be known yet.
func orOpen(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return when(t)
}

func keysRotate() *cobra.Command {
	var p place
	var out output
	var in api.Rotation

	c := &cobra.Command{
		Use:   "rotate",
		Short: "Make the keys that sign next",
		Args:  noArgs,
		Long: `Make the keys that sign next. They are published now and sign when everybody who caches
the published keys has had time to see them; the ones before sign until then, and check
for as long as a token that they have signed can live.

With --now they sign at once, and so does a key that was waiting: services that
have cached the keys may refuse its tokens until they fetch them again.`,
		Example: `  jeton keys rotate
  jeton keys rotate --alg ES256 --now`,
	}

	c.RunE = withControl(&p, func(ctx context.Context, c *cobra.Command, _ []string, ctl *control) error {
		var list []jeton.SigningKey
		if err := ctl.call(ctx, http.MethodPost, "/api/v1/keys/rotate", in, &list); err != nil {
			return err
		}
		return printKeys(c, &out, list)
	})

	p.flags(c)
	out.flags(c)
	c.Flags().StringVar(&in.Algorithm, "alg", "", "of this algorithm only: RS256, ES256 or EdDSA")
	c.Flags().BoolVar(&in.Now, "now", false, "they sign at once")

	return c
}

func keysRevoke() *cobra.Command {
	var p place
	var reason string

	c := &cobra.Command{
		Use:   "revoke KID",
		Short: "Make a key neither sign nor check any more",
		Args:  exactArgs("KID"),
		Long: `Make a key neither sign nor check any more, at once: every token that it has signed is
void. If it was the one that signs, another takes its place. It is no longer published;
services that check tokens by themselves go on to accept it until they fetch the
keys again.`,
		Example: `  jeton keys revoke NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs --reason 'a backup was stolen'`,
	}

	c.RunE = withControl(&p, func(ctx context.Context, c *cobra.Command, args []string, ctl *control) error {
		path := "/api/v1/keys/" + url.PathEscape(args[0])
		if reason != "" {
			path += "?" + url.Values{"reason": {reason}}.Encode()
		}
		if err := ctl.call(ctx, http.MethodDelete, path, nil, nil); err != nil {
			return named(err, "key "+args[0])
		}

		fmt.Fprintf(c.OutOrStdout(), "revoked key %s; the tokens that it has signed are void\n", args[0])

		return nil
	})

	p.flags(c)
	c.Flags().StringVar(&reason, "reason", "", "why, for the record")

	return c
}

//go:build !walletonly

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

// keysCommand implements 'jeton keys'. Package keys has the life of a signing key.
func keysCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "keys",
		Short: "Manage the keys that tokens are signed with: list, rotate, revoke",
		Long: `Manage the keys that the server signs tokens with. The server makes the keys that its
configuration needs and rotates them on schedule: a key is published before it signs
(next), signs (current), and then verifies the tokens that it has signed until they have
expired (retired). The commands work with the server running or stopped; run them as a
user who may open its data directory.`,
		Example: `  jeton keys list
  jeton keys rotate`,
	}

	c.AddCommand(keysList(), keysRotate(), keysRevoke())

	return c
}

// keysList implements 'jeton keys list'.
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

	return withFlags(c, &p, &out)
}

// printKeys prints when each key signs, and until when it verifies. UNTIL and VERIFIES UNTIL
// are open as long as no successor is known.
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
		"VERIFIES UNTIL",
	}, rows)
}

// orOpen formats a time that may not be known yet.
func orOpen(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return when(t)
}

// keysRotate implements 'jeton keys rotate'. It prints all keys, because the new ones say
// little without those that they replace.
func keysRotate() *cobra.Command {
	var p place
	var out output
	var in api.Rotation

	c := &cobra.Command{
		Use:   "rotate",
		Short: "Make the next signing keys",
		Args:  noArgs,
		Long: `Make the next signing keys. They are published now, and sign when every cache of the
published keys has expired. The current keys sign until then, and verify until their last
token has expired.

With --now the new keys sign at once, and so does a published key that was waiting:
services that have cached the keys may refuse their tokens until they fetch the keys
again.`,
		Example: `  jeton keys rotate
  jeton keys rotate --alg ES256 --now`,
	}

	c.RunE = withControl(&p, func(ctx context.Context, c *cobra.Command, _ []string, ctl *control) error {
		var list []jeton.SigningKey
		if err := ctl.call(ctx, http.MethodPost, "/api/v1/keys/rotate", in, &list); err != nil {
			return err
		}

		fmt.Fprintln(c.ErrOrStderr(), "made signing keys", ctl.where)

		return printKeys(c, &out, list)
	})

	p.flags(c)
	out.flags(c)
	c.Flags().StringVar(&in.Algorithm, "alg", "", "only for this algorithm: RS256, ES256 or EdDSA")
	c.Flags().BoolVar(&in.Now, "now", false, "sign with them at once")

	return c
}

// keysRevoke implements 'jeton keys revoke'. The reason is in the query: a DELETE has no body
// that every proxy passes on (RFC 9110, section 9.3.5).
func keysRevoke() *cobra.Command {
	var p place
	var reason string

	c := &cobra.Command{
		Use:   "revoke KID",
		Short: "Revoke a signing key",
		Args:  exactArgs("KID"),
		Long: `Revoke a signing key at once: every token that it has signed is refused. If it was the
current key, another one replaces it. It is no longer published; services that check tokens
themselves accept it until they fetch the keys again.`,
		Example: `  jeton keys revoke NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs --reason 'a backup was stolen'`,
	}

	c.RunE = changing(&p, func(args []string) (change, error) {
		path := "/api/v1/keys/" + url.PathEscape(args[0])
		if reason != "" {
			path += "?" + url.Values{"reason": {reason}}.Encode()
		}

		return change{
			method:  http.MethodDelete,
			path:    path,
			subject: "key " + args[0],
			done:    "revoked key " + args[0] + " and every token that it has signed",
		}, nil
	})

	p.flags(c)
	c.Flags().StringVar(&reason, "reason", "", "reason, for the audit log")

	return c
}

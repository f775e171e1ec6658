//go:build !walletonly

package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net/http"

	"github.com/jeton-auth/jeton/internal/api"
	"github.com/jeton-auth/jeton/internal/secret"

	"github.com/spf13/cobra"
)

// clientNewSecret implements 'jeton client new-secret'. The two halves go to different
// streams, so that a redirection of standard output stores the secret and shows its hash.
func clientNewSecret() *cobra.Command {
	return &cobra.Command{
		Use:   "new-secret",
		Short: "Make a secret for a client declared in the configuration file",
		Args:  noArgs,
		Long: `Make a secret for a client declared in the configuration file. The secret goes to standard
output, for the client; its SHA-256 goes to standard error, for secret_hash in the file.
The command contacts no server.`,
		Example: `  jeton client new-secret > ci.secret`,
		RunE: func(c *cobra.Command, _ []string) error {
			text, err := secret.New(secret.Client, rand.Reader)
			if err != nil {
				return err
			}

			sum := secret.HashOf(text.Reveal())
			fmt.Fprintf(c.ErrOrStderr(), "secret_hash: %s\n", hex.EncodeToString(sum[:]))
			fmt.Fprintln(c.OutOrStdout(), text.Reveal())

			return nil
		},
	}
}

// clientSecret implements 'jeton client secret'. There is no overlap of two secrets; a client
// that must not be interrupted uses keys.
func clientSecret() *cobra.Command {
	var p place
	var remove, end bool

	c := &cobra.Command{
		Use:   "secret NAME",
		Short: "Replace the secret of a client and print the new one, or remove it",
		Args:  exactArgs("NAME"),
		Long: `Give a client a new secret and print it only here; the old one is refused at once. Tokens
issued before stay valid unless --end-tokens is given.`,
		Example: `  jeton client secret api-gateway
  jeton client secret api-gateway --remove --end-tokens`,
	}

	c.RunE = withControl(&p, func(ctx context.Context, c *cobra.Command, args []string, ctl *control) error {
		path := clientPath(args[0], "secret") + ending(end)
		if remove {
			if err := ctl.call(ctx, http.MethodDelete, path, nil, nil); err != nil {
				return named(err, "client "+args[0])
			}
			fmt.Fprintln(c.OutOrStdout(), "removed the secret of client", args[0], ctl.where)
			return nil
		}

		var made api.ClientSecret
		if err := ctl.call(ctx, http.MethodPost, path, nil, &made); err != nil {
			return named(err, "client "+args[0])
		}

		printSecret(c, made.Secret)
		fmt.Fprintln(c.ErrOrStderr(), "replaced the secret of client", args[0], ctl.where)

		return nil
	})

	p.flags(c)
	c.Flags().BoolVar(&remove, "remove", false, "remove the secret")
	c.Flags().BoolVar(&end, "end-tokens", false, endTokensHelp)

	return c
}

// printSecret prints a new secret alone on standard output, for scripts. It prints nothing if
// the client got no secret.
func printSecret(c *cobra.Command, text string) {
	if text == "" {
		return
	}
	fmt.Fprintln(c.OutOrStdout(), text)
	fmt.Fprintln(c.ErrOrStderr(), "This is the secret. It is shown only here; Jeton stores only its hash.")
}

package main

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"

	"github.com/jeton-auth/jeton/internal/secret"

	"github.com/spf13/cobra"
)

func clientNewSecret() *cobra.Command {
	return &cobra.Command{
		Use:   "new-secret",
		Short: "Make a secret for a client that a configuration file declares",
		Args:  noArgs,
		Long: `Make a secret for a client that a configuration file declares. The secret goes to standard
output, for the client; its SHA-256 goes to standard error, for secret_hash in the file.
No server hears of it.`,
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

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

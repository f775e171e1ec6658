//go:build walletonly

package main

import "github.com/spf13/cobra"

// The text of 'jeton --help'.
const (
	rootText = `Jeton proves who is calling a service, decides whether they may, and counts how often.
This program is the caller's wallet. The one with the server has all commands.`
	rootExample = `  jeton login https://app.example.org
  jeton call GET https://app.example.org/reports`
)

// addServer adds no server: this build is for machines that only call services. Of 'jeton token' it has what needs
// the wallet alone.
func addServer(root *cobra.Command) {
	c := &cobra.Command{
		Use:     "token",
		Short:   "Print the token of an identity, exchange one, or ask a user for one",
		GroupID: groupWallet,
	}

	c.AddCommand(tokenPrint(), tokenExchange(), tokenRequest())
	root.AddCommand(c)
}

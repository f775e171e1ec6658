package main

import (
	"fmt"
	"time"

	"github.com/jeton-auth/jeton/wallet"

	"github.com/spf13/cobra"
)

// printedToken is a token with its secret, as JSON.
type printedToken struct {
	Token     string    `json:"access_token"`
	NotBefore time.Time `json:"not_before,omitzero"`
	Expires   time.Time `json:"expires_at,omitzero"`
}

// tokenPrint implements 'jeton token print', the way out for programs that can use neither the
// wallet nor a credential helper.
func tokenPrint() *cobra.Command {
	var out output
	var as string

	c := &cobra.Command{
		Use:   "print URL",
		Short: "Print the access token of an identity of the wallet",
		Args:  exactArgs("URL"),
		Long: `Print the access token of an identity with a key, renewed if it is due, or of an identity
with a personal token. Standard output gets only the token; standard error says how long it
is valid, if that is known. Prefer 'jeton call' where you can: it sends the token only to
the service.`,
		Example: `  jeton token print --as ci https://shop.example
  curl -H "Authorization: Bearer $(jeton token print --as ci https://shop.example)" https://shop.example/orders`,
		RunE: func(c *cobra.Command, args []string) error {
			return asIdentity(c.Context(), args[0], as, func(_ *wallet.Wallet, id *wallet.Identity) error {
				t, err := id.Token(c.Context())
				if err != nil {
					return err
				}
				if out.json {
					return printJSON(c.OutOrStdout(), printedToken{t.Text.Reveal(), t.Opens, t.Expires})
				}

				fmt.Fprintln(c.OutOrStdout(), t.Text.Reveal())
				if !t.Opens.IsZero() {
					fmt.Fprintln(c.ErrOrStderr(), "valid from", when(t.Opens))
				}
				if !t.Expires.IsZero() {
					fmt.Fprintln(c.ErrOrStderr(), "valid until", when(t.Expires))
				}

				return nil
			})
		},
	}

	out.flags(c)
	c.Flags().StringVar(&as, "as", "", "name of the identity")

	return c
}

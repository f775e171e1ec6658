package main

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/wallet"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// The variables that 'jeton token exchange' reads.
const (
	envSubject = "JETON_SUBJECT_TOKEN" // the token to exchange
	envClient  = "JETON_CLIENT_SECRET" // the secret of the client
)

// exchangeFlags are the flags of 'jeton token exchange'.
type exchangeFlags struct {
	conf   wallet.ExchangeConfig
	in     wallet.Exchange
	caFile string
	file   string
	out    output
}

// exchangedToken is the new token with its secret, as JSON.
type exchangedToken struct {
	printedToken
	Scopes  []string `json:"scopes,omitempty"`
	MaxUses int64    `json:"max_uses,omitempty"`
}

// tokenExchange implements 'jeton token exchange'.
func tokenExchange() *cobra.Command {
	var k exchangeFlags

	c := &cobra.Command{
		Use:   "exchange --for SERVICE --issuer URL --client NAME [flags]",
		Short: "Exchange a caller's token for one of the next service, and print it",
		Long: `Exchange the token of a caller for one of the next service (RFC 8693), by a rule of the client
(clients[].exchanges), and print it. The new token is never wider than the exchanged one and the
rule, and ends with both.

The token to exchange is read from standard input, from --token-file or from the variable
JETON_SUBJECT_TOKEN. The client proves itself with a key (--key) or with the secret in the
variable JETON_CLIENT_SECRET. Standard output gets only the new token. Nothing is stored.`,
		Example: `  jeton token exchange --for archive --issuer https://auth.example --client reports --key k.pem
  jeton token exchange --for archive --issuer https://auth.example --client reports --max-uses 1`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error { return k.run(c) },
	}

	f := c.Flags()
	f.StringVar(&k.in.For, "for", "", "name or audience of the service that accepts the new token (required)")
	f.StringVar(&k.conf.Issuer, "issuer", "", "issuer of the tokens (required)")
	f.StringVar(&k.conf.Client, "client", "", "name of the client that exchanges the token (required)")
	f.StringVar(&k.conf.Key, "key", "", "file of the client's private key, PEM or JWK")
	f.StringVar(&k.file, "token-file", "", "read the token to exchange from a file")
	f.StringSliceVar(&k.in.Scope, "scope", nil, "scope of the new token (may be repeated; default: all possible)")
	f.Var((*usesFlag)(&k.in.MaxUses), "max-uses", "number of requests that it is valid for (default: as the rule)")
	f.BoolVar(&k.in.SharedUses, "shared-uses", false, "each use is one of the exchanged token, too, if that is counted")
	f.Var((*durationFlag)(&k.in.Lifetime), "expires", "lifetime, such as 30s (default: as the rule)")
	f.StringVar(&k.caFile, "cacert", "", "PEM file of the certificate to trust for the issuer")
	f.BoolVar(&k.conf.AllowHTTP, "allow-http", false, "accept plain http to another machine")
	k.out.flags(c)
	for _, name := range []string{"for", "issuer", "client"} {
		_ = c.MarkFlagRequired(name)
	}

	return c
}

// run exchanges the token and prints the new one.
func (k *exchangeFlags) run(c *cobra.Command) error {
	k.conf.Secret = jeton.NewSecret(os.Getenv(envClient))
	if (k.conf.Key == "") == k.conf.Secret.IsZero() {
		return usage{errors.New("the client needs --key or a secret in JETON_CLIENT_SECRET, and not both")}
	}
	if k.caFile != "" {
		b, err := os.ReadFile(k.caFile)
		if err != nil {
			return fmt.Errorf("--cacert: %w", err)
		}
		k.conf.CACert = string(b)
	}

	x, err := wallet.NewExchanger(k.conf)
	if err != nil {
		return err
	}
	subject, err := k.subject(c)
	if err != nil {
		return err
	}

	got, err := x.Exchange(c.Context(), subject, k.in)
	if err != nil {
		return err
	}

	return k.print(c, got)
}

// subject returns the token to exchange.
func (k *exchangeFlags) subject(c *cobra.Command) (jeton.Secret, error) {
	text := strings.TrimSpace(os.Getenv(envSubject))
	switch {
	case text != "" && k.file != "":
		return jeton.Secret{}, usage{errors.New("--token-file and JETON_SUBJECT_TOKEN exclude each other")}
	case text != "":
		return jeton.NewSecret(text), nil
	}

	source := tokenSource{file: k.file, stdin: k.file == "" && !term.IsTerminal(int(os.Stdin.Fd()))}

	return source.read(c, "Token to exchange")
}

// print prints the new token on standard output, and its terms on standard error.
func (k *exchangeFlags) print(c *cobra.Command, got wallet.Exchanged) error {
	if k.out.json {
		return printJSON(c.OutOrStdout(), exchangedToken{
			printedToken{got.Text.Reveal(), got.Opens, got.Expires.Truncate(time.Second)}, got.Scope, got.MaxUses,
		})
	}

	uses := "any number of uses"
	if got.MaxUses > 0 {
		uses = plural(got.MaxUses, "use")
	}
	fmt.Fprintf(
		c.ErrOrStderr(), "token for %s, %s, scopes [%s], until %s; it is shown only here:\n",
		k.in.For, uses, strings.Join(got.Scope, " "), whenKnown(got.Expires),
	)
	_, err := fmt.Fprintln(c.OutOrStdout(), got.Text.Reveal())

	return err
}

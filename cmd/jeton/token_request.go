package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/wallet"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// requestFlags are the flags of 'jeton token request'.
type requestFlags struct {
	as       string
	service  string
	lifetime time.Duration
	in       jeton.TokenRequest
	out      output
}

// tokenRequest implements 'jeton token request'.
func tokenRequest() *cobra.Command {
	k := requestFlags{lifetime: time.Hour}

	c := &cobra.Command{
		Use:   "request --for URL --name NAME [flags]",
		Short: "Ask a user for a token, wait for the approval, and print the token",
		Long: `Ask a user for a token at one service, wait until the user approves it, perhaps narrower, and
print it. The user sees the request on the page Requests of the account, for ten minutes. An
operator answers with 'jeton token approve' or 'jeton token deny'.

The request is made with an identity of the wallet, or in a command of 'jeton run' with the token
of that. A user asks itself; a client names the user (--user). Standard output gets only the token.`,
		Example: `  jeton token request --for https://shop.example --name weekly --allow "POST /reports" --max-uses 1
  jeton token request --for https://shop.example --as ci --user diane --name deploy --reason "release 1.4"`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error { return k.run(c) },
	}

	f := c.Flags()
	f.StringVar(&k.as, "as", "", "name of the identity that asks")
	f.StringVar(&k.service, "for", "", "URL of the service that accepts the token (required)")
	f.StringVar(&k.in.User, "user", "", "user to ask (default: the user of the identity)")
	f.StringVar(&k.in.Name, "name", "", "name of the token in lists and the audit log (required)")
	f.StringVar(&k.in.Reason, "reason", "", "what the user reads")
	narrowing(f, &k.in.TokenTerms)
	f.Var((*durationFlag)(&k.lifetime), "expires", "lifetime, such as 10m or 7d")
	k.out.flags(c)
	_ = c.MarkFlagRequired("for")
	_ = c.MarkFlagRequired("name")

	return c
}

// narrowing adds the flags that narrow a token that is asked for.
func narrowing(f *pflag.FlagSet, in *jeton.TokenTerms) {
	f.StringSliceVar(&in.Scopes, "scope", nil, "scope of the token (may be repeated)")
	f.StringArrayVar(
		&in.Allows, "allow", nil, `method and path that it is valid for, such as "GET /reports/*" (may be repeated)`,
	)
	f.Var(
		(*usesFlag)(&in.MaxUses), "max-uses",
		"number of requests that it is valid for (default: any, or as requested)",
	)
}

// run makes the request and waits for the answer.
func (k *requestFlags) run(c *cobra.Command) error {
	w, err := openWallet(false)
	if err != nil {
		return err
	}
	defer w.Close()

	k.in.Seconds = int64(k.lifetime / time.Second)
	asked, err := k.ask(c.Context(), w)
	if err != nil {
		return err
	}

	fmt.Fprintf(
		c.ErrOrStderr(), "request %s waits %v for the user, on the page Requests of the account\n",
		asked.ID(), asked.Waits(),
	)

	tok, secret, err := asked.Wait(c.Context())
	if err != nil {
		if c.Context().Err() != nil {
			withdraw(c, asked)
		}
		return err
	}
	if k.out.json {
		return printJSON(c.OutOrStdout(), jeton.TokenHandedOut{Token: tok, Secret: secret.Reveal()})
	}

	uses := "any number of uses"
	if tok.MaxUses > 0 {
		uses = plural(tok.MaxUses, "use")
	}
	fmt.Fprintf(
		c.ErrOrStderr(), "approved: token %s for %s, %s, until %s; it is shown only here:\n",
		tok.Accessor, strings.Join(tok.Audience, " "), uses, when(tok.Expires),
	)
	_, err = fmt.Fprintln(c.OutOrStdout(), secret.Reveal())

	return err
}

// withdraw ends a request that no program waits for any more, after a signal. A second signal ends the program.
func withdraw(c *cobra.Command, asked *wallet.TokenRequest) {
	const longest = 5 * time.Second

	ctx, cancel := context.WithTimeout(context.WithoutCancel(c.Context()), longest)
	defer cancel()

	if err := asked.Withdraw(ctx); err != nil {
		fmt.Fprintf(c.ErrOrStderr(), "jeton: %s; it ends by itself\n", oneLine(err.Error()))
		return
	}

	fmt.Fprintf(c.ErrOrStderr(), "withdrew request %s\n", asked.ID())
}

// ask makes the request with the token of an outer 'jeton run', unless --as names an identity.
func (k *requestFlags) ask(ctx context.Context, w *wallet.Wallet) (*wallet.TokenRequest, error) {
	if k.as == "" {
		outer, err := outerToken(k.service)
		if err != nil {
			return nil, err
		}
		if outer != nil {
			return w.RequestTokenWith(ctx, k.service, outer.secret, outer.caCert, k.in)
		}
	}

	id, err := identityAt(ctx, w, k.service, k.as)
	if err != nil {
		return nil, err
	}

	return id.RequestToken(ctx, k.in)
}

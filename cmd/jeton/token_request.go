//go:build !walletonly

package main

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/url"
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

// tokenRequests implements 'jeton token requests'.
func tokenRequests() *cobra.Command {
	var p place
	var out output
	var user string

	c := &cobra.Command{
		Use:     "requests --user USER",
		Short:   "List the requests for tokens that wait for a user, newest first",
		Args:    noArgs,
		Example: `  jeton token requests --user diane`,
	}

	path := func() string { return "/api/v1/token-requests?" + url.Values{"user": {user}}.Encode() }
	headings := []string{
		"ID",
		"REQUESTED BY",
		"NAME",
		"SERVICE",
		"SCOPES",
		"ALLOWS",
		"USES",
		"LIFETIME",
		"REASON",
		"ENDS",
	}
	c.RunE = listing(&p, &out, path, headings, func(r jeton.WaitingRequest) []string {
		uses := "not counted"
		if r.MaxUses > 0 {
			uses = fmt.Sprint(r.MaxUses)
		}

		return []string{
			r.ID,
			r.By,
			r.Name,
			r.Service,
			cmp.Or(strings.Join(r.Scopes, " "), "-"),
			cmp.Or(strings.Join(r.Allows, ", "), "every request"),
			uses,
			(time.Duration(r.Seconds) * time.Second).String(),
			r.Reason,
			when(r.Expires),
		}
	})

	c.Flags().StringVar(&user, "user", "", "user who is asked (required)")
	_ = c.MarkFlagRequired("user")

	return withFlags(c, &p, &out)
}

// answerPath returns the path in the API at which a request is answered.
func answerPath(id, answer string) string {
	return "/api/v1/token-requests/" + url.PathEscape(id) + "/" + answer
}

// tokenApprove implements 'jeton token approve'.
func tokenApprove() *cobra.Command {
	var in jeton.TokenTerms
	var lifetime time.Duration

	c := changeCommand(&cobra.Command{
		Use:   "approve REQUEST",
		Short: "Approve a request for a token for its user, perhaps narrower",
		Args:  exactArgs("REQUEST"),
		Example: `  jeton token approve r_06h03tp9e1xyq4jgdbkdrx8
  jeton token approve r_06h03tp9e1xyq4jgdbkdrx8 --max-uses 3 --expires 10m`,
	}, func(args []string) (change, error) {
		body := jeton.TokenApproval{
			Scopes:  in.Scopes,
			Allows:  in.Allows,
			MaxUses: in.MaxUses,
			Seconds: int64(lifetime / time.Second),
		}

		return change{
			method:  http.MethodPost,
			path:    answerPath(args[0], "approve"),
			body:    body,
			subject: "request " + args[0],
			done:    "approved " + args[0],
		}, nil
	})
	narrowing(c.Flags(), &in)
	c.Flags().Var((*durationFlag)(&lifetime), "expires", "lifetime, such as 10m (default: as requested)")

	return c
}

// tokenDeny implements 'jeton token deny'.
func tokenDeny() *cobra.Command {
	return changeCommand(&cobra.Command{
		Use:     "deny REQUEST",
		Short:   "Refuse a request for a token",
		Args:    exactArgs("REQUEST"),
		Example: `  jeton token deny r_06h03tp9e1xyq4jgdbkdrx8`,
	}, func(args []string) (change, error) {
		return change{
			method:  http.MethodPost,
			path:    answerPath(args[0], "deny"),
			subject: "request " + args[0],
			done:    "refused " + args[0],
		}, nil
	})
}

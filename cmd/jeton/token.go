package main

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/jeton-auth/jeton"

	"github.com/spf13/cobra"
)

func tokenCommand() *cobra.Command {
	c := &cobra.Command{
		Use:     "token",
		Short:   "Make, list, revoke and print tokens",
		Example: `  jeton token create nightly --user diane --service reports --expires 12h --max-uses 3`,
	}

	c.AddCommand(tokenCreate(), tokenList(), tokenShow(), tokenRotate(), tokenRevoke(), tokenPrint())
	return c
}

func tokenList() *cobra.Command {
	var p place
	var out output
	var client, user string

	c := &cobra.Command{
		Use:   "list",
		Short: "List stored tokens, newest first",
		Args:  noArgs,
		Long: `List stored tokens, newest first: opaque tokens, and all tokens that are counted. Signed
tokens that are not counted are not stored.`,
		Example: `  jeton token list --client ci`,
	}

	path := func() string {
		return "/api/v1/tokens?" + url.Values{"client": {client}, "user": {user}}.Encode()
	}
	headings := []string{"ACCESSOR", "FORMAT", "OWNER", "SERVICES", "SCOPES", "VALID FROM", "EXPIRES", "USES LEFT"}
	c.RunE = listing(&p, &out, path, headings, func(t jeton.Token) []string {
		return []string{
			t.Accessor,
			t.Format,
			t.Client + t.User,
			strings.Join(t.Audience, " "),
			strings.Join(t.Scopes, " "),
			when(t.NotBefore),
			when(t.Expires),
			usesLeft(t),
		}
	})

	p.flags(c)
	out.flags(c)
	c.Flags().StringVar(&client, "client", "", "of this client")
	c.Flags().StringVar(&user, "user", "", "of this user")

	return c
}

func tokenRevoke() *cobra.Command {
	return changeCommand(&cobra.Command{
		Use:     "revoke ACCESSOR",
		Short:   "Revoke a token by its accessor (the jti of a signed token)",
		Example: `  jeton token revoke t_06h03tp9e1xyq4jgdbkdrx8`,
		Args:    exactArgs("ACCESSOR"),
	}, func(args []string) (change, error) {
		return change{
			method: http.MethodDelete,
			path:   "/api/v1/tokens/" + url.PathEscape(args[0]),
			done:   "revoked " + strconv.Quote(args[0]),
		}, nil
	})
}

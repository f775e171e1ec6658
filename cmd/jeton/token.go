//go:build !walletonly

package main

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/api"

	"github.com/spf13/cobra"
)

// tokenCommand implements 'jeton token'. All of its commands but print, request and exchange manage the
// tokens of a server; the first two of those read the wallet.
func tokenCommand() *cobra.Command {
	c := &cobra.Command{
		Use:     "token",
		Short:   "Make, list, revoke and print tokens",
		Example: `  jeton token create nightly --user diane --service reports --expires 12h --max-uses 3`,
	}

	c.AddCommand(tokenCreate(), tokenList(), tokenShow(), tokenRotate(), tokenRevoke(), tokenPrint())
	c.AddCommand(tokenExchange(), tokenRequest(), tokenRequests(), tokenApprove(), tokenDeny())
	return c
}

// tokenPath returns the path of a token in the API, by its public handle and never by its
// secret: paths are logged.
func tokenPath(accessor string) string { return "/api/v1/tokens/" + url.PathEscape(accessor) }

// tokenList implements 'jeton token list'. An owner is a client or a user, never both, hence
// one column.
func tokenList() *cobra.Command {
	var p place
	var out output
	var client, user string
	var kinds []string

	c := &cobra.Command{
		Use:   "list",
		Short: "List stored tokens, newest first",
		Args:  noArgs,
		Long: `List stored tokens, newest first: opaque tokens, and all tokens that are counted. Signed
tokens that are not counted are stored only once they have been exchanged. A token is of kind
personal, approved (a program requested it), leased (of a running job of 'jeton run'), exchanged
(a client acts for its owner) or access (issued to a proved user or client).`,
		Example: `  jeton token list --client ci
  jeton token list --user diane --kind leased`,
	}

	path := func() string {
		return "/api/v1/tokens?" + url.Values{"client": {client}, "user": {user}, "kind": kinds}.Encode()
	}
	headings := []string{
		"ACCESSOR",
		"NAME",
		"KIND",
		"FORMAT",
		"OWNER",
		"SERVICES",
		"SCOPES",
		"VALID FROM",
		"EXPIRES",
		"LAST USED",
		"USES LEFT",
		"PARENT",
	}
	c.RunE = listingOf(&p, &out, path, owners(&user, &client), headings, func(t jeton.Token) []string {
		return []string{
			t.Accessor,
			cmp.Or(t.Name, "-"),
			t.Kind,
			t.Format,
			t.Client + t.User,
			strings.Join(t.Audience, " "),
			strings.Join(t.Scopes, " "),
			when(t.NotBefore),
			when(t.Expires),
			when(t.LastUsed),
			usesLeft(t),
			cmp.Or(t.Parent, "-"),
		}
	})

	p.flags(c)
	out.flags(c)
	c.Flags().StringVar(&client, "client", "", "of this client")
	c.Flags().StringVar(&user, "user", "", "of this user")
	c.Flags().StringSliceVar(&kinds, "kind", nil, "of this kind, such as leased (may be repeated)")

	return c
}

// usesLeft is the column USES LEFT. A token without a limit has no number: its uses are not
// counted at all.
func usesLeft(t jeton.Token) string {
	if t.UsesRemaining == nil {
		return "not counted"
	}
	return fmt.Sprintf("%d of %d", *t.UsesRemaining, t.MaxUses)
}

// tokenShow implements 'jeton token show'.
func tokenShow() *cobra.Command {
	var p place
	var out output

	c := &cobra.Command{
		Use:     "show TOKEN",
		Short:   "Show a token, by its accessor or name, and its terms",
		Args:    exactArgs("TOKEN"),
		Example: `  jeton token show t_06h03tp9e1xyq4jgdbkdrx8`,
	}

	c.RunE = withControl(&p, func(ctx context.Context, c *cobra.Command, args []string, ctl *control) error {
		accessor, err := tokenAccessor(ctx, ctl, args[0])
		if err != nil {
			return err
		}

		var t jeton.Token
		if err := ctl.call(ctx, http.MethodGet, tokenPath(accessor), nil, &t); err != nil {
			return named(err, "token "+args[0])
		}

		rows := [][]string{
			{"accessor", t.Accessor},
			{"name", t.Name},
			{"parent", t.Parent},
			{"owner", t.User + t.Client},
			{"kind", t.Kind + ", " + t.Format},
			{"services", strings.Join(t.Audience, " ")},
			{"scopes", strings.Join(t.Scopes, " ")},
			{"allows", strings.Join(t.Allows, ", ")},
			{"networks", strings.Join(t.Networks, " ")},
			{"created", when(t.Created)},
			{"created from", t.Source},
			{"valid from", when(t.NotBefore)},
			{"expires", when(t.Expires)},
			{"last used", when(t.LastUsed)},
			{"uses left", usesLeft(t)},
		}

		return out.print(c.OutOrStdout(), t, []string{"FIELD", "VALUE"}, rows)
	})

	return withFlags(c, &p, &out)
}

// tokenRotate implements 'jeton token rotate'.
func tokenRotate() *cobra.Command {
	var p place
	var out output

	c := &cobra.Command{
		Use:     "rotate TOKEN",
		Short:   "Replace the secret of a personal token and print the new one",
		Args:    exactArgs("TOKEN"),
		Example: `  jeton token rotate t_06h03tp9e1xyq4jgdbkdrx8`,
		Long: `Replace the secret of a personal token and print the new one, only here. The old secret is
refused from then on. Uses that were taken stay taken, and derived tokens are revoked.`,
	}

	c.RunE = withControl(&p, func(ctx context.Context, c *cobra.Command, args []string, ctl *control) error {
		accessor, err := tokenAccessor(ctx, ctl, args[0])
		if err != nil {
			return err
		}

		var made api.MadeToken
		if err := ctl.call(ctx, http.MethodPost, tokenPath(accessor)+"/rotate", nil, &made); err != nil {
			return named(err, "token "+args[0])
		}

		return printCreated(c, out, made, ctl.where)
	})

	return withFlags(c, &p, &out)
}

// tokenRevoke implements 'jeton token revoke'. Stored or not, the token goes on the revocation
// list, which services that check tokens themselves read.
func tokenRevoke() *cobra.Command {
	var p place

	c := &cobra.Command{
		Use:   "revoke TOKEN",
		Short: "Revoke a token by its accessor (the jti of a signed token) or its name",
		Example: `  jeton token revoke t_06h03tp9e1xyq4jgdbkdrx8
  jeton token revoke nightly`,
		Args: exactArgs("TOKEN"),
	}

	c.RunE = withControl(&p, func(ctx context.Context, c *cobra.Command, args []string, ctl *control) error {
		accessor, err := tokenAccessor(ctx, ctl, args[0])
		if err != nil {
			return err
		}

		if err := ctl.call(ctx, http.MethodDelete, tokenPath(accessor), nil, nil); err != nil {
			return named(err, "token "+args[0])
		}

		text := strconv.Quote(accessor)
		if accessor != args[0] {
			text += " (" + args[0] + ")"
		}
		fmt.Fprintln(c.OutOrStdout(), "revoked", text, ctl.where)

		return nil
	})

	return withFlags(c, &p)
}

// tokenAccessor returns the accessor that an operator means: the text itself, or that of the one
// stored token with this name. An accessor comes first: names are chosen by users.
func tokenAccessor(ctx context.Context, ctl *control, text string) (string, error) {
	var list []jeton.Token
	if err := ctl.call(ctx, http.MethodGet, "/api/v1/tokens", nil, &list); err != nil {
		return "", err
	}

	var found []string
	for _, t := range list {
		if t.Accessor == text {
			return text, nil
		}
		if t.Name == text {
			found = append(found, t.Accessor)
		}
	}

	switch len(found) {
	case 0:
		return text, nil // a signed token that is not stored, or unknown
	case 1:
		return found[0], nil
	}

	return "", jeton.WithDetail(
		jeton.ErrConflict,
		fmt.Sprintf("%d tokens have the name %s: %s; use an accessor", len(found), text, strings.Join(found, ", ")),
	)
}

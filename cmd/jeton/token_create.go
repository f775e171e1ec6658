//go:build !walletonly

package main

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/api"

	"github.com/spf13/cobra"
)

// tokenFlags are the flags of 'jeton token create'.
type tokenFlags struct {
	place    place
	out      output
	request  api.NewToken
	lifetime time.Duration
}

// tokenCreate implements 'jeton token create'.
func tokenCreate() *cobra.Command {
	var t tokenFlags

	c := &cobra.Command{
		Use:   "create NAME",
		Short: "Create a personal token and print it",
		Long: `Create a personal token for a user or a client, and print it. This is the only time it is
shown: Jeton stores its SHA-256. The services of the token accept it as a Bearer token, or as
either half of Basic; the other half may be anything.

Standard output gets only the token, for scripts; standard error says what it is valid for.`,
		Example: `  jeton token create nightly --user diane --service reports --expires 12h --max-uses 3
  jeton token create agent --parent t_06h03tp9e1xyq4jgdbkdrx8 --service reports --allow "GET /reports/*" --expires 10m`,
		Args: exactArgs("NAME"),
	}

	c.RunE = withControl(&t.place, t.create)

	return withFlags(c, &t.place, &t.out, &t)
}

func (t *tokenFlags) flags(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&t.request.User, "user", "", "user who owns the token")
	f.StringVar(&t.request.Client, "client", "", "client that owns the token")

	f.StringVar(
		&t.request.Parent, "parent", "",
		"accessor of the parent token: the new one has no more rights, and is revoked with it",
	)

	f.StringSliceVar(&t.request.Services, "service", nil, "service that accepts it (may be repeated)")
	f.StringSliceVar(&t.request.Scopes, "scope", nil, "scope of the token (may be repeated)")
	f.StringArrayVar(
		&t.request.Allows, "allow", nil,
		`method and path that it is valid for, such as "GET /reports/*" (may be repeated; default: all)`,
	)

	f.StringSliceVar(
		&t.request.Networks, "from", nil,
		"address or CIDR that it is accepted from (may be repeated; default: all)",
	)

	f.Var((*usesFlag)(&t.request.MaxUses), "max-uses", "number of requests that it is valid for (default: no limit)")
	f.Var((*timeFlag)(&t.request.NotBefore), "not-before", "start of validity (RFC 3339; default: now)")
	f.Var((*durationFlag)(&t.lifetime), "expires", "lifetime, such as 30m, 12h or 7d (required)")
	_ = c.MarkFlagRequired("expires")
	_ = c.MarkFlagRequired("service")
}

// create requests the token. The lifetime becomes a time by the clock of this machine, on
// which the server runs as well: the control socket is local.
func (t *tokenFlags) create(ctx context.Context, c *cobra.Command, args []string, ctl *control) error {
	in := &t.request
	in.Name = args[0]
	in.Expires = time.Now().Add(t.lifetime)

	// A derived token belongs to the owner of its parent, who need not be repeated.
	if in.Parent != "" && in.User == "" && in.Client == "" {
		if err := setOwnerFromParent(ctx, ctl, in); err != nil {
			return err
		}
	}

	var made api.MadeToken
	if err := ctl.call(ctx, http.MethodPost, "/api/v1/tokens", in, &made); err != nil {
		return err
	}

	return printCreated(c, t.out, made, ctl.where)
}

// setOwnerFromParent sets the owner of a new token to that of its parent.
func setOwnerFromParent(ctx context.Context, ctl *control, in *api.NewToken) error {
	var parent jeton.Token
	if err := ctl.call(ctx, http.MethodGet, tokenPath(in.Parent), nil, &parent); err != nil {
		return err
	}

	in.User = parent.User
	in.Client = parent.Client

	return nil
}

// printCreated prints a new token with its secret.
func printCreated(c *cobra.Command, out output, made api.MadeToken, where string) error {
	if out.json {
		return printJSON(c.OutOrStdout(), made)
	}

	uses := "any number of uses"
	if made.MaxUses > 0 {
		uses = plural(made.MaxUses, "use")
	}

	fmt.Fprintf(
		c.ErrOrStderr(), "token %s of %s for %s, %s, until %s, %s; it is shown only here:\n", made.Accessor,
		cmp.Or(made.User, made.Client), strings.Join(made.Audience, " "), uses, when(made.Expires), where,
	)

	_, err := fmt.Fprintln(c.OutOrStdout(), made.Secret)

	return err
}

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/api"

	"github.com/spf13/cobra"
)

func tokenCreate() *cobra.Command {
	var p place
	var out output
	var in api.NewToken
	var expires time.Duration
	var notBefore string

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

	c.RunE = withControl(&p, func(ctx context.Context, c *cobra.Command, args []string, ctl *control) error {
		in.Name = args[0]
		in.Expires = time.Now().Add(expires)

		if notBefore != "" {
			at, err := time.Parse(time.RFC3339, notBefore)
			if err != nil {
				return usage{errors.New("invalid --not-before: want a time such as 2026-12-01T08:00:00Z")}
			}
			in.NotBefore = at
		}

		if in.Parent != "" && in.User == "" && in.Client == "" {
			if err := setOwnerFromParent(ctx, ctl, &in); err != nil {
				return err
			}
		}

		var made api.MadeToken
		if err := ctl.call(ctx, http.MethodPost, "/api/v1/tokens", in, &made); err != nil {
			return err
		}

		return printCreated(c, out, made)
	})

	p.flags(c)
	out.flags(c)
	f := c.Flags()
	f.StringVar(&in.User, "user", "", "user who owns the token")
	f.StringVar(&in.Client, "client", "", "client that owns the token")

	f.StringVar(
		&in.Parent,
		"parent",
		"",
		"accessor of the parent token: the new one has no more rights, and is revoked with it",
	)

	f.StringSliceVar(&in.Services, "service", nil, "service that accepts it (may be repeated)")
	f.StringSliceVar(&in.Scopes, "scope", nil, "scope of the token (may be repeated)")
	f.StringArrayVar(
		&in.Allows,
		"allow",
		nil,
		`method and path that it is valid for, such as "GET /reports/*" (may be repeated; default: all)`,
	)

	f.StringSliceVar(
		&in.Networks,
		"from",
		nil,
		"address or CIDR that it is accepted from (may be repeated; default: all)",
	)

	f.Int64Var(&in.MaxUses, "max-uses", 0, "number of requests that it is valid for (default: no limit)")
	f.StringVar(&notBefore, "not-before", "", "start of validity (RFC 3339; default: now)")
	f.DurationVar(&expires, "expires", 0, "lifetime, such as 30m or 720h (required)")
	_ = c.MarkFlagRequired("expires")
	_ = c.MarkFlagRequired("service")

	return c
}

// setOwnerFromParent sets the owner of a new token to that of its parent.
func setOwnerFromParent(ctx context.Context, ctl *control, in *api.NewToken) error {
	var parent jeton.Token
	if err := ctl.call(ctx, http.MethodGet, "/api/v1/tokens/"+url.PathEscape(in.Parent), nil, &parent); err != nil {
		return err
	}

	in.User = parent.User
	in.Client = parent.Client

	return nil
}

// printCreated prints a new token with its secret.
func printCreated(c *cobra.Command, out output, made api.MadeToken) error {
	asJSON, err := out.json()
	if err != nil {
		return err
	}
	if asJSON {
		return out.print(c.OutOrStdout(), made, nil, nil)
	}

	uses := "any number of uses"
	if made.MaxUses > 0 {
		uses = fmt.Sprintf("%d uses", made.MaxUses)
	}

	fmt.Fprintf(
		c.ErrOrStderr(),
		"token %s of %s for %s, %s, until %s; it is shown only here:\n",
		made.Accessor,
		cmp.Or(made.User, made.Client),
		strings.Join(made.Audience, " "),
		uses,
		when(made.Expires),
	)

	_, err = fmt.Fprintln(c.OutOrStdout(), made.Secret)

	return err
}

func tokenShow() *cobra.Command {
	var p place
	var out output

	c := &cobra.Command{
		Use:     "show ACCESSOR",
		Short:   "Show a token and its terms",
		Args:    exactArgs("ACCESSOR"),
		Example: `  jeton token show t_06h03tp9e1xyq4jgdbkdrx8`,
	}

	c.RunE = withControl(&p, func(ctx context.Context, c *cobra.Command, args []string, ctl *control) error {
		var t jeton.Token
		if err := ctl.call(ctx, http.MethodGet, "/api/v1/tokens/"+url.PathEscape(args[0]), nil, &t); err != nil {
			return err
		}

		rows := [][]string{
			{"accessor", t.Accessor},
			{"name", t.Name},
			{"owner", t.User + t.Client},
			{"kind", t.Kind + ", " + t.Format},
			{"services", strings.Join(t.Audience, " ")},
			{"scopes", strings.Join(t.Scopes, " ")},
			{"allows", strings.Join(t.Allows, ", ")},
			{"networks", strings.Join(t.Networks, " ")},
			{"created", when(t.Created)},
			{"valid from", when(t.NotBefore)},
			{"expires", when(t.Expires)},
			{"uses left", usesLeft(t)},
		}

		return out.print(c.OutOrStdout(), t, []string{"FIELD", "VALUE"}, rows)
	})

	return withFlags(c, &p, &out)
}

func usesLeft(t jeton.Token) string {
	if t.UsesRemaining == nil {
		return "not counted"
	}
	return fmt.Sprintf("%d of %d", *t.UsesRemaining, t.MaxUses)
}

func tokenRotate() *cobra.Command {
	var p place
	var out output

	c := &cobra.Command{
		Use:     "rotate ACCESSOR",
		Short:   "Replace the secret of a personal token and print the new one",
		Args:    exactArgs("ACCESSOR"),
		Example: `  jeton token rotate t_06h03tp9e1xyq4jgdbkdrx8`,
		Long: `Replace the secret of a personal token and print the new one, only here. The old secret is
refused from then on. Uses that were taken stay taken, and derived tokens are revoked.`,
	}

	c.RunE = withControl(&p, func(ctx context.Context, c *cobra.Command, args []string, ctl *control) error {
		var made api.MadeToken
		if err := ctl.call(
			ctx,
			http.MethodPost,
			"/api/v1/tokens/"+url.PathEscape(args[0])+"/rotate",
			nil,
			&made,
		); err != nil {
			return err
		}

		return printCreated(c, out, made)
	})

	return withFlags(c, &p, &out)
}

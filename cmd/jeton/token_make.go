package main

import (
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
		Short: "Make a personal token, and print it this once",
		Long: `Make a personal token for a user or a client, and print it this once: its SHA-256 alone is
kept. It opens the services that it names, as Bearer, as the password of Basic with any
name, or as the name of Basic with any password. It ends by itself (--expires).

The token alone goes to standard output, so that a script can take it; what it is good for
goes to standard error.`,
		Example: `  jeton token create nightly --user diane --service reports --expires 12h --max-uses 3
  jeton token create agent --parent t_06h03tp9e1xyq4jgdbkdrx8 --service reports --allow "GET /reports/*" --expires 10m`,
		Args: exactArgs("NAME"),
	}

	c.RunE = withControl(&p, func(ctx context.Context, c *cobra.Command, args []string, ctl *control) error {
		in.Name, in.Expires = args[0], time.Now().Add(expires)
		if notBefore != "" {
			at, err := time.Parse(time.RFC3339, notBefore)
			if err != nil {
				return usage{errors.New("--not-before is a time such as 2026-12-01T08:00:00Z")}
			}
			in.NotBefore = at
		}

		if in.Parent != "" && in.User == "" && in.Client == "" {
			if err := ownerOf(ctx, ctl, &in); err != nil {
				return err
			}
		}

		var made api.MadeToken
		if err := ctl.call(ctx, http.MethodPost, "/api/v1/tokens", in, &made); err != nil {
			return err
		}

		return printMade(c, out, made)
	})

	p.flags(c)
	out.flags(c)
	f := c.Flags()
	f.StringVar(&in.User, "user", "", "person whose token it is")
	f.StringVar(&in.Client, "client", "", "client whose token it is")

	f.StringVar(
		&in.Parent,
		"parent",
		"",
		"accessor of the token that it is made of: it is never wider, and ends with it",
	)
	f.StringSliceVar(&in.Services, "service", nil, "service that it opens (may be repeated)")
	f.StringSliceVar(&in.Scopes, "scope", nil, "scope that it has (may be repeated)")
	f.StringArrayVar(
		&in.Allows,
		"allow",
		nil,
		`method and path that it is good for, as in "GET /reports/*" (may be repeated; default: all)`,
	)
	f.StringSliceVar(
		&in.Networks,
		"from",
		nil,
		"address or CIDR that it may come from (may be repeated; default: everywhere)",
	)

	f.Int64Var(&in.MaxUses, "max-uses", 0, "how many requests it is good for (default: no limit)")
	f.StringVar(&notBefore, "not-before", "", "when it begins to be good (RFC 3339; default: now)")
	f.DurationVar(&expires, "expires", 0, "how long it is good, as in 30m or 720h (required)")
	_ = c.MarkFlagRequired("expires")
	_ = c.MarkFlagRequired("service")

	return c
}

// ownerOf takes the owner of a token from the one that it is to be made of.
func ownerOf(ctx context.Context, ctl *control, in *api.NewToken) error {
	var parent jeton.Token
	if err := ctl.call(ctx, http.MethodGet, "/api/v1/tokens/"+url.PathEscape(in.Parent), nil, &parent); err != nil {
		return err
	}

	in.User, in.Client = parent.User, parent.Client
	return nil
}

// printMade shows a token this once.
func printMade(c *cobra.Command, out output, made api.MadeToken) error {
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
		"token %s of %s%s for %s, %s, until %s; it is shown this once:\n",
		made.Accessor,
		made.User,
		made.Client,
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
		Short:   "Show what a token is good for",
		Args:    exactArgs("ACCESSOR"),
		Example: `  jeton token show t_06h03tp9e1xyq4jgdbkdrx8`,
	}
	c.RunE = withControl(&p, func(ctx context.Context, c *cobra.Command, args []string, ctl *control) error {
		var t jeton.Token
		if err := ctl.call(ctx, http.MethodGet, "/api/v1/tokens/"+url.PathEscape(args[0]), nil, &t); err != nil {
			return err
		}

		rows := [][]string{
			{
				"accessor",
				t.Accessor,
			}, {
				"name",
				t.Name,
			}, {
				"owner",
				t.User + t.Client,
			}, {"kind", t.Kind + ", " + t.Format}, {"services", strings.Join(t.Audience, " ")},
			{
				"scopes",
				strings.Join(t.Scopes, " "),
			}, {"allows", strings.Join(t.Allows, ", ")}, {"networks", strings.Join(t.Networks, " ")},
			{
				"made",
				when(t.Created),
			}, {"good from", when(t.NotBefore)}, {"ends", when(t.Expires)}, {"uses left", usesLeft(t)},
		}

		return out.print(c.OutOrStdout(), t, []string{"WHAT", "VALUE"}, rows)
	})

	p.flags(c)
	out.flags(c)

	return c
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
		Short:   "Give a personal token another secret, and print it this once",
		Args:    exactArgs("ACCESSOR"),
		Example: `  jeton token rotate t_06h03tp9e1xyq4jgdbkdrx8`,
		Long:    "Give a personal token another secret, and print it this once. The old one is refused from then on. Uses that it has taken stay taken, and tokens that were made of it end.",
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
		return printMade(c, out, made)
	})

	p.flags(c)
	out.flags(c)

	return c
}

//go:build !walletonly

package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/api"

	"github.com/spf13/cobra"
)

// sessionCommand implements 'jeton session', for sessions of the server. Those that the wallet
// holds are shown by 'jeton identities'.
func sessionCommand() *cobra.Command {
	c := &cobra.Command{Use: "session", Short: "List and end sessions", Example: `  jeton session list --user diane`}
	c.AddCommand(sessionList(), sessionEnd())
	return c
}

// sessionList implements 'jeton session list'. Both filters may be empty.
func sessionList() *cobra.Command {
	var p place
	var out output
	var user, service string

	c := &cobra.Command{
		Use:     "list",
		Short:   "List sessions, newest first",
		Args:    noArgs,
		Example: `  jeton session list --user diane`,
	}

	path := func() string {
		return "/api/v1/sessions?" + url.Values{"user": {user}, "service": {service}}.Encode()
	}
	headings := []string{"ID", "USER", "SERVICE", "SINCE", "LAST USED", "EXPIRES", "FROM"}
	c.RunE = listingOf(&p, &out, path, owners(&user, nil), headings, func(s jeton.Session) []string {
		return []string{s.ID, s.User, s.Service, when(s.Created), when(s.LastUsed), when(s.Expires), s.Source}
	})

	p.flags(c)
	out.flags(c)
	c.Flags().StringVar(&user, "user", "", "of this user")
	c.Flags().StringVar(&service, "service", "", "at this service")

	return c
}

// sessionEnd implements 'jeton session end'. Without any selection it is refused: a forgotten
// argument must not end all sessions.
func sessionEnd() *cobra.Command {
	var p place
	var user, service string
	var all, yes bool

	c := &cobra.Command{
		Use:   "end [ID]",
		Short: "End one session, all sessions of a user or service, or every session",
		Long: `End one session, all sessions of a user or service, or with --all every session of every
user, such as after a theft of cookies. Users sign in again. Tokens stay valid: 'jeton user
end-tokens' revokes those of a user.`,
		Example: `  jeton session end s_06f3k2
  jeton session end --user diane --service shop
  jeton session end --all --yes`,
		Args: func(_ *cobra.Command, args []string) error {
			named := len(args) > 0 || user != "" || service != ""
			switch {
			case all && named:
				return usage{errors.New("--all ends every session; leave out the id, --user and --service")}
			case all && !yes:
				return usage{errors.New("--all ends the sessions of all users; add --yes if that is right")}
			case all:
				return nil
			// --user and --service may come beside an id: all must fit then.
			case len(args) > 1 || !named:
				return usage{errors.New("name one session by its id, or --user, or --service, or --all")}
			}
			return nil
		},
	}

	c.RunE = withControl(&p, func(ctx context.Context, c *cobra.Command, args []string, ctl *control) error {
		which := url.Values{"user": {user}, "service": {service}}
		if len(args) == 1 {
			which.Set("id", args[0])
		}
		if all {
			which = url.Values{"all": {"true"}}
		}
		return endSessions(ctx, c, ctl, which)
	})

	p.flags(c)
	c.Flags().StringVar(&user, "user", "", "of this user")
	c.Flags().StringVar(&service, "service", "", "at this service")
	c.Flags().BoolVar(&all, "all", false, "every session of every user")
	c.Flags().BoolVar(&yes, "yes", false, "end them without another question, with --all")

	return c
}

// endSessions ends the selected sessions and prints their number. None is jeton.ErrNotFound,
// exit code 5, because the selection was probably misspelled; of all sessions there may be none.
func endSessions(ctx context.Context, c *cobra.Command, ctl *control, which url.Values) error {
	var ended api.Ended
	if err := ctl.call(ctx, http.MethodDelete, "/api/v1/sessions?"+which.Encode(), nil, &ended); err != nil {
		return err
	}
	if ended.Ended == 0 && !which.Has("all") {
		return jeton.WithDetail(jeton.ErrNotFound, "there is no such session")
	}

	fmt.Fprintln(c.OutOrStdout(), "ended", plural(ended.Ended, "session"), ctl.where)

	return nil
}

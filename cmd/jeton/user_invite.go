//go:build !walletonly

package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/jeton-auth/jeton/internal/api"

	"github.com/spf13/cobra"
)

// inviteFlags are the flags of 'jeton user invite'.
type inviteFlags struct {
	place    place
	request  api.NewInvitation
	lifetime time.Duration
}

// userInvite implements 'jeton user invite'. The operator learns no password.
func userInvite() *cobra.Command {
	var f inviteFlags

	c := &cobra.Command{
		Use:   "invite [ADDRESS]",
		Short: "Invite users to make accounts of their own",
		Long: `Print a link with which a user chooses a name and a password, and becomes a user in the groups
that you give; or send it to an e-mail address. It works for 30 minutes and once, unless you say
otherwise. Send a link that is printed in a way that others do not read: the first user who opens it
gets the account.`,
		Example: `  jeton user invite --group staff
  jeton user invite diane@example.org --group staff --expires 24h
  jeton user invite --note "course of spring" --group students --max-uses 30 --expires 2h`,
		Args: cobra.MaximumNArgs(1),
	}

	c.RunE = withControl(&f.place, f.invite)

	return withFlags(c, &f.place, &f)
}

func (f *inviteFlags) flags(c *cobra.Command) {
	flags := c.Flags()
	flags.StringSliceVar(&f.request.Groups, "group", nil, "group of the new users (may be repeated)")
	flags.StringVar(&f.request.Note, "note", "", "note for the list of invitations; the invited do not see it")
	f.request.Uses = 1
	flags.Var((*usesFlag)(&f.request.Uses), "max-uses", "number of accounts, at most 1000")
	f.lifetime = 30 * time.Minute
	flags.Var((*durationFlag)(&f.lifetime), "expires", "lifetime, such as 30m, 12h or 7d, which is the longest")
}

// invite makes the invitation.
func (f *inviteFlags) invite(ctx context.Context, c *cobra.Command, args []string, ctl *control) error {
	in := f.request
	in.Lifetime = int64(f.lifetime / time.Second)
	if len(args) == 1 {
		in.Email = args[0]
	}

	var made api.MadeInvitation
	if err := ctl.call(ctx, http.MethodPost, "/api/v1/invitations", in, &made); err != nil {
		return fmt.Errorf("invite: %w", err)
	}

	if made.URL == "" {
		fmt.Fprintf(c.OutOrStdout(), "the invitation %s is on its way to %s\n", made.ID, made.Email)
		return nil
	}
	fmt.Fprintln(c.OutOrStdout(), made.URL)

	return nil
}

// userInvitations implements 'jeton user invitations'.
func userInvitations() *cobra.Command {
	var p place
	var out output

	c := &cobra.Command{
		Use:     "invitations",
		Short:   "List invitations, also those that are used up or have expired within a day",
		Args:    noArgs,
		Example: `  jeton user invitations`,
	}

	path := func() string { return "/api/v1/invitations" }
	headings := []string{"ID", "FOR", "GROUPS", "USED", "BY", "UNTIL"}
	c.RunE = listing(&p, &out, path, headings, func(inv api.Invitation) []string {
		return []string{
			inv.ID,
			strings.Join(strings.Fields(inv.Note+" "+inv.Email), " "),
			strings.Join(inv.Groups, ","),
			fmt.Sprintf("%d of %d", inv.Used, inv.Most),
			inv.By,
			when(inv.Expires),
		}
	})

	c.AddCommand(changeCommand(&cobra.Command{
		Use:     "end ID",
		Short:   "End an invitation; users who were added by it stay",
		Args:    exactArgs("ID"),
		Example: `  jeton user invitations end i_06h03tp9e1xyq4jgdbkdrx8`,
	}, func(args []string) (change, error) {
		return change{
			method:  http.MethodDelete,
			path:    "/api/v1/invitations/" + url.PathEscape(args[0]),
			subject: "invitation " + args[0],
			done:    "ended invitation " + args[0],
		}, nil
	}))

	return withFlags(c, &p, &out)
}

//go:build !walletonly

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/api"
	"github.com/jeton-auth/jeton/internal/naming"

	"github.com/spf13/cobra"
)

// userCommand implements 'jeton user'. All of its commands call the API below /api/v1/users,
// except for the end of sessions.
func userCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "user",
		Short: "Manage users: add, list, disable, passwd, …",
		Long: `Manage users. The commands work with the server running or stopped; run them as a user
who may open its data directory. Users declared in the configuration file are changed only
there.`,
		Example: `  jeton user add diane --group staff
  jeton user list --output json`,
	}

	c.AddCommand(
		userAdd(),
		userList(),
		disabling("disable", "user", "diane", "Disable a user and end all sessions and tokens of that user"),
		disabling("enable", "user", "diane", "Let a disabled user log in again"),
		userPasswd(),
		userRecover(),
		userInvite(),
		userInvitations(),
		userGroups(),
		userLogout(),
		userEndTokens(),
		userAllowLogin(),
		userFactors(),
		userIdentities(),
		userRemove(),
		userImport(),
		userExport(),
	)

	return c
}

// changingWithPassword is changing for a command that asks for a password first, so that the
// data directory is not locked while the operator types.
func changingWithPassword(
	p *place,
	pw *passwordSource,
	prompt string,
	of func(name, password string) change,
) func(*cobra.Command, []string) error {
	return func(c *cobra.Command, args []string) error {
		secret, err := pw.read(c, prompt+args[0], true)
		if err != nil {
			return err
		}

		return changing(p, func(args []string) (change, error) {
			return of(args[0], secret.Reveal()), nil
		})(c, args)
	}
}

// userPath returns the path of a user in the API, or of one of its parts. It is escaped,
// because names are not limited to ASCII letters (RFC 8265).
func userPath(name, what string) string {
	path := "/api/v1/users/" + url.PathEscape(name)
	if what != "" {
		path += "/" + what
	}
	return path
}

// userAdd implements 'jeton user add'.
func userAdd() *cobra.Command {
	p := place{create: true}
	var pw passwordSource
	var email string
	var groups []string

	c := &cobra.Command{
		Use:   "add NAME",
		Short: "Add a user",
		Args:  exactArgs("NAME"),
		Example: `  jeton user add diane --email diane@example.org
  jeton user add ops --group admin --password-file ops.txt`,
	}

	c.RunE = changingWithPassword(&p, &pw, "Password for ", func(name, password string) change {
		return change{
			method: http.MethodPost,
			path:   "/api/v1/users",
			body: api.NewUser{
				Name:     name,
				Password: password,
				Email:    email,
				Groups:   groups,
			},
			subject: "user " + name,
			done:    "added user " + name,
		}
	})

	p.flags(c)
	pw.flags(c)
	c.Flags().Var(
		(*filledFlag)(&email), "email", "e-mail address, to which notices and links to set a password go",
	)
	c.Flags().StringSliceVar(&groups, "group", nil, "group of the user (may be repeated)")

	return c
}

// userList implements 'jeton user list', of added and of declared users.
func userList() *cobra.Command {
	var p place
	var out output

	c := &cobra.Command{
		Use:     "list",
		Short:   "List users",
		Args:    noArgs,
		Example: `  jeton user list`,
	}

	path := func() string { return "/api/v1/users" }
	c.RunE = listing(&p, &out, path, []string{"NAME", "STATE", "GROUPS", "SERVICE", "FROM", "SINCE"}, userRow)

	return withFlags(c, &p, &out)
}

// userRow returns what the table shows of a user. A user without a service is valid at all.
func userRow(u jeton.User) []string {
	return []string{
		u.Name,
		stateOf(u.Disabled),
		strings.Join(u.Groups, ","),
		cmp.Or(u.Service, "all"),
		fromOf(u.Declared),
		when(u.Created),
	}
}

// disabling makes the command disable or enable of users or clients.
func disabling(verb, kind, example, short string) *cobra.Command {
	return changeCommand(&cobra.Command{
		Use:     verb + " NAME",
		Short:   short,
		Args:    exactArgs("NAME"),
		Example: fmt.Sprintf("  jeton %s %s %s", kind, verb, example),
	}, func(args []string) (change, error) {
		return change{
			method:  http.MethodPut,
			path:    "/api/v1/" + kind + "s/" + url.PathEscape(naming.ClientInPath(args[0])) + "/disabled",
			body:    api.Disabled{Disabled: verb == "disable"},
			subject: kind + " " + args[0],
			done:    verb + "d " + kind + " " + args[0],
		}, nil
	})
}

// userPasswd implements 'jeton user passwd'. It ends sessions and tokens, because an
// operator sets a password when the old one may be known to an attacker.
func userPasswd() *cobra.Command {
	var p place
	var pw passwordSource

	c := &cobra.Command{
		Use:   "passwd NAME",
		Short: "Set a user's password and end all sessions and tokens of that user",
		Args:  exactArgs("NAME"),
		Example: `  jeton user passwd diane
  printf %s "$NEW" | jeton user passwd diane --password-stdin`,
	}

	c.RunE = changingWithPassword(&p, &pw, "New password for ", func(name, password string) change {
		return change{
			method:  http.MethodPut,
			path:    userPath(name, "password"),
			body:    api.NewPassword{Password: password},
			subject: "user " + name,
			done:    "set the password of user " + name + " and ended all sessions and tokens",
		}
	})

	return withFlags(c, &p, &pw)
}

// userRecover implements 'jeton user recover'. The operator learns no password, and the user proves a second factor at
// the sign-in that follows.
func userRecover() *cobra.Command {
	var p place

	c := &cobra.Command{
		Use:   "recover NAME",
		Short: "Print a link with which a user sets a new password",
		Args:  exactArgs("NAME"),
		Long: `Print a link with which a user sets a new password, within 30 minutes and once. Earlier links
of the user end. Setting the password ends all sessions and tokens of the user; a second factor
stays, and is asked for at the next sign-in. Send the link to the user in a way that others do
not read: it is as good as the password.`,
		Example: `  jeton user recover diane`,
	}

	c.RunE = withControl(&p, func(ctx context.Context, c *cobra.Command, args []string, ctl *control) error {
		var link api.SignInLink
		err := ctl.call(ctx, http.MethodPost, userPath(args[0], "recovery-link"), nil, &link)
		if err != nil {
			return named(err, "user "+args[0])
		}

		fmt.Fprintln(c.OutOrStdout(), link.URL)

		return nil
	})

	return withFlags(c, &p)
}

// userGroups implements 'jeton user groups'. The list replaces the current one, so that
// running the command twice has the same result; no group at all is permitted.
func userGroups() *cobra.Command {
	return changeCommand(&cobra.Command{
		Use:     "groups NAME [GROUP…]",
		Short:   "Replace the groups of a user",
		Example: `  jeton user groups diane staff admin`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usage{errors.New("jeton user groups takes NAME [GROUP…]; see 'jeton user groups --help'")}
			}
			return nil
		},
	}, func(args []string) (change, error) {
		return change{
			method:  http.MethodPut,
			path:    userPath(args[0], "groups"),
			body:    api.Groups{Groups: args[1:]},
			subject: "user " + args[0],
			done:    fmt.Sprintf("user %s is in groups [%s]", args[0], strings.Join(args[1:], " ")),
		}, nil
	})
}

// userLogout implements 'jeton user logout': the same as 'jeton session end --user'. Tokens of
// the user stay valid.
func userLogout() *cobra.Command {
	var p place

	c := &cobra.Command{
		Use:     "logout NAME",
		Short:   "End all sessions of a user",
		Args:    exactArgs("NAME"),
		Example: `  jeton user logout diane`,
	}

	c.RunE = withControl(&p, func(ctx context.Context, c *cobra.Command, args []string, ctl *control) error {
		return endSessions(ctx, c, ctl, url.Values{"user": {args[0]}})
	})

	return withFlags(c, &p)
}

// userEndTokens implements 'jeton user end-tokens'. The sessions stay: 'jeton user logout' ends them.
func userEndTokens() *cobra.Command {
	var kind string
	var c *cobra.Command

	c = changeCommand(&cobra.Command{
		Use:   "end-tokens NAME",
		Short: "Revoke all tokens of a user, or those of one kind; the sessions stay",
		Args:  exactArgs("NAME"),
		Example: `  jeton user end-tokens diane
  jeton user end-tokens diane --kind leased`,
	}, func(args []string) (change, error) {
		path, done := userPath(args[0], "end-tokens"), "revoked all tokens of user "+args[0]
		// An empty one is refused: --kind "$UNSET" must not end all tokens.
		if c.Flags().Changed("kind") {
			path += "?" + url.Values{"kind": {kind}}.Encode()
			done = "revoked all " + kind + " tokens of user " + args[0]
		}

		return change{
			method:  http.MethodPost,
			path:    path,
			subject: "user " + args[0],
			done:    done,
		}, nil
	})
	c.Flags().StringVar(
		&kind, "kind", "", "only those of a kind: personal, approved, leased (of running jobs) or exchanged",
	)

	return c
}

// userAllowLogin implements 'jeton user allow-login', the way back in for a user who has used
// up relogin.max_logins.
func userAllowLogin() *cobra.Command {
	var p place
	var service string

	c := &cobra.Command{
		Use:     "allow-login NAME",
		Short:   "Let a user log in at a service again, regardless of its re-login terms",
		Args:    exactArgs("NAME"),
		Example: `  jeton user allow-login carlos --service limited-info`,
	}

	c.RunE = changing(&p, func(args []string) (change, error) {
		if service == "" {
			return change{}, usage{errors.New("name the service with --service")}
		}

		return change{
			method:  http.MethodPost,
			path:    userPath(args[0], "allow-login"),
			body:    api.AllowLogin{Service: service},
			subject: "user " + args[0],
			done:    fmt.Sprintf("user %s may log in at %s again", args[0], service),
		}, nil
	})

	p.flags(c)
	c.Flags().StringVar(&service, "service", "", "name of the service")

	return c
}

// userRemove implements 'jeton user remove'.
func userRemove() *cobra.Command {
	return changeCommand(&cobra.Command{
		Use:     "remove NAME",
		Short:   "Delete a user and end all sessions and tokens of that user",
		Args:    exactArgs("NAME"),
		Example: `  jeton user remove diane`,
	}, func(args []string) (change, error) {
		return change{
			method:  http.MethodDelete,
			path:    userPath(args[0], ""),
			subject: "user " + args[0],
			done:    "removed user " + args[0],
		}, nil
	})
}

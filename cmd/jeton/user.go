package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/api"

	"github.com/spf13/cobra"
)

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
		userDisable(true),
		userDisable(false),
		userPasswd(),
		userGroups(),
		userLogout(),
		userAllowLogin(),
		userRemove(),
		userImport(),
		userExport(),
	)

	return c
}

// withControl runs a command with the API of a place.
func withControl(
	p *place,
	run func(ctx context.Context, c *cobra.Command, args []string, api *control) error,
) func(*cobra.Command, []string) error {
	return func(c *cobra.Command, args []string) error {
		api, err := openControl(c.Context(), p)
		if err != nil {
			return err
		}
		defer api.end()

		return run(c.Context(), c, args, api)
	}
}

// withPassword is withControl for a command that asks for a password first, so that the data
// directory is not locked while the operator types.
func withPassword(
	pw *passwordSource,
	prompt string,
	p *place,
	run func(ctx context.Context, c *cobra.Command, args []string, api *control, secret jeton.Secret) error,
) func(*cobra.Command, []string) error {
	return func(c *cobra.Command, args []string) error {
		secret, err := pw.read(c, prompt+args[0], true)
		if err != nil {
			return err
		}

		return withControl(p, func(ctx context.Context, c *cobra.Command, args []string, api *control) error {
			return run(ctx, c, args, api, secret)
		})(c, args)
	}
}

func userPath(name, what string) string {
	path := "/api/v1/users/" + url.PathEscape(name)
	if what != "" {
		path += "/" + what
	}
	return path
}

func userAdd() *cobra.Command {
	var p place
	var pw passwordSource
	var groups []string

	c := &cobra.Command{
		Use:   "add NAME",
		Short: "Add a user",
		Args:  exactArgs("NAME"),
		Example: `  jeton user add diane
  jeton user add ops --group admin --password-file ops.txt`,
	}

	c.RunE = withPassword(&pw, "Password for ", &p, func(
		ctx context.Context,
		c *cobra.Command,
		args []string,
		ctl *control,
		secret jeton.Secret,
	) error {
		var u jeton.User
		if err := ctl.call(ctx, http.MethodPost, "/api/v1/users", api.NewUser{
			Name:     args[0],
			Password: secret.Reveal(),
			Groups:   groups,
		}, &u); err != nil {
			return named(err, "user "+args[0])
		}

		fmt.Fprintf(c.OutOrStdout(), "added user %s\n", u.Name)

		return nil
	})

	p.flags(c)
	pw.flags(c)
	c.Flags().StringSliceVar(&groups, "group", nil, "group of the user (may be repeated)")

	return c
}

// named adds the subject of a refusal.
func named(err error, what string) error {
	if jeton.Outcome(err) != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return err
}

func userList() *cobra.Command {
	var p place
	var out output

	c := &cobra.Command{
		Use:     "list",
		Short:   "List users",
		Args:    noArgs,
		Example: `  jeton user list`,
	}

	c.RunE = withControl(&p, func(ctx context.Context, c *cobra.Command, _ []string, ctl *control) error {
		var users []jeton.User
		if err := ctl.call(ctx, http.MethodGet, "/api/v1/users", nil, &users); err != nil {
			return err
		}

		slices.SortFunc(users, func(a, b jeton.User) int { return strings.Compare(a.Name, b.Name) })

		var rows [][]string
		for _, u := range users {
			state := "active"
			if u.Disabled {
				state = "disabled"
			}

			from := "added"
			if u.Declared {
				from = "declared in the file"
			}

			rows = append(rows, []string{u.Name, state, strings.Join(u.Groups, ","), from, when(u.Created)})
		}

		return out.print(c.OutOrStdout(), users, []string{"NAME", "STATE", "GROUPS", "FROM", "SINCE"}, rows)
	})

	p.flags(c)
	out.flags(c)

	return c
}

func userDisable(disable bool) *cobra.Command {
	var p place

	use := "disable NAME"
	short := "Disable a user and end all sessions of that user"
	done := "disabled"
	if !disable {
		use = "enable NAME"
		short = "Let a disabled user log in again"
		done = "enabled"
	}

	c := &cobra.Command{
		Use:     use,
		Short:   short,
		Args:    exactArgs("NAME"),
		Example: "  jeton user " + strings.Replace(use, "NAME", "diane", 1),
	}

	c.RunE = withControl(&p, func(ctx context.Context, c *cobra.Command, args []string, ctl *control) error {
		if err := ctl.call(ctx, http.MethodPut, userPath(args[0], "disabled"), api.Disabled{
			Disabled: disable,
		}, nil); err != nil {
			return named(err, "user "+args[0])
		}

		fmt.Fprintf(c.OutOrStdout(), "%s user %s\n", done, args[0])
		return nil
	})

	p.flags(c)

	return c
}

func userPasswd() *cobra.Command {
	var p place
	var pw passwordSource

	c := &cobra.Command{
		Use:   "passwd NAME",
		Short: "Set a user's password and end all sessions of that user",
		Args:  exactArgs("NAME"),
		Example: `  jeton user passwd diane
  printf %s "$NEW" | jeton user passwd diane --password-stdin`,
	}

	c.RunE = withPassword(&pw, "New password for ", &p, func(
		ctx context.Context,
		c *cobra.Command,
		args []string,
		ctl *control,
		secret jeton.Secret,
	) error {
		if err := ctl.call(ctx, http.MethodPut, userPath(args[0], "password"), api.NewPassword{
			Password: secret.Reveal(),
		}, nil); err != nil {
			return named(err, "user "+args[0])
		}

		fmt.Fprintf(c.OutOrStdout(), "set the password of user %s and ended all sessions\n", args[0])
		return nil
	})

	p.flags(c)
	pw.flags(c)

	return c
}

func userGroups() *cobra.Command {
	var p place

	c := &cobra.Command{
		Use:     "groups NAME [GROUP…]",
		Short:   "Replace the groups of a user",
		Example: `  jeton user groups diane staff admin`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usage{errors.New("jeton user groups takes NAME [GROUP…]; see 'jeton user groups --help'")}
			}
			return nil
		},
	}

	c.RunE = withControl(&p, func(ctx context.Context, c *cobra.Command, args []string, ctl *control) error {
		if err := ctl.call(ctx, http.MethodPut, userPath(args[0], "groups"), api.Groups{
			Groups: args[1:],
		}, nil); err != nil {
			return named(err, "user "+args[0])
		}

		fmt.Fprintf(c.OutOrStdout(), "user %s is in groups [%s]\n", args[0], strings.Join(args[1:], " "))
		return nil
	})

	p.flags(c)

	return c
}

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

	p.flags(c)

	return c
}

func userAllowLogin() *cobra.Command {
	var p place
	var service string

	c := &cobra.Command{
		Use:     "allow-login NAME",
		Short:   "Let a user log in at a service again, regardless of its re-login terms",
		Args:    exactArgs("NAME"),
		Example: `  jeton user allow-login carlos --service limited-info`,
	}

	c.RunE = withControl(&p, func(ctx context.Context, c *cobra.Command, args []string, ctl *control) error {
		if service == "" {
			return usage{errors.New("name the service with --service")}
		}

		if err := ctl.call(ctx, http.MethodPost, userPath(args[0], "allow-login"), api.AllowLogin{
			Service: service,
		}, nil); err != nil {
			return named(err, "user "+args[0])
		}

		fmt.Fprintf(c.OutOrStdout(), "user %s may log in at %s again\n", args[0], service)

		return nil
	})

	p.flags(c)
	c.Flags().StringVar(&service, "service", "", "name of the service")

	return c
}

func userRemove() *cobra.Command {
	var p place

	c := &cobra.Command{
		Use:     "remove NAME",
		Short:   "Delete a user and end all sessions of that user",
		Args:    exactArgs("NAME"),
		Example: `  jeton user remove diane`,
	}

	c.RunE = withControl(&p, func(ctx context.Context, c *cobra.Command, args []string, ctl *control) error {
		if err := ctl.call(ctx, http.MethodDelete, userPath(args[0], ""), nil, nil); err != nil {
			return named(err, "user "+args[0])
		}
		fmt.Fprintf(c.OutOrStdout(), "removed user %s\n", args[0])
		return nil
	})

	p.flags(c)

	return c
}

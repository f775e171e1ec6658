//go:build !walletonly

package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/jeton-auth/jeton/internal/api"

	"github.com/spf13/cobra"
)

// userFactors implements 'jeton user factors'.
func userFactors() *cobra.Command {
	var p place
	var out output

	c := &cobra.Command{
		Use:     "factors NAME",
		Short:   "List the second factors of a user",
		Args:    exactArgs("NAME"),
		Example: `  jeton user factors diane`,
	}

	c.RunE = withControl(&p, func(ctx context.Context, c *cobra.Command, args []string, ctl *control) error {
		var got api.Factors
		if err := ctl.call(ctx, http.MethodGet, userPath(args[0], "factors"), nil, &got); err != nil {
			return fmt.Errorf("factors of user %s: %w", args[0], err)
		}

		rows := [][]string{}
		for _, f := range got.Factors {
			used := "never"
			if f.Used != nil {
				used = when(*f.Used)
			}
			rows = append(rows, []string{f.ID, f.Kind, f.Name, when(f.Created), used})
		}
		if got.CodesLeft > 0 {
			rows = append(rows, []string{"", "recovery", fmt.Sprintf("%d codes left", got.CodesLeft), "", ""})
		}

		return out.print(c.OutOrStdout(), got, []string{"ID", "KIND", "NAME", "SINCE", "USED"}, rows)
	})

	c.AddCommand(userFactorsRename(), userFactorsReset())

	return withFlags(c, &p, &out)
}

// userFactorsReset implements 'jeton user factors reset'.
func userFactorsReset() *cobra.Command {
	var p place
	var reason string

	c := &cobra.Command{
		Use:     "reset NAME --reason TEXT",
		Short:   "Remove all second factors of a user who has lost them, and end all sessions of that user",
		Args:    exactArgs("NAME"),
		Example: `  jeton user factors reset diane --reason "telephone lost, ticket 4711"`,
	}

	c.RunE = changing(&p, func(args []string) (change, error) {
		if strings.TrimSpace(reason) == "" {
			return change{}, usage{errors.New("say why with --reason, for the audit log")}
		}

		return change{
			method:  http.MethodDelete,
			path:    userPath(args[0], "factors") + "?" + url.Values{"reason": {reason}}.Encode(),
			subject: "second factors of user " + args[0],
			done:    "removed the second factors of user " + args[0] + " and ended all sessions",
		}, nil
	})

	p.flags(c)
	c.Flags().StringVar(&reason, "reason", "", "why, for the audit log")

	return c
}

// userFactorsRename implements 'jeton user factors rename'.
func userFactorsRename() *cobra.Command {
	return changeCommand(&cobra.Command{
		Use:   "rename NAME ID TEXT",
		Short: "Name a passkey or an authenticator app of a user",
		Long: `Name a passkey or an authenticator app of a user. 'jeton user factors NAME' lists the ids. Users do it
themselves on the page of their passkeys. The event factor.change has the name.`,
		Args:    exactArgs("NAME", "ID", "TEXT"),
		Example: `  jeton user factors rename diane f_01kb9g2n3p4q5r6s7t8v9w laptop`,
	}, func(args []string) (change, error) {
		return change{
			method:  http.MethodPut,
			path:    userPath(args[0], "factors") + "/" + url.PathEscape(args[1]),
			body:    api.FactorName{Name: args[2]},
			subject: "factor " + args[1] + " of user " + args[0],
			done:    "named the factor " + args[1] + " of user " + args[0] + " " + args[2],
		}, nil
	})
}

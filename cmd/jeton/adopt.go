//go:build !walletonly

package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/server"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// adoptCommand implements 'jeton adopt'.
func adoptCommand() *cobra.Command {
	var p place
	var force bool

	c := &cobra.Command{
		Use:   "adopt [user:NAME | client:NAME]...",
		Short: "Write users and clients that no file declares as YAML for the file",
		Long: `Write users and clients that were made by commands, the API or the pages as YAML: the ones that
are named, or all. Add the output to the configuration file, look at 'jeton plan', and 'jeton
apply' it: from then on they are declared, and are changed only in the file. The sessions and
tokens of a user who becomes declared end.

The output has the hashes of passwords and secrets: protect it like the passwords. What a file
cannot declare is named on standard error, with the reason.`,
		Example: `  jeton adopt > adopted.yaml
  jeton adopt user:diane client:deploy > adopted.yaml`,
	}

	c.RunE = func(c *cobra.Command, args []string) error {
		if !force && term.IsTerminal(int(os.Stdout.Fd())) {
			return usage{errors.New("password hashes do not belong on a terminal: redirect to a file, or use --force")}
		}

		for _, arg := range args {
			kind, name, _ := strings.Cut(arg, ":")
			if kind != "user" && kind != "client" || name == "" {
				return usage{fmt.Errorf("invalid argument %q: want user:NAME or client:NAME", arg)}
			}
		}

		conf, err := p.server()
		if err != nil {
			return err
		}

		return adopt(c, conf, args)
	}

	p.flags(c)
	c.Flags().BoolVar(&force, "force", false, "write to a terminal")

	return c
}

// adopt writes what is named, or all without a name.
func adopt(c *cobra.Command, conf server.Config, args []string) error {
	left := map[string]bool{}
	for _, arg := range args {
		left[arg] = true
	}

	found, err := server.Adopt(c.Context(), conf, func(kind, name string) bool {
		named := left[kind+":"+name]
		delete(left, kind+":"+name)

		return len(args) == 0 || named
	})
	if err != nil {
		return withServers(c.Context(), err)
	}

	for _, text := range found.Skipped {
		fmt.Fprintln(c.ErrOrStderr(), "not adopted: "+oneLine(text))
	}
	for _, arg := range args {
		if left[arg] {
			return fmt.Errorf("%w: no undeclared %s", jeton.ErrNotFound, strings.Replace(arg, ":", " ", 1))
		}
	}

	_, err = c.OutOrStdout().Write(found.YAML)

	return err
}

//go:build !walletonly

package main

import (
	"fmt"
	"os"

	"github.com/jeton-auth/jeton/internal/config"
	"github.com/jeton-auth/jeton/internal/server"

	"github.com/spf13/cobra"
)

// configCommand implements 'jeton config'. Its commands contact no server and need no data
// directory.
func configCommand() *cobra.Command {
	c := &cobra.Command{
		Use:     "config",
		Short:   "Check the configuration file, or print its schema or one for another proxy",
		Example: `  jeton config check --config jeton.yaml`,
	}

	c.AddCommand(configCheck(), configProxy(), configSchema())
	return c
}

// configCheck implements 'jeton config check'. It also makes a server without running it, for
// the checks of declared users and clients that belong to other packages, such as those of
// password hashes. Nothing is opened or written.
func configCheck() *cobra.Command {
	var p place
	c := &cobra.Command{
		Use:     "check",
		Short:   "Check a configuration file and report every error in it",
		Args:    noArgs,
		Example: `  jeton config check --config jeton.yaml`,
		RunE: func(c *cobra.Command, _ []string) error {
			conf, err := p.load()
			if err != nil {
				return err
			}
			if _, err := server.New(server.Config{File: conf}); err != nil {
				return err
			}
			if err := p.checkWorkloadFiles(conf); err != nil {
				return err
			}

			// A warning and no error: variables of other programs may begin with JETON_,
			// too.
			for _, name := range config.UnknownEnv(os.Environ()) {
				fmt.Fprintf(c.ErrOrStderr(), "jeton: unknown environment variable %s\n", name)
			}

			for _, w := range conf.Warnings {
				fmt.Fprintf(c.ErrOrStderr(), "warning: %s\n", w)
			}

			name := conf.Path
			if name == "" {
				name = "the built-in configuration"
			}

			fmt.Fprintf(
				c.OutOrStdout(), "%s is valid: %s, %s\n", name, plural(len(conf.Services), "service"),
				plural(len(conf.Users), "user"),
			)

			return nil
		},
	}

	return withFlags(c, &p)
}

// checkWorkloadFiles checks the files with keys of workload issuers.
func (p *place) checkWorkloadFiles(conf *config.Config) error {
	// Without an issuer of workloads no data directory is needed, and a container need not have one.
	if conf.Issuer == nil || len(conf.Issuer.Workloads) == 0 {
		return nil
	}

	dir, err := p.directory(conf.DataDir)
	if err != nil {
		return err
	}

	return server.CheckWorkloadFiles(conf, dir)
}

// configSchema implements 'jeton config schema'.
func configSchema() *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON Schema of the configuration file",
		Args:  noArgs,
		Long: `Print the JSON Schema of the configuration file, generated from the program. Editors with a
YAML language server complete and check a file that begins with
  # yaml-language-server: $schema=FILE`,
		Example: `  jeton config schema > jeton.schema.json`,
		RunE: func(c *cobra.Command, _ []string) error {
			b, err := config.Schema()
			if err != nil {
				return err
			}

			_, err = c.OutOrStdout().Write(append(b, '\n'))
			return err
		},
	}
}

// routesCommand implements 'jeton routes'. The table comes from a server that is opened on an
// empty temporary directory, hence shows the pages that the server adds to those of the file.
func routesCommand() *cobra.Command {
	var p place
	var out output

	c := &cobra.Command{
		Use:     "routes",
		Short:   "Print every route with its access rules and limits",
		Args:    noArgs,
		Example: `  jeton routes --config jeton.yaml`,
		RunE: func(c *cobra.Command, _ []string) error {
			conf, err := p.load()
			if err != nil {
				return err
			}

			table, err := server.Table(c.Context(), conf)
			if err != nil {
				return err
			}

			var rows [][]string
			for _, r := range table {
				rows = append(rows, []string{r.Listen, r.Service, r.Pattern, r.Access})
			}

			return out.print(c.OutOrStdout(), table, []string{"LISTEN", "SERVICE", "ROUTE", "ACCESS"}, rows)
		},
	}

	return withFlags(c, &p, &out)
}

//go:build !walletonly

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/api"
	"github.com/jeton-auth/jeton/internal/server"

	"github.com/spf13/cobra"
)

// exitDifferent is the exit code of 'jeton plan' for differences. Scripts of a CI expect 2 for it, so
// every error of the command is 1, also that of a wrong flag.
const exitDifferent = 2

// planned is the JSON output of plan and apply.
type planned struct {
	server.Plan
	Running bool   `json:"server_running"`
	Note    string `json:"note,omitempty"` // what was not compared
}

// planCommand implements 'jeton plan'.
func planCommand() *cobra.Command {
	var p place
	var out output

	c := &cobra.Command{
		Use:   "plan",
		Short: "Show what applying the configuration file would change",
		Args:  failing(noArgs),
		Long: `Show the difference between the configuration file and what is in effect: users and clients in
the database, also those that were made by a command, the API or a page under a declared name,
and services and settings of the running server. Nothing is changed. Users and clients that no
file declares stay as they are and are no difference; their number is printed.

The exit code is 0 without a difference, 2 with one, and 1 after an error.`,
		Example: `  jeton plan --config /etc/jeton/jeton.yaml
  jeton plan --output json`,
	}

	c.RunE = failing(func(c *cobra.Command, _ []string) error {
		conf, err := p.server()
		if err != nil {
			return err
		}

		plan, _, err := makePlan(c.Context(), conf)
		if err != nil {
			return err
		}
		if err := printPlan(c.OutOrStdout(), &out, plan); err != nil {
			return err
		}

		if len(plan.Changes) > 0 {
			return exit{code: exitDifferent}
		}

		return nil
	})
	c.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return exit{exitFailure, flagError(c, err).Error()}
	})

	return withFlags(c, &p, &out)
}

// failing gives every error of a command the exit code 1, unless it has one of its own.
func failing(run func(*cobra.Command, []string) error) func(*cobra.Command, []string) error {
	return func(c *cobra.Command, args []string) error {
		err := run(c, args)
		var own exit
		if err == nil || errors.As(err, &own) {
			return err
		}

		return exit{exitFailure, err.Error()}
	}
}

// applyCommand implements 'jeton apply'.
func applyCommand() *cobra.Command {
	var p place
	var out output

	c := &cobra.Command{
		Use:   "apply",
		Short: "Make what the configuration file declares take effect",
		Args:  noArgs,
		Long: `Make what the configuration file declares take effect, and print what has changed, as 'jeton
plan' shows it. A running server reads its file again, as at SIGHUP; it must be the file that
is named here. Without one, users and clients are written to the database.

For what a file declares, the file decides: a declared user or client is changed only there,
and one that the file does not declare any more is removed. Everything else belongs to
commands, the API and the pages, and stays as it is.`,
		Example: `  jeton apply --config /etc/jeton/jeton.yaml
  jeton apply --output json`,
	}

	c.RunE = func(c *cobra.Command, _ []string) error {
		conf, err := p.server()
		if err != nil {
			return err
		}

		plan, running, err := makePlan(c.Context(), conf)
		if err != nil {
			return err
		}
		if err := apply(c.Context(), conf, plan, running); err != nil {
			return err
		}
		if err := printPlan(c.OutOrStdout(), &out, plan); err != nil {
			return err
		}

		left, _, err := makePlan(c.Context(), conf)
		if err == nil && len(left.Changes) > 0 {
			err = fmt.Errorf("%s left after it: see 'jeton plan'", plural(len(left.Changes), "difference"))
		}

		return err
	}

	return withFlags(c, &p, &out)
}

// apply has the running server read its file, or writes to the database without one.
func apply(ctx context.Context, conf server.Config, plan planned, running *control) error {
	if running == nil {
		_, err := server.ApplyConfig(ctx, conf)
		return withServers(ctx, err)
	}
	if plan.Note != "" {
		return fmt.Errorf("%w: %s; change that file, or name it with --config", jeton.ErrConflict, plan.Note)
	}

	return running.call(ctx, http.MethodPost, "/api/v1/config/reload", nil, nil)
}

// makePlan compares users and clients with the database, and services with the running server, which it
// returns; nil: none is running.
func makePlan(ctx context.Context, conf server.Config) (planned, *control, error) {
	if conf.File.Path == "" {
		return planned{}, nil, errors.New("there is no configuration file; name one with --config")
	}

	compared, err := server.PlanConfig(ctx, conf)
	if err != nil {
		return planned{}, nil, withServers(ctx, err)
	}

	plan := planned{Plan: compared}
	conn, err := server.DialControl(ctx, conf.DataDir)
	if err != nil {
		plan.Note = "no server is running: services and settings are not compared"
		return plan, nil, nil
	}
	_ = conn.Close()
	plan.Running = true

	running := &control{http: &http.Client{Transport: dialing(conf.DataDir)}, end: func() {}}
	var loaded api.LoadedConfig
	if err := running.call(ctx, http.MethodGet, "/api/v1/config", nil, &loaded); err != nil {
		return plan, nil, fmt.Errorf("configuration of the running server: %w", err)
	}

	path, err := filepath.Abs(conf.File.Path)
	if err != nil {
		return plan, nil, err
	}
	if !sameFile(path, loaded.Path) {
		file := loaded.Path
		if file == "" {
			file = "no file"
		}
		plan.Note = fmt.Sprintf("the running server reads %s: services and settings are not compared", file)

		return plan, running, nil
	}

	plan.Changes = append(plan.Changes, loaded.Pending...)

	return plan, running, nil
}

// sameFile reports whether two absolute paths lead to one file.
func sameFile(a, b string) bool {
	x, err := filepath.EvalSymlinks(a)
	if err != nil {
		return a == b
	}
	y, err := filepath.EvalSymlinks(b)

	return err == nil && x == y
}

// signs begin the line of a change.
var signs = map[string]string{
	"add":    "+",
	"change": "~",
	"adopt":  "~",
	"remove": "-",
}

// printPlan prints a line for each change, and their number.
func printPlan(w io.Writer, out *output, plan planned) error {
	if out.json {
		return printJSON(w, plan)
	}

	count := map[string]int{}
	for _, c := range plan.Changes {
		count[signs[c.Action]]++
		line := fmt.Sprintf("%s %s %s", signs[c.Action], c.Kind, c.Name)
		if len(c.Fields) > 0 {
			line += ": " + strings.Join(c.Fields, ", ")
		}
		if c.Action == "adopt" {
			c.Effect = strings.TrimSuffix("becomes declared; "+c.Effect, "; ")
		}
		if c.Effect != "" {
			line += " (" + c.Effect + ")"
		}
		fmt.Fprintln(w, oneLine(line))
	}

	if plan.Note != "" {
		fmt.Fprintln(w, "note: "+plan.Note)
	}
	if len(plan.Users)+len(plan.Clients) > 0 {
		fmt.Fprintf(w, "not in the file: %s, %s; 'jeton adopt' writes them as YAML\n",
			plural(len(plan.Users), "user"), plural(len(plan.Clients), "client"))
	}
	if len(plan.Changes) == 0 {
		fmt.Fprintln(w, "no differences")
		return nil
	}

	fmt.Fprintf(w, "%d to add, %d to change, %d to remove\n", count["+"], count["~"], count["-"])

	return nil
}

//go:build !walletonly

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/api"

	"github.com/spf13/cobra"
)

// clientImportFlags are the flags of 'jeton client import'.
type clientImportFlags struct {
	place  place
	out    output
	format string
	dryRun bool
}

// clientImport implements 'jeton client import'.
func clientImport() *cobra.Command {
	f := clientImportFlags{place: place{create: true}}

	c := &cobra.Command{
		Use:   "import FILE",
		Short: "Import clients of another provider that sign users in",
		Args:  exactArgs("FILE"),
		Long: `Import the clients that sign users in from a file of another provider; - is standard input.

The file is a realm export of Keycloak (JSON), a configuration of Authelia with
identity_providers.oidc.clients (YAML), or clients of Hydra (JSON, as 'hydra list
oauth2-clients --format json' prints them).

A client keeps its name, its addresses, and whether it is public and uses PKCE. It gets a new
secret, which is printed only here: give it to the application. The report has what was left
out, with the reason: other protocols, addresses with wildcards, names that are taken. A client
that exists stays as it is, so it is safe to run again.`,
		Example: `  jeton client import realm-export.json --dry-run
  jeton client import configuration.yml --format authelia`,
		RunE: func(c *cobra.Command, args []string) error { return f.run(c, args[0]) },
	}

	return withFlags(c, &f.place, &f.out, &f)
}

func (f *clientImportFlags) flags(c *cobra.Command) {
	c.Flags().StringVar(&f.format, "format", "", "keycloak, authelia or hydra (default: by what the file has)")
	c.Flags().BoolVar(&f.dryRun, "dry-run", false, "report what would happen, and change nothing")
}

// run reads the file before it opens the data directory: an unreadable file is refused without a lock or a server.
func (f *clientImportFlags) run(c *cobra.Command, name string) error {
	file, err := openInput(c.InOrStdin(), name)
	if err != nil {
		return fmt.Errorf("open file of clients: %w", err)
	}
	defer file.Close()

	// One byte more than the limit shows that the file is longer.
	text, err := io.ReadAll(io.LimitReader(file, maxClientFile+1))
	if err == nil && len(text) > maxClientFile {
		err = fmt.Errorf("larger than %d MiB", maxClientFile>>20)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}

	list, format, err := readClients(text, f.format)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	fmt.Fprintf(c.ErrOrStderr(), "reading %s as %s\n", name, format)

	f.place.dry = f.dryRun

	return withControl(&f.place, func(ctx context.Context, c *cobra.Command, _ []string, ctl *control) error {
		return f.importAll(ctx, c, ctl, list)
	})(c, nil)
}

// clientVerdict is the result for one client: a line of JSON output.
type clientVerdict struct {
	Name    string   `json:"name"`
	Verdict string   `json:"verdict"` // added, exists or left out
	Reason  string   `json:"reason,omitempty"`
	Secret  string   `json:"secret,omitempty"`
	LeftOut []string `json:"left_out,omitempty"`
}

// importAll imports the clients one by one and reports each, so that a secret is printed as soon as it exists.
func (f *clientImportFlags) importAll(
	ctx context.Context,
	c *cobra.Command,
	ctl *control,
	list []foundClient,
) error {
	counts := map[string]int{}
	seen := map[string]bool{} // a dry run adds no client that the next one of its name would find
	for _, found := range list {
		v := clientVerdict{Name: found.request.Name, LeftOut: found.notes}
		if found.left != "" {
			v = clientVerdict{Name: v.Name, Verdict: "left out", Reason: found.left}
		} else {
			var err error
			v, err = f.add(ctx, ctl, found, seen)
			if err != nil {
				return err
			}
		}

		counts[v.Verdict]++
		f.print(c.OutOrStdout(), v)
	}

	if !f.out.json {
		fmt.Fprintf(
			c.OutOrStdout(), "%s: %d, exist: %d, left out: %d\n",
			f.added(), counts[f.added()], counts["exists"], counts["left out"],
		)
	}

	return nil
}

// added is the verdict of a client that is imported.
func (f *clientImportFlags) added() string {
	if f.dryRun {
		return "would add"
	}
	return "added"
}

// add adds one client, unless there is one of its name.
func (f *clientImportFlags) add(
	ctx context.Context,
	ctl *control,
	found foundClient,
	seen map[string]bool,
) (clientVerdict, error) {
	v := clientVerdict{
		Name:    found.request.Name,
		Verdict: f.added(),
		LeftOut: found.notes,
	}

	folded := strings.ToLower(v.Name)
	err := ctl.call(ctx, http.MethodGet, clientPath(v.Name), nil, nil)
	switch {
	case err == nil || seen[folded]:
		v.Verdict = "exists"
		return v, nil
	case !errors.Is(err, jeton.ErrNotFound):
		return v, named(err, "client "+v.Name)
	}

	seen[folded] = true
	if f.dryRun {
		return v, nil
	}

	var made api.MadeClient
	err = ctl.call(ctx, http.MethodPost, "/api/v1/clients", found.request, &made)
	switch {
	case errors.Is(err, jeton.ErrInvalid), errors.Is(err, jeton.ErrConflict):
		v.Verdict, v.Reason = "left out", jeton.Detail(err)
		return v, nil
	case err != nil:
		return v, named(err, "client "+v.Name)
	}
	v.Secret = made.Secret

	return v, nil
}

// print prints the result for one client.
func (f *clientImportFlags) print(w io.Writer, v clientVerdict) {
	if f.out.json {
		_ = json.NewEncoder(w).Encode(v)
		return
	}

	text := v.Verdict
	if v.Reason != "" {
		text += ": " + oneLine(v.Reason)
	}
	if v.Secret != "" {
		text += ", new secret " + v.Secret
	}
	fmt.Fprintf(w, "%-24s %s\n", oneLine(v.Name), text)

	for _, what := range v.LeftOut {
		fmt.Fprintf(w, "%-24s   left out: %s\n", "", oneLine(what))
	}
}

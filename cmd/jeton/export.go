//go:build !walletonly

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"

	"github.com/jeton-auth/jeton/internal/api"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// userExport implements 'jeton user export'. Its flag --output is a file, not a format: the
// output is always JSON lines.
func userExport() *cobra.Command {
	var p place
	var name string
	var force bool

	c := &cobra.Command{
		Use:   "export",
		Short: "Export all users with their password hashes, as JSON lines",
		Args:  noArgs,
		Long: `Export all users with their password hashes, as JSON lines that 'jeton user import' reads.
Protect the file like the passwords: weak ones can be guessed from it. It is readable by
you only, and complete or not there at all. The export is an audit event.`,
		Example: `  jeton user export --output users.jsonl`,
	}

	c.RunE = func(c *cobra.Command, args []string) error {
		if name == "" && !force && term.IsTerminal(int(os.Stdout.Fd())) {
			return usage{errors.New("password hashes do not belong on a terminal: use --output FILE, or --force")}
		}
		// Lstat, so that a dangling link is not replaced either.
		if _, err := os.Lstat(name); name != "" && err == nil && !force {
			return fmt.Errorf("%s exists; --force replaces it", name)
		}

		return withControl(&p, func(ctx context.Context, c *cobra.Command, _ []string, ctl *control) error {
			if name == "" {
				_, err := export(ctx, ctl, c.OutOrStdout())
				return err
			}

			n, err := exportTo(ctx, ctl, name)
			if err == nil {
				fmt.Fprintf(c.OutOrStdout(), "exported %s to %s\n", plural(n, "user"), name)
			}

			return err
		})(c, args)
	}

	p.flags(c)
	c.Flags().StringVarP(&name, "output", "o", "", "file to write (default: standard output)")
	c.Flags().BoolVar(&force, "force", false, "write to a terminal, or replace an existing file")

	return c
}

// exportTo writes the export to a file, which is complete or not there at all.
func exportTo(ctx context.Context, ctl *control, name string) (n int, err error) {
	err = replaceFile(name, func(w io.Writer) error {
		n, err = export(ctx, ctl, w)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("write export: %w", err)
	}

	return n, nil
}

// export writes a line for each user and returns their number.
func export(ctx context.Context, ctl *control, to io.Writer) (int, error) {
	w := bufio.NewWriter(to)
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)

	n := 0
	for after := int64(0); ; {
		path := fmt.Sprintf("/api/v1/users/export?after=%d", after)

		var page api.Exported
		if err := ctl.call(ctx, http.MethodGet, path, nil, &page); err != nil {
			return n, err
		}

		for _, u := range page.Users {
			if err := e.Encode(u); err != nil {
				return n, err
			}
			n++
		}

		if page.Next <= after {
			return n, w.Flush()
		}

		after = page.Next
	}
}

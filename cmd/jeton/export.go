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
	"path/filepath"

	"github.com/jeton-auth/jeton/internal/api"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

func userExport() *cobra.Command {
	var p place
	var name string
	var force bool

	c := &cobra.Command{
		Use:   "export",
		Short: "Write everybody with their password hashes, as JSON lines",
		Args:  noArgs,
		Long: `Write everybody, with the hashes of their passwords, as JSON lines that 'jeton user import'
reads back. Keep the file as you would the passwords: weak ones can be guessed from it. It
is made readable for you alone, and whole or not at all. That it was made is in the record.`,
		Example: `  jeton user export --output people.jsonl`,
	}

	c.RunE = func(c *cobra.Command, args []string) error {
		if name == "" && !force && term.IsTerminal(int(os.Stdout.Fd())) {
			return usage{errors.New("password hashes do not belong on a terminal: use --output FILE, or --force")}
		}
		if _, err := os.Lstat(name); name != "" && err == nil && !force {
			return fmt.Errorf("%s is there already; --force replaces it", name)
		}

		return withControl(&p, func(ctx context.Context, c *cobra.Command, _ []string, ctl *control) error {
			if name == "" {
				_, err := export(ctx, ctl, c.OutOrStdout())
				return err
			}

			n, err := exportTo(ctx, ctl, name)
			if err == nil {
				fmt.Fprintf(c.OutOrStdout(), "exported %d people to %s\n", n, name)
			}

			return err
		})(c, args)
	}

	p.flags(c)
	c.Flags().StringVarP(&name, "output", "o", "", "file to write (else standard output)")
	c.Flags().BoolVar(&force, "force", false, "write to a terminal, or over a file that is there")

	return c
}

// exportTo writes a file beside the place of the one that is asked for, and moves it
// there when it is whole.
func exportTo(ctx context.Context, ctl *control, name string) (int, error) {
	f, err := os.CreateTemp(filepath.Dir(name), ".jeton-export-*") // 0600
	if err != nil {
		return 0, fmt.Errorf("make file for the export: %w", err)
	}

	n, err := export(ctx, ctl, f)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}

	if err == nil {
		err = os.Rename(f.Name(), name)
	}

	if err != nil {
		_ = os.Remove(f.Name())
		return 0, fmt.Errorf("write export: %w", err)
	}

	return n, nil
}

// export writes a line for each person and returns how many there are.
func export(ctx context.Context, ctl *control, to io.Writer) (int, error) {
	w := bufio.NewWriter(to)
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	n := 0
	for after := int64(0); ; {
		var page api.Exported
		if err := ctl.call(
			ctx,
			http.MethodGet,
			fmt.Sprintf("/api/v1/users/export?after=%d", after),
			nil,
			&page,
		); err != nil {
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

//go:build !walletonly

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/api"
	"github.com/jeton-auth/jeton/internal/password"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// importFlags are the flags of 'jeton user import'.
type importFlags struct {
	place    place
	out      output
	password passwordSource
	format   string
	verify   string
	apply    bool
	groups   []string
	request  api.Import // its options; the rows are added later
}

// userImport implements 'jeton user import'.
func userImport() *cobra.Command {
	f := importFlags{place: place{create: true}}

	c := &cobra.Command{
		Use:   "import FILE",
		Short: "Import users from a file, with their password hashes",
		Args:  exactArgs("FILE"),
		Long: `Import users from a file, with their password hashes; - is standard input.

On a terminal it changes nothing unless --apply is given: it reports what would happen, as
with --dry-run. Otherwise, as in a pipe or a cron job, it imports.

The file is CSV (separated by commas, semicolons or tabs; first line:
name,email,first_name,last_name,groups,password_hash,disabled; only name is required), JSON
lines (one object per line with the same members, as 'jeton user export' writes them), or
htpasswd. With --format keycloak it is a realm export, with the hashes of pbkdf2 and argon2; a
line is then a user of the export. Second factors and passkeys of Keycloak are not imported:
the command prints how many users have them. How it was read is printed. The command reports
a result per row: added, exists, changed (with --update), declared (the configuration file
declares the name), or refused with the reason. A refused row does not stop the others; the
exit code is then 1. Existing users are skipped, so it is safe to run again after an
interruption.

It accepts hashes of crypt(3) ($5$, $6$), bcrypt, argon2, passlib, werkzeug and Django; at
the first login the password is hashed again. Plain passwords are refused.`,
		Example: `  jeton user import users.csv --dry-run
  jeton user import users.csv --apply
  jeton user import /etc/nginx/htpasswd --group staff --allow-weak
  jeton user import users.jsonl --verify diane
  jeton user import realm-export.json --format keycloak`,
		RunE: func(c *cobra.Command, args []string) error { return f.run(c, args[0]) },
	}

	return withFlags(c, &f.place, &f.out, &f.password, &f)
}

func (f *importFlags) flags(c *cobra.Command) {
	c.Flags().StringVar(
		&f.format, "format", "", "csv, jsonl, htpasswd or keycloak (default: by the file's name, or its first line)",
	)

	c.Flags().BoolVar(
		&f.request.DryRun, "dry-run", false,
		"report what would happen to each row, and change nothing (default on a terminal)",
	)

	c.Flags().BoolVar(&f.apply, "apply", false, "import, on a terminal as well")

	c.Flags().BoolVar(
		&f.request.Update, "update", false,
		"change existing users to match their rows; a different hash ends their sessions",
	)

	c.Flags().BoolVar(
		&f.request.AllowWeak, "allow-weak", false,
		"accept md5-crypt ($1$, $apr1$) and {SHA} hashes, until the next login",
	)

	c.Flags().StringSliceVar(&f.groups, "group", nil, "also add every user to this group (may be repeated)")
	c.Flags().StringVar(
		&f.verify, "verify", "",
		"import nothing; check a password against the hash of this user in the file",
	)
}

// run imports the file, or with --verify only checks a password against it, for which no data
// directory is opened.
func (f *importFlags) run(c *cobra.Command, name string) error {
	switch {
	case f.verify != "" && name == "-" && f.password.stdin:
		return usage{errors.New("the file and the password cannot both come from standard input")}
	case f.apply && f.request.DryRun:
		return usage{errors.New("--apply and --dry-run exclude each other")}
	}

	// The file before the data directory: an unreadable file is refused without a lock or a server.
	file, err := openInput(c.InOrStdin(), name)
	if err != nil {
		return fmt.Errorf("open file of users: %w", err)
	}
	defer file.Close()

	rows, err := openUsers(file, name, f.format)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}

	// On stderr: the report of the rows may be for a program.
	fmt.Fprintf(c.ErrOrStderr(), "reading %s as %s\n", name, oneLine(rows.dialect))
	if rows.left != "" {
		fmt.Fprintln(c.ErrOrStderr(), "warning:", oneLine(rows.left))
	}

	if f.verify != "" {
		return f.verifyPassword(c, rows)
	}

	// An operator who tries a file must not have changed the users of the server by that.
	unasked := !f.apply && !f.request.DryRun && term.IsTerminal(int(os.Stdout.Fd()))
	if unasked {
		f.request.DryRun = true
		defer fmt.Fprintln(c.ErrOrStderr(), "nothing was changed, as this is a terminal; import with --apply")
	}

	f.place.dry = f.request.DryRun

	return withControl(&f.place, func(ctx context.Context, c *cobra.Command, _ []string, ctl *control) error {
		return newImporter(f, ctl, rows, c.OutOrStdout()).run(ctx)
	})(c, nil)
}

// verifyPassword checks a password against the hash of one user in the file, to detect an error
// in the conversion before any user moves.
func (f *importFlags) verifyPassword(c *cobra.Command, rows *userFile) error {
	secret, err := f.password.read(c, "Password of "+f.verify, false)
	if err != nil {
		return err
	}

	row, line, err := rows.find(f.verify)
	var invalid fault
	switch {
	case errors.Is(err, io.EOF):
		return fmt.Errorf("%w: the file has no user %s", jeton.ErrNotFound, f.verify)
	// A fault of the row is reported below, with its line.
	case err != nil && !errors.As(err, &invalid):
		return err
	case err == nil && row.Hash == "":
		err = errors.New("the row has no hash")
	}

	var stored password.Stored
	if err == nil {
		stored, err = password.Recognize(row.Hash)
	}
	if err != nil {
		return exit{exitFailure, fmt.Sprintf("line %d: %s: %v", line, f.verify, err)}
	}

	var ok bool
	err = withPool(c.Context(), func(ctx context.Context, pool *password.Pool) error {
		ok, _, err = pool.Verify(ctx, row.Hash, secret)
		return err
	})
	if err != nil {
		return err
	}

	if !ok {
		return exit{
			exitFailure,
			fmt.Sprintf("line %d: %s: the password does not match the %s hash", line, f.verify, stored.Kind),
		}
	}

	fmt.Fprintf(c.OutOrStdout(), "line %d: %s: the password matches the %s hash\n", line, f.verify, stored.Kind)

	return nil
}

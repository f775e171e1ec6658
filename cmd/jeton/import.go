package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"net/http"
	"os"
	"slices"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/account"
	"github.com/jeton-auth/jeton/internal/api"
	"github.com/jeton-auth/jeton/internal/naming"
	"github.com/jeton-auth/jeton/internal/password"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

func userImport() *cobra.Command {
	var p place
	var out output
	var pw passwordSource

	m := importer{}
	c := &cobra.Command{
		Use:   "import FILE",
		Short: "Import users from a file, with their password hashes",
		Args:  exactArgs("FILE"),
		Long: `Import users from a file, with their password hashes; - is standard input.

The file is CSV (first line: name,email,first_name,last_name,groups,password_hash,disabled;
only name is required), JSON lines (one object per line with the same members, as 'jeton
user export' writes them), or htpasswd. The command reports a result per row: added, exists,
changed (with --update), declared (the configuration file declares the name), or refused
with the reason. A refused row does not stop the others; the exit code is then 1. Existing
users are skipped, so it is safe to run again after an interruption.

It accepts hashes of crypt(3) ($5$, $6$), bcrypt, argon2, passlib, werkzeug and Django; at
the first login the password is hashed again. Plain passwords are refused.`,
		Example: `  jeton user import users.csv --dry-run
  jeton user import /etc/nginx/htpasswd --group staff --allow-weak
  jeton user import users.jsonl --verify diane`,
	}

	c.RunE = func(c *cobra.Command, args []string) error {
		asJSON, err := out.json()
		if err != nil {
			return err
		}

		if m.verify != "" {
			if args[0] == "-" && pw.stdin {
				return usage{errors.New("the file and the password cannot both come from standard input")}
			}

			m.password, err = pw.read(c, "Password of "+m.verify, false)
			if err != nil {
				return err
			}
		}

		file, err := openInput(c, args[0])
		if err != nil {
			return err
		}
		defer file.Close()

		m.rows, err = openUsers(file, args[0], m.format)
		if err != nil {
			return fmt.Errorf("%s: %w", args[0], err)
		}

		m.out, m.json = c.OutOrStdout(), asJSON
		m.quiet = asJSON || !term.IsTerminal(int(os.Stderr.Fd()))

		if m.verify != "" {
			return m.check(c.Context())
		}

		return withControl(&p, func(ctx context.Context, _ *cobra.Command, _ []string, ctl *control) error {
			m.ctl = ctl
			return m.run(ctx)
		})(c, args)
	}

	p.flags(c)
	out.flags(c)
	pw.flags(c)
	f := c.Flags()
	f.StringVar(&m.format, "format", "", "csv, jsonl or htpasswd (default: by the file's name, or its first line)")

	f.BoolVar(&m.ask.DryRun, "dry-run", false, "report what would happen to each row, and change nothing")
	f.BoolVar(
		&m.ask.Update,
		"update",
		false,
		"change existing users to match their rows; a different hash ends their sessions",
	)

	f.BoolVar(
		&m.ask.AllowWeak,
		"allow-weak",
		false,
		"accept md5-crypt ($1$, $apr1$) and {SHA} hashes, until the next login",
	)

	f.StringSliceVar(&m.groups, "group", nil, "also add every user to this group (may be repeated)")
	f.StringVar(
		&m.verify,
		"verify",
		"",
		"import nothing; check a password against the hash of this user in the file",
	)

	return c
}

func openInput(c *cobra.Command, name string) (io.ReadCloser, error) {
	if name == "-" {
		return io.NopCloser(c.InOrStdin()), nil
	}

	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("open file of users: %w", err)
	}

	return f, nil
}

// importer imports the rows of a file.
type importer struct {
	format   string
	groups   []string
	verify   string
	password jeton.Secret
	ask      api.Import

	ctl   *control
	rows  *userFile
	out   io.Writer
	json  bool // print a line of JSON for each row, instead of text
	quiet bool // no progress

	lines  []int // of ask.Users
	size   int   // approximate size of ask.Users, in bytes
	counts map[string]int
	total  int
	shown  time.Time // when progress was last shown
	// seen has the line of each name in a dry run, by a hash of the name to save memory.
	seen map[uint64]int
	seed maphash.Seed
}

// maxImportBytes bounds one call, whose body may have at most 64 KiB.
const maxImportBytes = 56 << 10

func (m *importer) run(ctx context.Context) error {
	m.counts = map[string]int{}
	m.shown = time.Now()

	if m.ask.DryRun {
		m.seen, m.seed = map[uint64]int{}, maphash.MakeSeed()
	}

	for {
		row, line, err := m.rows.next()
		var one fault
		switch {
		case errors.Is(err, io.EOF):
			if err := m.flush(ctx); err != nil {
				return err
			}
			return m.sum()
		case errors.As(err, &one):
			// Report the rows before it first.
			if err := m.flush(ctx); err != nil {
				return err
			}
			m.report(line, api.Verdict{Name: row.Name, Verdict: string(account.Refused), Reason: one.Error()})
		case err != nil:
			if ferr := m.flush(ctx); ferr != nil {
				return ferr
			}
			return err
		default:
			if err := m.add(ctx, row, line); err != nil {
				return err
			}
		}
	}
}

// add adds a row to the next call.
func (m *importer) add(ctx context.Context, row api.Moved, line int) error {
	if len(m.groups) > 0 {
		all := slices.Clone(m.groups)
		if row.Groups != nil {
			all = append(all, *row.Groups...)
		}
		row.Groups = &all
	}

	b, err := json.Marshal(row)
	if err != nil {
		return err
	}

	if len(m.ask.Users) == api.MaxImport || m.size+len(b)+1 > maxImportBytes {
		if err := m.flush(ctx); err != nil {
			return err
		}
	}

	if len(b) > maxImportBytes {
		m.report(line, api.Verdict{Name: row.Name, Verdict: string(account.Refused), Reason: "the row is too long"})
		return nil
	}

	m.ask.Users, m.lines, m.size = append(m.ask.Users, row), append(m.lines, line), m.size+len(b)+1

	return nil
}

// flush imports the waiting rows and reports their results.
func (m *importer) flush(ctx context.Context) error {
	if len(m.ask.Users) == 0 {
		return nil
	}

	var got api.Verdicts
	if err := m.ctl.call(ctx, http.MethodPost, "/api/v1/users/import", m.ask, &got); err != nil {
		return fmt.Errorf(
			"lines %d to %d: %w; the %d rows before them are done, run the command again for the rest",
			m.lines[0],
			m.lines[len(m.lines)-1],
			err,
			m.total,
		)
	}

	if len(got.Verdicts) != len(m.lines) {
		return fmt.Errorf("got %d results for %d rows from the server", len(got.Verdicts), len(m.lines))
	}

	for i, v := range got.Verdicts {
		m.report(m.lines[i], v)
	}

	m.ask.Users, m.lines, m.size = m.ask.Users[:0], m.lines[:0], 0

	return nil
}

// verdictOf returns the text of a verdict; in a dry run, what would happen.
func (m *importer) verdictOf(v string) string {
	if m.ask.DryRun {
		switch v {
		case string(account.Added):
			return "would add"
		case string(account.Changed):
			return "would change"
		}
	}

	return v
}

// rowVerdict is a line of JSON output.
type rowVerdict struct {
	Line int `json:"line"`
	api.Verdict
}

// report reports the verdict of a row.
func (m *importer) report(line int, v api.Verdict) {
	// In a dry run the store cannot notice a duplicate name.
	if m.ask.DryRun && v.Verdict == string(account.Added) {
		_, folded, err := naming.User(v.Name)
		if err == nil {
			n := maphash.String(m.seed, folded)
			first := m.seen[n]
			if first > 0 {
				v.Verdict, v.Reason = string(account.Exists), fmt.Sprintf("line %d has the same name", first)
			} else {
				m.seen[n] = line
			}
		}
	}

	m.total++
	m.counts[v.Verdict]++
	v.Verdict = m.verdictOf(v.Verdict)

	if m.json {
		_ = json.NewEncoder(m.out).Encode(rowVerdict{line, v})
		return
	}

	text := v.Verdict
	if v.Reason != "" {
		text += ": " + oneLine(v.Reason)
	}

	fmt.Fprintf(m.out, "line %-6d %-24s %s\n", line, oneLine(v.Name), text)
	m.progress()
}

// progress shows progress on a terminal, once a second.
func (m *importer) progress() {
	if m.quiet || time.Since(m.shown) < time.Second {
		return
	}
	m.shown = time.Now()
	fmt.Fprintf(os.Stderr, "%d rows, %d refused\n", m.total, m.counts[string(account.Refused)])
}

// sum prints the totals, and returns an error if rows were refused.
func (m *importer) sum() error {
	if !m.json {
		for _, v := range []account.Verdict{
			account.Added,
			account.Changed,
			account.Exists,
			account.InFile,
			account.Refused,
		} {
			if n := m.counts[string(v)]; n > 0 || v == account.Added {
				fmt.Fprintf(m.out, "%s: %d\n", m.verdictOf(string(v)), n)
			}
		}

		fmt.Fprintf(m.out, "rows: %d\n", m.total)
	}

	if n := m.counts[string(account.Refused)]; n > 0 {
		return exit{exitFailure, fmt.Sprintf("%d of %d rows were refused", n, m.total)}
	}

	return nil
}

// check checks a password against the hash of one user in the file, to detect an error in the
// conversion before any user moves.
func (m *importer) check(ctx context.Context) error {
	for {
		row, line, err := m.rows.next()
		var one fault

		if errors.Is(err, io.EOF) {
			return fmt.Errorf("%w: the file has no user %s", jeton.ErrNotFound, m.verify)
		}
		if err != nil && !errors.As(err, &one) {
			return err
		}
		if row.Name != m.verify {
			continue
		}

		if err == nil && row.Hash == "" {
			err = errors.New("the row has no hash")
		}

		var stored password.Stored
		if err == nil {
			stored, err = password.Recognize(row.Hash)
		}
		if err != nil {
			return exit{exitFailure, fmt.Sprintf("line %d: %s: %v", line, m.verify, err)}
		}

		var ok bool
		err = withPool(ctx, func(ctx context.Context, pool *password.Pool) error {
			ok, _, err = pool.Verify(ctx, row.Hash, m.password)
			return err
		})
		if err != nil {
			return err
		}

		if !ok {
			return exit{
				exitFailure,
				fmt.Sprintf("line %d: %s: the password does not match the %s hash", line, m.verify, stored.Kind),
			}
		}

		fmt.Fprintf(m.out, "line %d: %s: the password matches the %s hash\n", line, m.verify, stored.Kind)

		return nil
	}
}

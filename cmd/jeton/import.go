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

	m := mover{}
	c := &cobra.Command{
		Use:   "import FILE",
		Short: "Move people in from a file, with their password hashes",
		Args:  exactArgs("FILE"),
		Long: `Move people in from a file, with the hashes of their passwords; - reads standard input.

CSV (first line: name,email,first_name,last_name,groups,password_hash,disabled; only name
is needed), JSON lines (an object a line with the same members, as 'jeton user export'
writes them), or htpasswd. Each row is told what became of it: added, exists, changed
(with --update), declared (left to the configuration file), or refused and why; a row that
is refused does not keep the others out. The exit code is 1 if one was. Run it again after
an interruption: who is in already exists.

Hashes are taken of crypt(3) ($5$, $6$), bcrypt, argon2, passlib, werkzeug and Django; at
the first login the password is hashed anew. Plain passwords are refused.`,
		Example: `  jeton user import people.csv --dry-run
  jeton user import /etc/nginx/htpasswd --group staff --allow-weak
  jeton user import people.jsonl --verify diane`,
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

		m.rows, err = readPeople(file, args[0], m.format)
		if err != nil {
			return fmt.Errorf("%s: %w", args[0], err)
		}

		m.out, m.json = c.OutOrStdout(), asJSON
		m.quiet = asJSON || !term.IsTerminal(int(os.Stderr.Fd()))

		if m.verify != "" {
			return m.prove(c.Context())
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
	f.StringVar(&m.format, "format", "", "csv, jsonl or htpasswd (else told by the file's name, or by how it begins)")

	f.BoolVar(&m.ask.DryRun, "dry-run", false, "say what would become of each row, and change nothing")
	f.BoolVar(
		&m.ask.Update,
		"update",
		false,
		"change who is there to be as the row says; a changed hash ends their sessions",
	)
	f.BoolVar(
		&m.ask.AllowWeak,
		"allow-weak",
		false,
		"take md5-crypt ($1$, $apr1$) and {SHA} hashes, until the next login",
	)
	f.StringSliceVar(&m.groups, "group", nil, "put everybody into this group, too (may be repeated)")
	f.StringVar(
		&m.verify,
		"verify",
		"",
		"import nothing; check that the hash of this person in the file is that of a password",
	)

	return c
}

func openInput(c *cobra.Command, name string) (io.ReadCloser, error) {
	if name == "-" {
		return io.NopCloser(c.InOrStdin()), nil
	}

	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("open file of people: %w", err)
	}

	return f, nil
}

// mover moves the rows of a file in.
type mover struct {
	format   string
	groups   []string
	verify   string
	password jeton.Secret
	ask      api.Import

	ctl   *control
	rows  *people
	out   io.Writer
	json  bool // a line of JSON for each row, in the place of a line for people
	quiet bool // no progress

	lines  []int // of ask.Users
	size   int   // about how many bytes ask.Users take
	counts map[string]int
	total  int
	told   time.Time // when progress was last shown
	// seen has the line of each name of a dry run, by a number for the name: a file may be
	// long, and names are longer than numbers.
	seen map[uint64]int
	seed maphash.Seed
}

// The bounds of one step. The call that carries it has at most 64 KiB.
const maxImportBytes = 56 << 10

func (m *mover) run(ctx context.Context) error {
	m.counts = map[string]int{}
	m.told = time.Now()

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
			// What came before is told before.
			if err := m.flush(ctx); err != nil {
				return err
			}
			m.tell(line, api.Verdict{Name: row.Name, Verdict: string(account.Refused), Reason: one.Error()})
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

// add puts a row to those of the next step.
func (m *mover) add(ctx context.Context, row api.Moved, line int) error {
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
		m.tell(line, api.Verdict{Name: row.Name, Verdict: string(account.Refused), Reason: "the row is too long"})
		return nil
	}

	m.ask.Users, m.lines, m.size = append(m.ask.Users, row), append(m.lines, line), m.size+len(b)+1

	return nil
}

// flush has the rows that wait moved in, and tells their verdicts.
func (m *mover) flush(ctx context.Context) error {
	if len(m.ask.Users) == 0 {
		return nil
	}

	var got api.Verdicts
	if err := m.ctl.call(ctx, http.MethodPost, "/api/v1/users/import", m.ask, &got); err != nil {
		return fmt.Errorf(
			"lines %d to %d: %w; the %d rows before are in or refused, run it again for the rest",
			m.lines[0],
			m.lines[len(m.lines)-1],
			err,
			m.total,
		)
	}
	if len(got.Verdicts) != len(m.lines) {
		return fmt.Errorf("the server told %d verdicts of %d rows", len(got.Verdicts), len(m.lines))
	}

	for i, v := range got.Verdicts {
		m.tell(m.lines[i], v)
	}

	m.ask.Users, m.lines, m.size = m.ask.Users[:0], m.lines[:0], 0

	return nil
}

// verdictOf is how a verdict is told: of a dry run, what would have been.
func (m *mover) verdictOf(v string) string {
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

// rowVerdict is a line of the output for programs.
type rowVerdict struct {
	Line int `json:"line"`
	api.Verdict
}

// tell tells the verdict of a row.
func (m *mover) tell(line int, v api.Verdict) {
	// A dry run leaves nothing behind by which the store could see that a name comes twice.
	if m.ask.DryRun && v.Verdict == string(account.Added) {
		_, folded, err := naming.User(v.Name)
		if err == nil {
			n := maphash.String(m.seed, folded)
			first := m.seen[n]
			if first > 0 {
				v.Verdict, v.Reason = string(account.Exists), fmt.Sprintf("line %d has the name, too", first)
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

// progress says on a terminal how far a long file has come, each second.
func (m *mover) progress() {
	if m.quiet || time.Since(m.told) < time.Second {
		return
	}
	m.told = time.Now()
	fmt.Fprintf(os.Stderr, "%d rows, %d refused\n", m.total, m.counts[string(account.Refused)])
}

// sum tells the numbers, and returns the error of a file with rows that were refused.
func (m *mover) sum() error {
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

// prove checks that the hash of a person in the file is that of a password: that it has
// come over right, before anybody moves.
func (m *mover) prove(ctx context.Context) error {
	for {
		row, line, err := m.rows.next()
		var one fault

		if errors.Is(err, io.EOF) {
			return fmt.Errorf("%w: nobody in the file is named %s", jeton.ErrNotFound, m.verify)
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
				fmt.Sprintf("line %d: %s: the %s hash is not that of the password", line, m.verify, stored.Kind),
			}
		}

		fmt.Fprintf(m.out, "line %d: %s: the %s hash is that of the password\n", line, m.verify, stored.Kind)

		return nil
	}
}

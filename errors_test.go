package jeton

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"regexp"
	"strings"
	"testing"
	"time"
)

// declared returns the names of the exported errors in errors.go.
func declared(t *testing.T) []string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "errors.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}

	var names []string
	for _, d := range file.Decls {
		g, ok := d.(*ast.GenDecl)
		if !ok || g.Tok != token.VAR {
			continue
		}

		for _, spec := range g.Specs {
			for _, n := range spec.(*ast.ValueSpec).Names {
				if strings.HasPrefix(n.Name, "Err") {
					names = append(names, n.Name)
				}
			}
		}
	}

	return names
}

// coded returns the names of the errors in the table of codes, in order.
func coded(t *testing.T) []string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "errors.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}

	var names []string
	for _, d := range file.Decls {
		g, ok := d.(*ast.GenDecl)
		if !ok || g.Tok != token.VAR || g.Specs[0].(*ast.ValueSpec).Names[0].Name != "codes" {
			continue
		}

		for _, row := range g.Specs[0].(*ast.ValueSpec).Values[0].(*ast.CompositeLit).Elts {
			names = append(names, row.(*ast.CompositeLit).Elts[0].(*ast.Ident).Name)
		}
	}

	return names
}

func TestEveryOutcomeHasOneCode(t *testing.T) {
	rows := map[string]int{}
	for _, name := range coded(t) {
		rows[name]++
	}

	names := declared(t)
	if len(names) < 20 {
		t.Fatalf("only %v are found: the test looks in the wrong place", names)
	}

	for _, name := range names {
		if rows[name] != 1 {
			t.Errorf("%s has %d codes, want one", name, rows[name])
		}
	}

	seen := map[string]bool{CodeInternal: true, "ok": true, "": true}
	for _, c := range codes {
		if seen[c.code] {
			t.Errorf("the code %q is taken", c.code)
		}

		seen[c.code] = true
		if !regexp.MustCompile(`^[a-z]+(_[a-z]+)*$`).MatchString(c.code) {
			t.Errorf("the code %q is not in small letters and underscores", c.code)
		}
	}
}

func TestCodesGoThereAndBack(t *testing.T) {
	for _, c := range codes {
		wrapped := fmt.Errorf(
			"do this: %w",
			WithRetryAfter(fmt.Errorf("do that: %w", WithDetail(c.err, "text")), time.Second),
		)
		if got := Code(wrapped); got != c.code {
			t.Errorf("Code(%v) = %q, want %q", c.err, got, c.code)
		}
		if got := Outcome(wrapped); got != c.err {
			t.Errorf("Outcome(%v) = %v", wrapped, got)
		}

		if got := FromCode(c.code); got != c.err {
			t.Errorf("FromCode(%q) = %v, want %v", c.code, got, c.err)
		}
	}

	other := errors.New("another error")
	if Code(other) != CodeInternal || Outcome(other) != nil {
		t.Errorf("an error that is no outcome has the code %q and is %v", Code(other), Outcome(other))
	}
	if Code(nil) != "" || Outcome(nil) != nil {
		t.Errorf("nil has the code %q and is %v", Code(nil), Outcome(nil))
	}

	for _, code := range []string{"", CodeInternal, "no_such_code", "SPENT"} {
		if got := FromCode(code); got != nil {
			t.Errorf("FromCode(%q) = %v, want nil", code, got)
		}
	}
}

func TestSayAndAfter(t *testing.T) {
	for _, tc := range []struct {
		name  string
		err   error
		is    error
		said  string
		wait  time.Duration
		waits bool
	}{
		{"nothing", nil, nil, "", 0, false},
		{"bare", ErrBusy, ErrBusy, "", 0, false},
		{"with a text", WithDetail(ErrInvalid, "a text"), ErrInvalid, "a text", 0, false},
		{"with a wait", WithRetryAfter(ErrBusy, time.Second), ErrBusy, "", time.Second, true},
		{"with no wait at all", WithRetryAfter(ErrBusy, 0), ErrBusy, "", 0, true},
		{"both", WithRetryAfter(WithDetail(ErrBusy, "a text"), time.Second), ErrBusy, "a text", time.Second, true},
		{
			"both, the other way round",
			WithDetail(WithRetryAfter(ErrBusy, time.Second), "a text"),
			ErrBusy,
			"a text",
			time.Second,
			true,
		},
		{
			"wrapped",
			fmt.Errorf("at: %w", WithRetryAfter(fmt.Errorf("in: %w", WithDetail(ErrBusy, "a text")), time.Second)),
			ErrBusy,
			"a text",
			time.Second,
			true,
		},
		{
			"the outermost counts",
			WithRetryAfter(WithRetryAfter(WithDetail(WithDetail(ErrBusy, "old"), "new"), time.Hour), time.Second),
			ErrBusy,
			"new",
			time.Second,
			true,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if !errors.Is(tc.err, tc.is) || errors.Is(tc.err, ErrSpent) {
				t.Errorf("%v is not %v alone", tc.err, tc.is)
			}
			if got := Detail(tc.err); got != tc.said {
				t.Errorf("Said = %q, want %q", got, tc.said)
			}
			if wait, ok := RetryAfter(tc.err); wait != tc.wait || ok != tc.waits {
				t.Errorf("RetryAfter = %v, %t, want %v, %t", wait, ok, tc.wait, tc.waits)
			}
		})
	}

	if got := WithDetail(ErrSpent, "a text").Error(); got != "no uses are left: a text" {
		t.Errorf("Say prints %q", got)
	}
	if got := WithRetryAfter(ErrBusy, time.Second).Error(); got != "busy" {
		t.Errorf("After prints %q", got)
	}
}

func TestPrincipalIsZero(t *testing.T) {
	if !(Principal{}).IsZero() || (Principal{Kind: KindUser}).IsZero() {
		t.Error("IsZero: want true for the zero principal and false for others")
	}
}

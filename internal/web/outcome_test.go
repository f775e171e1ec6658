package web_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"log/slog"
	"maps"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/web"
)

// outcomes returns the names of the exported errors of package jeton.
func outcomes(t *testing.T) []string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "../../errors.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}

	var names []string
	for _, d := range file.Decls {
		g, ok := d.(*ast.GenDecl)
		if !ok || g.Tok != token.VAR {
			continue
		}

		for _, s := range g.Specs {
			for _, n := range s.(*ast.ValueSpec).Names {
				if strings.HasPrefix(n.Name, "Err") {
					names = append(names, n.Name)
				}
			}
		}
	}

	return names
}

// statuses has the status of each outcome. A new outcome needs a line here, too.
var statuses = map[string]struct {
	err    error
	status int
}{
	"ErrNoCredential":  {jeton.ErrNoCredential, 401},
	"ErrBadCredential": {jeton.ErrBadCredential, 401},
	"ErrAmbiguous":     {jeton.ErrAmbiguous, 400},
	"ErrExpired":       {jeton.ErrExpired, 401},
	"ErrTooEarly":      {jeton.ErrTooEarly, 401},
	"ErrSpent":         {jeton.ErrSpent, 403},
	"ErrForbidden":     {jeton.ErrForbidden, 403},
	"ErrChanged":       {jeton.ErrChanged, 412},
	"ErrScope":         {jeton.ErrScope, 403},
	"ErrProof":         {jeton.ErrProof, 403},
	"ErrFactor":        {jeton.ErrFactor, 401},
	"ErrRelogin":       {jeton.ErrRelogin, 403},
	"ErrSessionsFull":  {jeton.ErrSessionsFull, 403},
	"ErrTokensFull":    {jeton.ErrTokensFull, 403},
	"ErrTooMany":       {jeton.ErrTooMany, 429},
	"ErrBusy":          {jeton.ErrBusy, 503},
	"ErrUnavailable":   {jeton.ErrUnavailable, 503},
	"ErrNotFound":      {jeton.ErrNotFound, 404},
	"ErrMethod":        {jeton.ErrMethod, 405},
	"ErrConflict":      {jeton.ErrConflict, 409},
	"ErrDeclared":      {jeton.ErrDeclared, 409},
	"ErrInvalid":       {jeton.ErrInvalid, 400},
	"ErrTooLarge":      {jeton.ErrTooLarge, 413},
	"ErrMediaType":     {jeton.ErrMediaType, 415},
	"ErrMisdirected":   {jeton.ErrMisdirected, 421},
	"ErrUpstream":      {jeton.ErrUpstream, 502},
}

func TestEveryOutcomeHasAStatus(t *testing.T) {
	names := outcomes(t)
	if len(names) < 20 {
		t.Fatalf("found only %d outcomes: %v", len(names), names)
	}

	codes := map[string]string{}
	for _, name := range names {
		want, ok := statuses[name]
		if !ok {
			t.Errorf("jeton.%s has no line in this table, want one", name)
			continue
		}

		p := web.Problem(fmt.Errorf("while testing: %w", want.err))
		if p.Status != want.status || p.Code == jeton.CodeInternal || p.Title == "" || p.Type != "about:blank" {
			t.Errorf("Problem(jeton.%s) = %+v, want status %d and a code of its own", name, p, want.status)
		}

		other := codes[p.Code]
		if other != "" {
			t.Errorf("jeton.%s and %s have the code %s, want one each", name, other, p.Code)
		}

		codes[p.Code] = name
		if !errors.Is(want.err, jeton.FromCode(p.Code)) {
			t.Errorf("FromCode(%s) = %v, want %s", p.Code, jeton.FromCode(p.Code), name)
		}
	}
}

func TestFail(t *testing.T) {
	const internal = `"title":"Internal error","status":500,"code":"internal"`

	for _, tc := range []struct {
		name string
		err  error
		want string // members of the body, beside those that all have
		wait string
	}{
		{"an unknown error", errors.New("open /var/lib/x: permission denied"), internal, ""},
		{"an unknown error in another", fmt.Errorf("secret path: %w", errors.New("x")), internal, ""},
		{
			"an outcome with an internal text",
			fmt.Errorf("select from users: %w", jeton.ErrNotFound),
			`"title":"Not found","status":404,"code":"not_found"`,
			"",
		},
		{
			"an outcome with a text for the caller",
			jeton.WithDetail(jeton.ErrInvalid, "no <b> & \""),
			`"title":"Invalid request","status":400,"code":"invalid_request","detail":"no <b> & \""`,
			"",
		},
		{
			"a time to wait, rounded up",
			jeton.WithRetryAfter(jeton.ErrTooMany, 1500*time.Millisecond),
			`"title":"Too many attempts","status":429,"code":"too_many_attempts"`,
			"2",
		},
		{
			"the store is down",
			fmt.Errorf("x: %w", jeton.ErrUnavailable),
			`"title":"Unavailable","status":503,"code":"unavailable"`,
			"1",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w, rec := reply()
			web.Fail(w, httptest.NewRequest("GET", "/", nil), tc.err)

			var got, want map[string]any
			body := `{"type":"about:blank","request_id":"the-id-of-it",` + tc.want + `}`
			if err := errors.Join(
				json.Unmarshal(rec.Body.Bytes(), &got),
				json.Unmarshal([]byte(body), &want),
			); err != nil {
				t.Fatal(err)
			}

			if !maps.Equal(got, want) {
				t.Errorf("body is %s, want %s", rec.Body, body)
			}

			if float64(rec.Code) != want["status"] || w.Status() != rec.Code {
				t.Errorf("status is %d, and Status() = %d, want %v", rec.Code, w.Status(), want["status"])
			}

			for name, value := range map[string]string{
				"Content-Type":           "application/problem+json",
				"Cache-Control":          "no-store",
				"X-Content-Type-Options": "nosniff",
				"Retry-After":            tc.wait,
				jeton.HeaderError:        fmt.Sprint(want["code"]),
			} {
				if got := rec.Header().Get(name); got != value {
					t.Errorf("%s is %q, want %q", name, got, value)
				}
			}
		})
	}
}

func TestLog(t *testing.T) {
	for _, tc := range []struct {
		name   string
		err    error
		logged bool
	}{
		{"an unknown error", errors.New("the cause"), true},
		{"the store is down", fmt.Errorf("the cause: %w", jeton.ErrUnavailable), true},
		{"a refusal", fmt.Errorf("the cause: %w", jeton.ErrForbidden), false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var out strings.Builder

			w, _ := reply()
			web.Log(
				w, slog.New(slog.NewTextHandler(&out, nil)),
				httptest.NewRequest("GET", "/x?password=canary", nil), tc.err,
			)

			text := out.String()
			logged := strings.Contains(text, "the-id-of-it") && strings.Contains(text, "the cause")
			if logged != tc.logged || strings.Contains(text, "canary") {
				t.Errorf("the log has %q, want an entry: %t", text, tc.logged)
			}
		})
	}
}

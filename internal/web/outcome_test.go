package web_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"log/slog"
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

// statuses says what each outcome is over HTTP. A new outcome needs a line here, too.
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
	"ErrRelogin":       {jeton.ErrRelogin, 403},
	"ErrSessionsFull":  {jeton.ErrSessionsFull, 403},
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
	"ErrUpstream":      {jeton.ErrUpstream, 502},
}

func TestEveryOutcomeHasAStatus(t *testing.T) {
	names := outcomes(t)
	if len(names) < 20 {
		t.Fatalf("only %d outcomes were found: %v", len(names), names)
	}

	codes := map[string]string{}
	for _, name := range names {
		want, ok := statuses[name]
		if !ok {
			t.Errorf("jeton.%s has no line in this table", name)
			continue
		}

		p := web.Problem(fmt.Errorf("while testing: %w", want.err))
		if p.Status != want.status || p.Code == jeton.CodeInternal || p.Title == "" || p.Type != "about:blank" {
			t.Errorf("jeton.%s is %+v, want status %d and a code of its own", name, p, want.status)
		}

		other := codes[p.Code]
		if other != "" {
			t.Errorf("jeton.%s and %s share the code %s", name, other, p.Code)
		}

		codes[p.Code] = name
		if !errors.Is(want.err, jeton.FromCode(p.Code)) {
			t.Errorf("code %s leads back to %v, want %s", p.Code, jeton.FromCode(p.Code), name)
		}
	}
}

func TestFail(t *testing.T) {
	for _, tc := range []struct {
		name string
		err  error
		want string // of the body
		wait string
	}{
		{
			"an unknown error",
			errors.New("open /var/lib/x: permission denied"),
			`{"type":"about:blank","title":"Internal error","status":500,"code":"internal","request_id":"the-id-of-it"}`,
			"",
		},
		{
			"an unknown error around a said one",
			fmt.Errorf("secret path: %w", errors.New("x")),
			`{"type":"about:blank","title":"Internal error","status":500,"code":"internal","request_id":"the-id-of-it"}`,
			"",
		},
		{
			"an outcome in the words of the inside",
			fmt.Errorf("select from users: %w", jeton.ErrNotFound),
			`{"type":"about:blank","title":"Not found","status":404,"code":"not_found","request_id":"the-id-of-it"}`,
			"",
		},
		{
			"an outcome with a text for the caller",
			jeton.WithDetail(jeton.ErrInvalid, "no <b> & \""),
			`{"type":"about:blank","title":"Invalid request","status":400,"detail":"no \u003cb\u003e \u0026 \"","code":"invalid_request","request_id":"the-id-of-it"}`,
			"",
		},
		{
			"how long to wait, rounded up",
			jeton.WithRetryAfter(jeton.ErrTooMany, 1500*time.Millisecond),
			`{"type":"about:blank","title":"Too many attempts","status":429,"code":"too_many_attempts","request_id":"the-id-of-it"}`,
			"2",
		},
		{
			"the store is down",
			fmt.Errorf("x: %w", jeton.ErrUnavailable),
			`{"type":"about:blank","title":"Unavailable","status":503,"code":"unavailable","request_id":"the-id-of-it"}`,
			"1",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w, rec := reply()
			web.Fail(w, httptest.NewRequest("GET", "/", nil), tc.err)
			var got, want jeton.Problem
			if json.Unmarshal(
				[]byte(tc.want),
				&want,
			) != nil || json.Unmarshal(rec.Body.Bytes(), &got) != nil || got != want {
				t.Errorf("body %s, want %s", rec.Body, tc.want)
			}

			h := rec.Header()
			if rec.Code != want.Status || w.Status() != want.Status ||
				h.Get("Content-Type") != "application/problem+json" ||
				h.Get("Cache-Control") != "no-store" ||
				h.Get(jeton.HeaderError) != want.Code || h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Retry-After") != tc.wait {
				t.Errorf("%d %v", rec.Code, h)
			}

			var members map[string]any
			if _ = json.Unmarshal(rec.Body.Bytes(), &members); want.Status == 500 && len(members) != 5 {
				t.Errorf("an internal error says %v, want the id of the request and nothing of the inside", members)
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
		{"an unknown error", errors.New("the inside"), true},
		{"the store is down", fmt.Errorf("the inside: %w", jeton.ErrUnavailable), true},
		{"a refusal", fmt.Errorf("the inside: %w", jeton.ErrForbidden), false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var out strings.Builder

			w, _ := reply()
			web.Log(
				w,
				slog.New(slog.NewTextHandler(&out, nil)),
				httptest.NewRequest("GET", "/x?password=canary", nil),
				tc.err,
			)

			if logged := strings.Contains(
				out.String(),
				"the-id-of-it",
			) && strings.Contains(
				out.String(),
				"the inside",
			); logged != tc.logged || strings.Contains(out.String(), "canary") {
				t.Errorf("logged %q", out.String())
			}
		})
	}
}

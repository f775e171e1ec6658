package gate

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/secret"
	"github.com/jeton-auth/jeton/internal/web"
)

func TestAZeroDecisionHasNoPrincipal(t *testing.T) {
	for name, p := range map[string]Decision{
		"zero":                          {},
		"of a reply without a decision": From(&web.Reply{}),
		"of a reply with another value": From(&web.Reply{Decision: "diane"}),
	} {
		left, counted := p.Left()
		if !p.Principal().IsZero() || p.Principal().Name != "" || left != 0 || counted || p.Free() {
			t.Errorf("%s: %+v has principal %q, %+v, want none", name, p, p.Principal().Name, p.Principal())
		}
		if p.Principal().Kind == jeton.KindUser {
			t.Errorf("%s: the principal is a user, want none", name)
		}
	}
}

func TestRecentDecisions(t *testing.T) {
	service := &Service{Name: "shop"}
	ask := func(id, path string) *Request {
		return &Request{
			Service:   service,
			Method:    "GET",
			Path:      path,
			RequestID: id,
			Header:    http.Header{"Cookie": {"jeton=" + secret.SessionPrefix + "x"}},
		}
	}

	t.Run("holds a bounded number of decisions of bounded size", func(t *testing.T) {
		var r recentDecisions

		long := strings.Repeat("/ü", 20_000)
		for i := range 10_000 {
			r.add(ask(fmt.Sprintf("%c-request-%d", 'a'+i%16, i), long), Decision{})
		}

		held := 0
		for i := range r.shards {
			for _, d := range r.shards[i].ring {
				if d.request.RequestID == "" {
					continue
				}

				held++
				if d.request.Header != nil || d.request.Path != "" || d.request.Method != "" ||
					cap(d.target) > 1024 {
					t.Fatalf(
						"keeps header %v, path of %d bytes, target of %d",
						d.request.Header,
						len(d.request.Path),
						cap(d.target),
					)
				}
			}
		}

		limit := len(r.shards) * len(r.shards[0].ring)
		if held > limit {
			t.Errorf("%d decisions held, want at most %d", held, limit)
		}
		if _, ok := r.find("a-request-0"); ok {
			t.Error("the first decision is still there, want it overwritten")
		}

		if d, ok := r.find("p-request-9999"); !ok || !utf8.Valid(d.target) {
			t.Errorf("the last decision: found %t, target %q, want valid UTF-8", ok, d.target)
		}
	})

	t.Run("ignores a request without an ID", func(t *testing.T) {
		var r recentDecisions
		r.add(ask("", "/x"), Decision{})
		if _, ok := r.find(""); ok {
			t.Error("a request without an ID was found")
		}
	})

	t.Run("a found decision does not change when its slot is reused", func(t *testing.T) {
		var r recentDecisions
		r.add(ask("a-first-one", "/first"), Decision{})
		d, ok := r.find("a-first-one")

		for i := range 200 {
			r.add(ask(fmt.Sprintf("a-%d", i), "/other"), Decision{})
		}

		if !ok || string(d.target) != "GET /first" {
			t.Errorf("found %t, %q, want GET /first", ok, d.target)
		}
	})

	t.Run("concurrent use", func(t *testing.T) {
		var r recentDecisions
		var wg sync.WaitGroup
		for g := range 8 {
			wg.Go(func() {
				for i := range 500 {
					id := fmt.Sprintf("%d-%d", g, i)
					r.add(ask(id, "/"+id), Decision{})
					if d, ok := r.find(id); ok && string(d.target) != "GET /"+id {
						t.Errorf("request %s has target %s", id, d.target)
					}
				}
			})
		}

		wg.Wait()
	})
}

func TestAppendTarget(t *testing.T) {
	for _, tc := range []struct{ name, method, path, want string }{
		{"a path", "GET", "/x", "GET /x"},
		{"a secret in the path", "GET", "/x/" + secret.SessionPrefix + "abc/y", "GET /x/…"},
		{"a long path", "GET", "/" + strings.Repeat("x", 300), "GET /" + strings.Repeat("x", 199) + "…"},
		{
			"a path cut inside a character",
			"GET",
			"/" + strings.Repeat("x", 198) + "ü",
			"GET /" + strings.Repeat("x", 198) + "…",
		},
		{"a long method", strings.Repeat("M", 99), "/", strings.Repeat("M", 20) + " /"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := string(appendTarget(nil, &Request{Method: tc.method, Path: tc.path}))
			if got != tc.want {
				t.Errorf("target %q, want %q", got, tc.want)
			}
		})
	}
}

func TestAForgottenAccessRuleAdmitsNoRequest(t *testing.T) {
	g := New(nil, nil, nil)
	var d Decision
	failed, err := g.judge(t.Context(), &Request{Service: &Service{}}, &d)
	if failed != stepRoute || jeton.Code(err) != "forbidden" {
		t.Errorf("judge = step %d, %v, want the route, forbidden", failed, err)
	}
}

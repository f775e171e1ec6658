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

func TestZeroPassNamesNobody(t *testing.T) {
	for name, p := range map[string]Decision{
		"zero":                              {},
		"of a reply that none was given to": From(&web.Reply{}),
		"of a reply with something else":    From(&web.Reply{Decision: "diane"}),
	} {
		left, counted := p.Left()
		if !p.Principal().IsZero() || p.Principal().Name != "" || left != 0 || counted || p.Free() {
			t.Errorf("%s: %+v names %q, %+v", name, p, p.Principal().Name, p.Principal())
		}
		if p.Principal().Kind == jeton.KindUser {
			t.Errorf("%s: nobody is a user", name)
		}
	}
}

func TestRecent(t *testing.T) {
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

		most := len(r.shards) * len(r.shards[0].ring)
		if held > most {
			t.Errorf("%d decisions are held, want at most %d", held, most)
		}
		if _, ok := r.find("a-request-0"); ok {
			t.Error("the first decision is still there")
		}

		if d, ok := r.find("p-request-9999"); !ok || !utf8.Valid(d.target) {
			t.Errorf("the last decision: found %t, %q", ok, d.target)
		}
	})

	t.Run("forgets nobody's request", func(t *testing.T) {
		var r recentDecisions
		r.add(ask("", "/x"), Decision{})
		if _, ok := r.find(""); ok {
			t.Error("a request without an id was found")
		}
	})

	t.Run("what was found does not change when the ring goes round", func(t *testing.T) {
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

	t.Run("many at once", func(t *testing.T) {
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

func TestTarget(t *testing.T) {
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

func TestNobodyIsLetInByAForgottenField(t *testing.T) {
	g := New(nil, nil, nil)
	var pass Decision
	if at, err := g.judge(t.Context(), &Request{
		Service: &Service{},
	}, &pass); at != stepRoute || jeton.Code(err) != "forbidden" {
		t.Errorf("a question with no access rule: step %d, %v, want the route, forbidden", at, err)
	}
}

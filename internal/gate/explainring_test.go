package gate

import (
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
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

	t.Run("holds bytes that do not depend on the requests", func(t *testing.T) {
		var r recentDecisions

		long := strings.Repeat("/ü", 2_000) // all of it in every slot would be 25 MB
		for i := range 4_000 {
			req := ask(fmt.Sprintf("%c-request-%d", 'a'+i%16, i), long)
			req.Body = func() ([]byte, error) { return []byte(long), nil }
			r.add(req, Decision{credential: &fromForm{form: url.Values{"client_secret": {long}}, name: long}})
		}

		const most = 8 << 20
		held := heldBytes(t, reflect.ValueOf(&r).Elem())
		if held > most {
			t.Errorf("%d bytes held, want at most %d", held, most)
		}

		if _, ok := r.find("a-request-0"); ok {
			t.Error("the first decision is still there, want it overwritten")
		}

		e, ok := r.find("p-request-3999")
		if !ok || !utf8.ValidString(e.Target) {
			t.Errorf("the last decision: found %t, target %q, want valid UTF-8", ok, e.Target)
		}
		if !strings.HasPrefix(e.Actor, "client:/ü") || !strings.HasPrefix(e.Checks[1].Value, "a client") {
			t.Errorf("actor %.20q, credential %.20q, want what was kept", e.Actor, e.Checks[1].Value)
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
		e, ok := r.find("a-first-one")

		for i := range 200 {
			r.add(ask(fmt.Sprintf("a-%d", i), "/other"), Decision{})
		}

		if !ok || e.Target != "GET /first" {
			t.Errorf("found %t, %q, want GET /first", ok, e.Target)
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
					if e, ok := r.find(id); ok && e.Target != "GET /"+id {
						t.Errorf("request %s has target %s", id, e.Target)
					}
				}
			})
		}

		wg.Wait()
	})
}

// fromForm is a credential that holds the request it was read from.
type fromForm struct {
	PerRequest
	form url.Values
	name string
}

func (f *fromForm) Principal() jeton.Principal {
	return jeton.Principal{Kind: jeton.KindClient, Name: f.name, Groups: slices.Repeat([]string{f.name}, 100)}
}

func (f *fromForm) Describe() (which, window string) { return "a client " + f.name, f.name }

// heldBytes counts the bytes that a value keeps in memory beside itself. It fails on what it
// cannot count, such as a function, which may hold a request.
func heldBytes(t *testing.T, v reflect.Value) int {
	t.Helper()

	n := 0
	switch v.Kind() {
	case reflect.String:
		n = v.Len()
	case reflect.Slice:
		n = v.Cap() * int(v.Type().Elem().Size())
		if v.Type().Elem().Kind() != reflect.Uint8 {
			for i := range v.Len() {
				n += heldBytes(t, v.Index(i))
			}
		}
	case reflect.Array:
		for i := range v.Len() {
			n += heldBytes(t, v.Index(i))
		}
	case reflect.Struct:
		for i := range v.NumField() {
			n += heldBytes(t, v.Field(i))
		}
	case reflect.Pointer:
		if v.Type() == reflect.TypeFor[*time.Location]() || v.Type().Elem().PkgPath() == "unique" {
			return 0 // shared by the whole process
		}
		fallthrough
	case reflect.Interface:
		if !v.IsNil() {
			n = int(v.Elem().Type().Size()) + heldBytes(t, v.Elem())
		}
	case reflect.Func, reflect.Chan, reflect.Map, reflect.UnsafePointer:
		if !v.IsZero() {
			t.Errorf("holds a %s, want plain values", v.Type())
		}
	}

	return n
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

// TestAForgottenAccessRuleAdmitsNoRequest stands for a route that is added without a rule.
func TestAForgottenAccessRuleAdmitsNoRequest(t *testing.T) {
	g := New(nil, nil, nil, time.Now)
	var d Decision
	failed, err := g.judge(t.Context(), &Request{Service: &Service{}}, &d)
	if failed != stepRoute || jeton.Code(err) != "forbidden" {
		t.Errorf("judge = step %d, %v, want the route, forbidden", failed, err)
	}
}

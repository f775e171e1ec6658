package access_test

import (
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/api"
	"github.com/jeton-auth/jeton/jetontest"
)

const personalConf = `
issuer: {url: "https://localhost:${ISSUER_PORT}", listen: "localhost:${ISSUER_PORT}"}
services:
  - name: app
    listen: localhost:0
    tokens: {}
    user_scopes: [{scopes: [read, write]}]
    routes:
      - {match: GET /who, respond: {json: {name: "{{.Name}}"}}}
      - {match: GET /a/b, respond: {text: b}}
      - {match: POST /a/b, respond: {text: b}}
      - {match: GET /scoped, scopes: [read], respond: {text: scoped}}
  - name: other
    listen: localhost:0
    tokens: {}
    routes:
      - {match: GET /who, respond: {json: {name: "{{.Name}}"}}}
`

type bench struct {
	*jetontest.Server
	t   *testing.T
	now atomic.Int64
}

func newPersonalBench(t *testing.T, options ...jetontest.Option) *bench {
	b := &bench{t: t}
	b.now.Store(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC).UnixMilli())
	b.Server = jetontest.Start(
		t, personalConf,
		append(options, jetontest.Clock(func() time.Time { return time.UnixMilli(b.now.Load()) }))...,
	)
	b.AddUser("diane", "correct horse battery")
	return b
}

func (b *bench) at(d time.Duration) time.Time { return time.UnixMilli(b.now.Load()).Add(d) }

func (b *bench) wish() api.NewToken {
	return api.NewToken{
		User:     "diane",
		Name:     "a job",
		Services: []string{"app"},
		Expires:  b.at(time.Hour),
	}
}

func (b *bench) make(w api.NewToken) api.MadeToken {
	b.t.Helper()
	var made api.MadeToken
	b.MustControl("POST", "/api/v1/tokens", w, &made)
	return made
}

func (b *bench) ask(method, service, path, text string) jetontest.Answer {
	return b.Ask(method, service, path, "Authorization", "Bearer "+text)
}

func TestWhatAPersonalTokenMustBe(t *testing.T) {
	b := newPersonalBench(t)
	for _, tc := range []struct {
		name   string
		change func(*api.NewToken)
		want   error
	}{
		{"as it should be", func(*api.NewToken) {}, nil},
		{"no name", func(w *api.NewToken) { w.Name = "" }, jeton.ErrInvalid},
		{"a name of 129 bytes", func(w *api.NewToken) { w.Name = strings.Repeat("x", 129) }, jeton.ErrInvalid},
		{"a name with an end of line", func(w *api.NewToken) { w.Name = "a\nb" }, jeton.ErrInvalid},
		{"no service", func(w *api.NewToken) { w.Services = nil }, jeton.ErrInvalid},
		{"a service that there is not", func(w *api.NewToken) { w.Services = []string{"nope"} }, jeton.ErrInvalid},
		{"no end", func(w *api.NewToken) { w.Expires = time.Time{} }, jeton.ErrInvalid},
		{"an end that is past", func(w *api.NewToken) { w.Expires = b.at(0) }, jeton.ErrInvalid},
		{"an end in two years", func(w *api.NewToken) { w.Expires = b.at(2 * 366 * 24 * time.Hour) }, jeton.ErrInvalid},
		{"an end before its beginning", func(w *api.NewToken) { w.NotBefore = b.at(2 * time.Hour) }, jeton.ErrInvalid},
		{"negative uses", func(w *api.NewToken) { w.MaxUses = -1 }, jeton.ErrInvalid},
		{"a rule that is none", func(w *api.NewToken) { w.Allows = []string{"everything"} }, jeton.ErrInvalid},
		{"a network that is none", func(w *api.NewToken) { w.Networks = []string{"home"} }, jeton.ErrInvalid},
		{"no owner", func(w *api.NewToken) { w.User = "" }, jeton.ErrInvalid},
		{"two owners'", func(w *api.NewToken) { w.Client = "ci" }, jeton.ErrInvalid},
		{"a stranger's", func(w *api.NewToken) { w.User = "mallory" }, jeton.ErrNotFound},
		{"a parent that there is not", func(w *api.NewToken) { w.Parent = "t_nope" }, jeton.ErrNotFound},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := b.wish()
			tc.change(&w)
			var made api.MadeToken
			err := b.Control("POST", "/api/v1/tokens", w, &made)
			if !errors.Is(err, tc.want) || (err == nil) != (tc.want == nil) || (made.Secret != "") != (tc.want == nil) {
				t.Errorf("%v, want %v", err, tc.want)
			}
		})
	}
}

func TestTheAuditEventOfATokenHasOwnerNameAndLimits(t *testing.T) {
	b := newPersonalBench(t)
	wish := b.wish()
	wish.Name = "nightly jtn_p_secret"
	wish.MaxUses = 3
	wish.Allows = []string{"GET /who"}
	b.make(wish)

	for _, e := range b.Events() {
		if e.Action != "token.create" {
			continue
		}

		for _, want := range []string{
			`"nightly [secret]" of user diane`,
			"for [app]",
			"at most 3 uses",
			"only GET /who",
			"expires 2026-03-01T13:00:00",
		} {
			if !strings.Contains(e.Reason, want) {
				t.Errorf("token.create has reason %q, want %s in it", e.Reason, want)
			}
		}

		return
	}

	t.Error("no event token.create")
}

func TestAPersonalTokenIsLimitedToItsTerms(t *testing.T) {
	b := newPersonalBench(t)
	w := b.wish()
	w.Allows, w.Scopes = []string{"GET /a/*", "GET /scoped"}, []string{"read"}
	narrow := b.make(w).Secret
	w = b.wish()
	w.Networks = []string{"192.0.2.0/24"}

	far := b.make(w).Secret
	w.Networks = []string{"127.0.0.0/8", "::1"}
	near := b.make(w).Secret
	plain := b.make(b.wish()).Secret
	for _, tc := range []struct {
		name, method, service, path, token string
		status                             int
		code                               string
	}{
		{"a path that it names", "GET", "app", "/a/b", narrow, 200, ""},
		{"another method", "POST", "app", "/a/b", narrow, 403, "forbidden"},
		{"another path", "GET", "app", "/who", narrow, 403, "forbidden"},
		{"a scope that it has", "GET", "app", "/scoped", narrow, 200, ""},
		{"a scope that it has not", "GET", "app", "/scoped", plain, 403, "insufficient_scope"},
		{"another service", "GET", "other", "/who", plain, 401, "bad_credential"},
		{"from another network", "GET", "app", "/who", far, 403, "forbidden"},
		{"from its network", "GET", "app", "/who", near, 200, ""},
		{"a slip of the pen", "GET", "app", "/who", plain[:len(plain)-1] + "!", 401, "bad_credential"},
		{"cut short", "GET", "app", "/who", plain[:len(plain)-1], 401, "bad_credential"},
		{"longer", "GET", "app", "/who", plain + "a", 401, "bad_credential"},
		{"in another case", "GET", "app", "/who", strings.ToUpper(plain), 401, "bad_credential"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a := b.ask(tc.method, tc.service, tc.path, tc.token)
			if a.Status != tc.status || a.Code() != tc.code {
				t.Errorf("%d %s, want %d %s", a.Status, a.Code(), tc.status, tc.code)
			}
		})
	}
}

func TestAChildIsNeverWiderThanItsParent(t *testing.T) {
	b := newPersonalBench(t)
	b.AddUser("eshana", "correct horse battery")
	w := b.wish()
	w.Services = []string{"app"}
	w.Scopes = []string{"read"}

	w.Allows = []string{"GET /a/*"}
	w.Networks = []string{"127.0.0.0/8", "::1"}
	w.NotBefore = b.at(time.Minute)
	parent := b.make(w)
	b.now.Add(time.Minute.Milliseconds())

	counted := b.wish()
	counted.MaxUses = 5
	spent := b.make(counted)

	inside := func() api.NewToken {
		w := b.wish()
		w.Parent = parent.Accessor
		w.Allows = []string{"GET /a/b"}
		w.Networks = []string{"127.0.0.1"}
		w.Expires = parent.Expires

		return w
	}

	for _, tc := range []struct {
		name   string
		change func(*api.NewToken)
		want   error
	}{
		{"inside in everything", func(*api.NewToken) {}, nil},
		{"another service", func(w *api.NewToken) { w.Services = []string{"app", "other"} }, jeton.ErrForbidden},
		{"a scope more", func(w *api.NewToken) { w.Scopes = []string{"read", "write"} }, jeton.ErrForbidden},
		{"no rules", func(w *api.NewToken) { w.Allows = nil }, jeton.ErrForbidden},
		{"a wider rule", func(w *api.NewToken) { w.Allows = []string{"* /a/b"} }, jeton.ErrForbidden},
		{"no networks", func(w *api.NewToken) { w.Networks = nil }, jeton.ErrForbidden},
		{"a wider network", func(w *api.NewToken) { w.Networks = []string{"126.0.0.0/7"} }, jeton.ErrForbidden},
		{"a later end", func(w *api.NewToken) { w.Expires = w.Expires.Add(time.Second) }, jeton.ErrForbidden},
		{"of one that is counted", func(w *api.NewToken) { w.Parent = spent.Accessor }, jeton.ErrForbidden},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := inside()
			tc.change(&w)
			var made api.MadeToken
			if err := b.Control(
				"POST", "/api/v1/tokens", w, &made,
			); !errors.Is(err, tc.want) || (err == nil) != (tc.want == nil) {
				t.Errorf("%v, want %v", err, tc.want)
			}
		})
	}

	w = inside()
	w.User = "eshana" // ignored: a child belongs to the owner of its parent
	if made := b.make(w); made.User != "diane" {
		t.Errorf("owner of the child = %s", made.User)
	}
}

func TestTheEndOfAParentEndsItsChildren(t *testing.T) {
	for _, end := range []string{"revoke", "rotate", "disable the owner", "remove the owner"} {
		t.Run(end, func(t *testing.T) {
			dir := t.TempDir()
			b := newPersonalBench(t, jetontest.DataDir(dir))
			parent := b.make(b.wish())
			w := b.wish()
			w.Parent = parent.Accessor

			w.MaxUses = 0
			w.Expires = parent.Expires
			child := b.make(w)
			w.Parent, w.MaxUses = child.Accessor, 3
			grandchild := b.make(w)

			stranger := b.make(b.wish())
			all := []string{parent.Secret, child.Secret, grandchild.Secret}
			for _, text := range append(all, stranger.Secret) {
				if a := b.ask("GET", "app", "/who", text); a.Status != 200 {
					t.Fatalf("before: %d %s", a.Status, a.Body)
				}
			}

			kept := stranger.Secret

			switch end {
			case "revoke":
				b.MustControl("DELETE", "/api/v1/tokens/"+parent.Accessor, nil, nil)
			case "rotate":
				var fresh api.MadeToken
				b.MustControl("POST", "/api/v1/tokens/"+parent.Accessor+"/rotate", nil, &fresh)
				if a := b.ask(
					"GET", "app", "/who", fresh.Secret,
				); a.Status != 200 || fresh.Accessor != parent.Accessor {
					t.Errorf("the new secret: %d", a.Status)
				}
			case "disable the owner":
				b.MustControl("PUT", "/api/v1/users/diane/disabled", api.Disabled{Disabled: true}, nil)
				kept = ""
			case "remove the owner":
				b.MustControl("DELETE", "/api/v1/users/diane", nil, nil)
				kept = ""
			}

			check := func(b *bench) {
				for i, text := range all {
					if a := b.ask("GET", "app", "/who", text); a.Status != 401 {
						t.Errorf("generation %d: %d", i, a.Status)
					}
				}

				if kept != "" && b.ask("GET", "app", "/who", kept).Status != 200 {
					t.Error("another token of the owner was revoked")
				}
			}

			check(b)
			b.Stop()
			again := &bench{t: t}
			again.now.Store(b.now.Load())
			again.Server = jetontest.Start(
				t, personalConf, jetontest.DataDir(dir),
				jetontest.Clock(func() time.Time { return time.UnixMilli(again.now.Load()) }),
			)

			check(again)
		})
	}
}

func TestACountedTokenHasExactlyItsUsesAtManyServices(t *testing.T) {
	b := newPersonalBench(t)
	w := b.wish()
	w.MaxUses = 5
	text := b.make(w).Secret

	doors := [][]string{
		{"Authorization", "Bearer " + text},
		{"Authorization", basic("x", text)},
		{"Authorization", basic(text, "x")},
	}

	var passed atomic.Int64
	var wg sync.WaitGroup
	for i := range 60 {
		wg.Go(func() {
			if b.Ask("GET", "app", "/who", doors[i%len(doors)]...).Status == 200 {
				passed.Add(1)
			}
		})
	}

	if wg.Wait(); passed.Load() != 5 {
		t.Errorf("%d of 60 requests were accepted, want 5", passed.Load())
	}
}

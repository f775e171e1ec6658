package server

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/account"
	"github.com/jeton-auth/jeton/internal/config"
	"github.com/jeton-auth/jeton/internal/password"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/session"
	"github.com/jeton-auth/jeton/internal/web"
)

// runServer runs a server with an authorization server until the end of the test.
func runServer(t *testing.T) *Server {
	t.Helper()
	const yaml = `
issuer: {url: "https://localhost:1", listen: "localhost:0"}
admin: {listen: "off"}
services: [{name: shop, listen: "localhost:0", login: {paths: [/login]}}]
`

	conf, err := config.Parse("jeton.yaml", []byte(yaml), func(string) (string, bool) { return "", false })
	if err != nil {
		t.Fatal(err)
	}

	started := make(chan struct{})
	s, err := New(Config{
		File:       conf,
		DataDir:    t.TempDir(),
		HashParams: password.Params{MemoryKiB: 64, Passes: 1, Lanes: 1},
		Started:    func(Started) { close(started) },
	})
	if err != nil {
		t.Fatal(err)
	}

	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})

	select {
	case <-started:
	case err := <-ended:
		ended <- err
		t.Fatal(err)
	}

	return s
}

// TestPagesCallTheAPIAsTheBrowser checks that a call has the session of the browser, is judged by the gate, and
// returns the outcome of a refusal.
func TestPagesCallTheAPIAsTheBrowser(t *testing.T) {
	s := runServer(t)
	ctx := t.Context()
	cookies := map[string]string{"no user": ""}
	for name, groups := range map[string][]string{"ada": {"admin"}, "diane": nil} {
		_, err := s.core.accounts.Add(ctx, "operator", account.NewUser{
			Name:     name,
			Password: jeton.NewSecret("correct horse battery"),
			Groups:   groups,
		})
		if err != nil {
			t.Fatal(err)
		}

		acct, err := s.core.accounts.Find(ctx, name)
		if err != nil {
			t.Fatal(err)
		}

		owner := session.Owner{
			ID:      acct.ID,
			Name:    name,
			Groups:  acct.Groups,
			Version: acct.Version,
			Proved:  time.Now(),
		}
		terms := policy.Terms{Idle: time.Hour, Lifetime: time.Hour, MaxSessions: policy.Unlimited}
		terms.Relogin.Max = policy.Unlimited
		live, err := s.core.sessions.Start(ctx, owner, config.IssuerName, terms, jeton.Event{Action: "login"})
		if err != nil {
			t.Fatal(err)
		}
		cookies[name] = "__Host-jeton-issuer=" + live.Secret.Reveal()
	}

	caller := s.builtPages.api
	browser := func(who string, header ...string) (*web.Reply, *http.Request) {
		r := httptest.NewRequestWithContext(ctx, http.MethodPost, "https://localhost/account", nil)
		r.Header.Set("Cookie", cookies[who])
		for i := 0; i+1 < len(header); i += 2 {
			r.Header.Set(header[i], header[i+1])
		}

		w := &web.Reply{}
		w.Reset(httptest.NewRecorder(), "request-1", time.Now(), netip.MustParseAddr("192.0.2.7"))
		w.Origin = web.Origin{Scheme: "https", Host: "localhost", Port: "443"}

		return w, r
	}

	for _, tc := range []struct {
		name, who, method, target string
		in                        any
		header                    []string
		want                      error
	}{
		{"a user reads itself", "diane", "GET", "/api/v1/users/me", nil, nil, nil},
		{"without a session", "no user", "GET", "/api/v1/users/me", nil, nil, jeton.ErrNoCredential},
		{"a user is no admin", "diane", "GET", "/api/v1/users", nil, nil, jeton.ErrForbidden},
		{"a path that is not there", "diane", "GET", "/api/v1/nothing", nil, nil, jeton.ErrNotFound},
		{"an invalid body", "diane", "PUT", "/api/v1/users/me", map[string]int{"x": 1}, nil, jeton.ErrInvalid},
		{"a change", "diane", "PUT", "/api/v1/users/me", map[string]string{"first_name": "Di"}, nil, nil},
		{
			"a change that another site makes the browser send",
			"diane",
			"PUT",
			"/api/v1/users/me",
			map[string]string{"first_name": "Eve"},
			[]string{"Sec-Fetch-Site", "cross-site"},
			jeton.ErrForbidden,
		},
	} {
		w, r := browser(tc.who, tc.header...)
		err := caller.Call(w, r, tc.method, tc.target, tc.in, nil)
		if !errors.Is(err, tc.want) {
			t.Errorf("%s: %s %s = %v, want %v", tc.name, tc.method, tc.target, err, tc.want)
		}
	}

	var me jeton.User
	w, r := browser("diane")
	if err := caller.Call(w, r, "GET", "/api/v1/users/me", nil, &me); err != nil || me.First != "Di" {
		t.Errorf("GET /users/me = %+v, %v, want the change by the page alone", me, err)
	}

	var names []string
	for next := "/api/v1/users?limit=1"; next != ""; {
		var page []jeton.User
		var err error
		w, r := browser("ada")
		next, err = caller.Page(w, r, next, &page)
		if err != nil || len(page) != 1 || len(names) > 1 {
			t.Fatalf("page = %v, %v, want one user", page, err)
		}
		names = append(names, page[0].Name)
	}
	if len(names) != 2 {
		t.Errorf("pages have %v, want two users", names)
	}
}

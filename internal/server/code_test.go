package server_test

import (
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/jetontest"
)

// TestACodeIsBoundToItsRequest checks what a code is bound to, each alone: everything else of the request is right.
func TestACodeIsBoundToItsRequest(t *testing.T) {
	s := jetontest.Start(t, easy+`
issuer: {url: "https://localhost:${ISSUER_PORT}", listen: "localhost:${ISSUER_PORT}"}
services:
  - name: shop
    listen: localhost:0
    host: shop.example
    hosts: [www.shop.example]
    routes: [{match: GET /me, respond: {template: '{{.Name}}'}}]
  - name: one
    listen: localhost:0
    host: one.example
    url: https://same.example
    routes: [{match: GET /me, respond: {template: '{{.Name}}'}}]
`)
	s.AddUser("diane", right)
	b := newBrowser(t, s)
	b.signIn("diane")

	for _, tc := range []struct {
		name, service string
		change        func(query url.Values) // of the authorization request
		want          bool
	}{
		{"the request as it began", "shop", func(url.Values) {}, true},
		{"the request as it began, with an address", "one", func(url.Values) {}, true},
		{"another address", "shop", func(q url.Values) {
			q.Set("redirect_uri", strings.Replace(q.Get("redirect_uri"), "shop.", "www.shop.", 1))
		}, false},
		{"another code_verifier (PKCE)", "shop", func(q url.Values) {
			q.Set("code_challenge", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM")
		}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			page := s.URL(tc.service) + "/me"
			to := b.pending(page)
			query := to.Query()
			tc.change(query)
			to.RawQuery = query.Encode()

			finish, err := url.Parse(b.get(to.String()).Header.Get("Location"))
			if err != nil || !finish.Query().Has("code") {
				t.Fatalf("got %v, %v, want an address with a code", finish, err)
			}

			a := b.get(s.URL(tc.service) + finish.RequestURI())
			begins := strings.HasPrefix(a.Header.Get("Location"), s.Issuer())
			if a.Status != http.StatusSeeOther || begins == tc.want {
				t.Errorf("got %d to %q, want a session: %t", a.Status, a.Header.Get("Location"), tc.want)
			}
			if in := hasSession(b, page, tc.service); in != tc.want {
				t.Errorf("a session: %t, want %t", in, tc.want)
			}
		})
	}
}

// hasSession reports whether a browser has a session at a service, and removes its cookie.
func hasSession(b *browser, page, service string) bool {
	b.t.Helper()
	at, err := url.Parse(page)
	if err != nil {
		b.t.Fatal(err)
	}

	name := "__Host-jeton-" + service
	for _, c := range b.client.Jar.Cookies(at) {
		if c.Name == name {
			c.Path, c.MaxAge = "/", -1
			b.client.Jar.SetCookies(at, []*http.Cookie{c})

			return true
		}
	}

	return false
}

// TestACodeOpensNothingOnceItsUserMayNotLogIn checks the user again when the code is used.
func TestACodeOpensNothingOnceItsUserMayNotLogIn(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(t *testing.T, s *jetontest.Server, b *browser)
		want   int
		code   string
	}{
		{
			"the service allows the user no longer",
			func(t *testing.T, s *jetontest.Server, _ *browser) {
				t.Helper()
				if err := s.Reload(strings.Replace(signingIn, "users: [diane]", "users: [max]", 1)); err != nil {
					t.Fatal(err)
				}
			},
			http.StatusForbidden, "forbidden",
		},
		{
			"the user is disabled",
			func(_ *testing.T, s *jetontest.Server, _ *browser) {
				s.MustControl("PUT", "/api/v1/users/diane/disabled", map[string]bool{"disabled": true}, nil)
			},
			http.StatusSeeOther, "",
		},
		{
			"the user has signed out",
			func(_ *testing.T, s *jetontest.Server, b *browser) {
				s.Send(b.client, http.MethodPost, s.Issuer()+"/sign-out", "")
			},
			http.StatusSeeOther, "",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := startSigningIn(t)
			b := newBrowser(t, s)
			b.signIn("diane")
			finish := b.code(s.URL("blog") + "/me")
			tc.change(t, s, b)

			a := b.get(finish)
			if a.Status != tc.want || a.Code() != tc.code {
				t.Errorf("got %d %s, want %d %s", a.Status, a.Code(), tc.want, tc.code)
			}
			b.isOut(s.URL("blog") + "/me")
		})
	}
}

// TestNoSessionIsLeftOfACodeThatIsUsedTwice sends one address with a code twice, as its user and a thief would.
func TestNoSessionIsLeftOfACodeThatIsUsedTwice(t *testing.T) {
	s := startSigningIn(t)
	for _, tc := range []struct {
		name   string
		atOnce bool
	}{
		{"one after the other", false},
		{"both at once", true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := newBrowser(t, s)
			b.signIn("diane")
			finish := b.code(s.URL("shop") + "/me")

			at, err := url.Parse(finish)
			if err != nil {
				t.Fatal(err)
			}
			var cookies []string
			for _, c := range b.client.Jar.Cookies(at) {
				cookies = append(cookies, c.Name+"="+c.Value)
			}
			header := append([]string{"Cookie", strings.Join(cookies, "; ")}, loading...)

			var uses sync.WaitGroup
			for range 2 {
				uses.Go(func() { s.Send(s.Client(), http.MethodGet, finish, "", header...) })
				if !tc.atOnce {
					uses.Wait()
				}
			}
			uses.Wait()

			var left []jeton.Session
			s.MustControl("GET", "/api/v1/sessions?service=shop", nil, &left)
			if len(left) > 0 {
				t.Errorf("%d sessions are left, want none", len(left))
			}

			var granted, ended int
			for _, e := range s.Events() {
				if e.Service != "shop" {
					continue
				}
				switch {
				case e.Action == "login" && e.Outcome == "ok":
					granted++
				case e.Action == "session.end":
					ended++
				}
			}
			if granted != ended {
				t.Errorf("%d sessions started by codes and %d ended, want as many", granted, ended)
			}
		})
	}
}

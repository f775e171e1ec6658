package forward_test

import (
	"net/http"
	"slices"
	"testing"

	"github.com/jeton-auth/jeton/jetontest"
)

func TestCaddyKeepsStrangersOut(t *testing.T) {
	caddies := slices.DeleteFunc(programs(t), func(p proxyProgram) bool { return p.kind != "caddy" })
	behindEach(t, caddies, caddyKeepsOut)
}

func caddyKeepsOut(t *testing.T, p *proxied) {
	t.Helper()
	p.AddClient("robot", "app")
	token := p.AddToken(jetontest.NewToken{Name: "job", Client: "robot", Services: []string{"app"}})
	bearer := row{"Authorization", "Bearer " + token.Secret}

	for _, tc := range []struct {
		name   string
		method string
		path   string
		header row
		want   int
	}{
		{"a script without a credential", "GET", "/", nil, 401},
		{"a browser", "GET", "/", loading, 303},
		{"a browser with a form", "POST", "/", loading, 401},
		{"an open route", "GET", "/open/a", nil, 200},
		{"an open route with a query", "GET", "/open/a?service=other", nil, 200},
		{"a query that looks like an open route", "GET", "/a?/open/a", nil, 401},
		{"a token", "GET", "/a", bearer, 200},
		{"a token with DELETE", "DELETE", "/a", bearer, 200},
		{"a wrong token", "GET", "/a", row{"Authorization", "Bearer nothing"}, 401},
		{"a token that lacks a scope", "GET", "/read", bearer, 403},
		{"what Jeton itself would answer", "OPTIONS", "/twice", nil, 403},
		{"a path with a dot segment", "GET", "/open/%2e%2e/admin", bearer, 400},
		{"a path with an encoded slash", "GET", "/open/..%2fadmin", bearer, 400},
		{"a path in a header", "GET", "/", row{"X-Forwarded-Uri", "/open/a"}, 401},
		{"a path with an underscore in its header", "GET", "/", row{"X-Forwarded_uri", "/open/a"}, 401},
		{"an address in a header", "GET", "/", row{"X-Original-Url", p.at("/open/a")}, 401},
		{"a header that Connection deletes", "GET", "/open/a", row{"Connection", "Remote-User"}, 400},
		{"a list of headers that Connection deletes", "GET", "/open/a", row{"Connection", "x, x-forwarded-for"}, 400},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p.backend.last()
			forged := row{"Remote-User", "eve", "Remote_groups", "eve", "Remote-Name", "Eve", "Remote_email", "eve"}
			a := p.Send(p.client(), tc.method, p.at(tc.path), "", forged.and(tc.header)...)
			if a.Status != tc.want {
				t.Errorf("got %d %s, want %d", a.Status, a.Body, tc.want)
			}

			seen := p.backend.last()
			if len(seen) > 0 != (tc.want == http.StatusOK) {
				t.Errorf("the backend got %d requests, and the client %d", len(seen), a.Status)
			}
			for _, r := range seen {
				checkIdentity(t, r.Header)
				p.checkAssertion(t, r)
			}
		})
	}
}

package server_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jeton-auth/jeton/jetontest"
)

// resources has a public client for a service, and a service that the client may not have tokens for.
const resources = `
issuer: {url: "https://localhost:${ISSUER_PORT}", listen: "localhost:${ISSUER_PORT}"}
clients:
  - name: desktop
    secret_hash: 1ec1c26b50d5d3c58d9583181af8076655fe00756bf7285940ba3670f99fcba0 # s3cret
    services: [notes, staff]
    scopes: ["notes:read", "notes:write"]
    openid: {redirect_uris: ["https://desktop.example/done"], id_token_algorithm: ES256}
services:
  - name: notes
    listen: localhost:0
    tokens: {audience: "https://notes.example", max_uses: 3}
    user_scopes: [{scopes: ["notes:read"]}, {scopes: ["notes:write"], allow: {users: [max]}}]
    routes:
      - {match: GET /read, scopes: ["notes:read"], respond: {template: '{{.Name}}'}}
      - {match: GET /write, scopes: ["notes:write"], respond: {template: '{{.Name}}'}}
  - name: staff
    listen: localhost:0
    tokens: {}
    login: {allow: {groups: [staff]}}
    routes: [{match: GET /, respond: {template: '{{.Name}}'}}]
  - name: other
    listen: localhost:0
    tokens: {}
    routes: [{match: GET /, respond: {template: '{{.Name}}'}}]
`

const desktopDone = "https://desktop.example/done"

// desktopAsks returns an authorization request of desktop, changed as authorization does.
func desktopAsks(s *jetontest.Server, changes ...string) string {
	return authorizationOf(s, "desktop", desktopDone, append([]string{
		"scope", "openid offline_access notes:read notes:write other:read",
		"resource", "https://notes.example",
	}, changes...)...)
}

// desktopRedeems exchanges a code of desktop.
func desktopRedeems(t *testing.T, s *jetontest.Server, code string, changes ...string) relied {
	t.Helper()
	return redeem(t, s, code, append([]string{"client_id", "desktop", "redirect_uri", desktopDone}, changes...)...)
}

func bearer(token string) []string { return []string{"Authorization", "Bearer " + token} }

// TestTheTokenOfAResourceIsForThatServiceAlone uses RFC 8707.
func TestTheTokenOfAResourceIsForThatServiceAlone(t *testing.T) {
	s := jetontest.Start(t, resources)
	s.AddUser("diane", right)
	b := newBrowser(t, s)
	b.signIn("diane")

	for _, tc := range []struct {
		name     string
		resource string
		want     string // error, or "" for a code
	}{
		{"its audience", "https://notes.example", ""},
		{"its name", "notes", ""},
		{"its address", s.URL("notes"), ""},
		{"a page of it", s.URL("notes") + "/mcp?a=1", ""},
		{"a fragment of it", s.URL("notes") + "/mcp#a", "invalid_target"},
		{"its address as a user name", s.URL("notes") + "@evil.example", "invalid_target"},
		{"a longer port", s.URL("notes") + "0", "invalid_target"},
		{"a service of other clients", "other", "invalid_target"},
		{"an unknown service", "https://else.example", "invalid_target"},
		{"a service that the user may not log in at", "staff", "access_denied"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := b.redirected(desktopAsks(s, "resource", tc.resource, "prompt", "none"))
			if got.Get("error") != tc.want || got.Has("code") != (tc.want == "") {
				t.Errorf("got %v, want error %q", got, tc.want)
			}
		})
	}

	// The sign-in page passes the resource on.
	out := newBrowser(t, s)
	out.open(desktopAsks(s))
	back := out.resolve(out.at(), out.send(out.at(), "diane"))
	for strings.HasPrefix(back, s.Issuer()) {
		a := out.get(back)
		back = out.resolve(back, a.Header.Get("Location")+strings.TrimPrefix(a.Header.Get("Refresh"), "0;url="))
	}
	to, err := url.Parse(back)
	if err != nil {
		t.Fatal(err)
	}

	got := desktopRedeems(t, s, to.Query().Get("code"), "resource", s.URL("notes"))
	if got.Scope != "notes:read notes:write offline_access openid" || got.ID == "" || got.Refresh == "" {
		t.Fatalf("got %+v, want an ID token, a refresh token, and the scopes of the client", got)
	}

	for path, want := range map[string]int{"/read": http.StatusOK, "/write": http.StatusForbidden} {
		a := s.Ask(http.MethodGet, "notes", path, bearer(got.Access)...)
		if a.Status != want {
			t.Errorf("%s = %d %s, want %d", path, a.Status, a.Body, want)
		}
	}
	if a := s.Ask(http.MethodGet, "other", "/", bearer(got.Access)...); a.Status != http.StatusUnauthorized {
		t.Errorf("another service = %d %s, want 401", a.Status, a.Body)
	}
	if _, a := userinfo(s, http.MethodGet, got.Access); a.Status != http.StatusUnauthorized {
		t.Errorf("userinfo = %d, want 401: the token is for the service", a.Status)
	}

	again := refresh(t, s, got.Refresh, "client_id", "desktop", "resource", "notes")
	a := s.Ask(http.MethodGet, "notes", "/read", bearer(again.Access)...)
	if a.Status != http.StatusOK || a.Body != "diane" || a.Left() != "2" {
		t.Errorf("after a refresh: %d %s, %q uses left, want 200 diane, 2", a.Status, a.Body, a.Left())
	}

	fewer := strings.Replace(resources, `"notes:read", "notes:write"]`, `"notes:read"]`, 1)
	if err := s.Reload(fewer); err != nil {
		t.Fatal(err)
	}
	again = refresh(t, s, again.Refresh, "client_id", "desktop")
	if again.Scope != "notes:read offline_access openid" {
		t.Errorf("after the client has lost notes:write: got %d %q, want the other scopes", again.Status, again.Scope)
	}
}

// TestAGrantNeedsTheProofThatItsServiceRequires has a service that requires a recent one.
func TestAGrantNeedsTheProofThatItsServiceRequires(t *testing.T) {
	c := newHeldClock()
	text := strings.Replace(resources, "max_uses: 3}", "max_uses: 3}\n    require: {max_age: 1m}", 1)
	text = strings.Replace(text, "algorithm: ES256", "algorithm: ES256, device_grant: true", 1)
	s := jetontest.Start(t, text, jetontest.Clock(c.now))
	s.AddUser("diane", right)
	b := newBrowser(t, s)
	b.signIn("diane")
	silent := desktopAsks(s, "prompt", "none", "max_age", "300")

	if got := b.redirected(silent); !got.Has("code") {
		t.Errorf("after a sign-in: got %v, want a code", got)
	}
	c.move(time.Minute + time.Second)
	if got := b.redirected(silent); got.Get("error") != "login_required" {
		t.Errorf("a minute later: got %v, want login_required", got)
	}

	begun := beginDevice(t, s, "client_id", "desktop", "scope", "openid notes:read", "resource", "notes")
	asked := b.device(begun.UserCode, "allow", s.Issuer())
	if to := asked.Header.Get("Location"); to != "/prove?to=%2Fdevice" {
		t.Errorf("for a device: got %d to %q, want the page that proves the user", asked.Status, to)
	}

	page, back := b.shown(desktopAsks(s))
	if to := b.get(back).Header.Get("Location"); !strings.HasPrefix(to, "/sign-in?") {
		t.Errorf("without a sign-in: got to %q, want the sign-in page", to)
	}
	b.send(page, "diane")
	if got := b.redirected(back); !got.Has("code") {
		t.Errorf("after another sign-in: got %v, want a code", got)
	}
}

// TestNoOtherResourceComesOfAGrant asks for another one at the token endpoint.
func TestNoOtherResourceComesOfAGrant(t *testing.T) {
	s := jetontest.Start(t, resources)
	s.AddUser("diane", right, "staff")
	b := newBrowser(t, s)
	b.signIn("diane")

	for _, tc := range []struct {
		name     string
		granted  string
		resource string
	}{
		{"another service", "notes", "staff"},
		{"a service for a grant of none", "", "notes"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			code := b.codeFor(desktopAsks(s, "resource", tc.granted))
			got := desktopRedeems(t, s, code, "resource", tc.resource)
			if got.Status != http.StatusBadRequest || got.Error != "invalid_target" {
				t.Errorf("code: got %d %q, want 400 invalid_target", got.Status, got.Error)
			}

			got = desktopRedeems(t, s, b.codeFor(desktopAsks(s, "resource", tc.granted)))
			got = refresh(t, s, got.Refresh, "client_id", "desktop", "resource", tc.resource)
			if got.Status != http.StatusBadRequest || got.Error != "invalid_target" {
				t.Errorf("refresh: got %d %q, want 400 invalid_target", got.Status, got.Error)
			}
		})
	}

	// Without scope openid it is plain OAuth: no ID token.
	got := desktopRedeems(t, s, b.codeFor(desktopAsks(s, "resource", "staff", "scope", "offline_access")))
	if got.Status != http.StatusOK || got.ID != "" || got.Refresh == "" {
		t.Fatalf("without openid: got %+v, want tokens without an ID token", got)
	}

	s.MustControl("PUT", "/api/v1/users/diane/groups", map[string][]string{"groups": {}}, nil)
	if again := refresh(t, s, got.Refresh, "client_id", "desktop"); again.Error != "invalid_grant" {
		t.Errorf("a user who may not log in there any more: got %d %q, want invalid_grant", again.Status, again.Error)
	}
}

// TestAClientFindsTheIssuerFromARefusal follows RFC 9728, as clients of the Model Context Protocol do: from a refusal
// to the metadata of the resource, to the issuer, to a token.
func TestAClientFindsTheIssuerFromARefusal(t *testing.T) {
	s := jetontest.Start(t, resources)
	s.AddUser("diane", right)
	b := newBrowser(t, s)
	b.signIn("diane")

	for _, tc := range []struct {
		name string
		path string
		want string // path of the resource
	}{
		{"a path", "/read", "/read"},
		{"a path and a query", "/read?a=1", "/read"},
		{"the service", "/", ""},
		{"a path with a quote", "/a%22b/", "/a%22b"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a := s.Ask(http.MethodGet, "notes", tc.path)
			metadata := s.URL("notes") + "/.well-known/oauth-protected-resource" + tc.want
			challenge := a.Header.Get("WWW-Authenticate")
			if a.Status == http.StatusUnauthorized && !strings.Contains(challenge, `resource_metadata="`+metadata+`"`) {
				t.Errorf("challenge = %q, want the metadata at %s", challenge, metadata)
			}

			var found struct {
				Resource string   `json:"resource"`
				Issuers  []string `json:"authorization_servers"`
				Scopes   []string `json:"scopes_supported"`
			}
			a = s.Send(s.Client(), http.MethodGet, metadata, "")
			if err := json.Unmarshal([]byte(a.Body), &found); err != nil {
				t.Fatalf("metadata = %d %q: %v", a.Status, a.Body, err)
			}
			if found.Resource != s.URL("notes")+tc.want || !slices.Equal(found.Issuers, []string{s.Issuer()}) ||
				!slices.Equal(found.Scopes, []string{"notes:read", "notes:write"}) {
				t.Errorf("metadata = %+v, want the resource as it was asked, the issuer and the scopes", found)
			}
			if got := a.Header.Get("Access-Control-Allow-Origin"); got != "*" {
				t.Errorf("Access-Control-Allow-Origin = %q, want *", got)
			}

			if b.codeFor(desktopAsks(s, "resource", found.Resource)) == "" {
				t.Errorf("no code for resource %s of the metadata, want one", found.Resource)
			}
		})
	}

	token := desktopRedeems(t, s, b.codeFor(desktopAsks(s))).Access
	for _, tc := range []struct {
		name   string
		header []string
		status int
		want   string
	}{
		{"no token", nil, http.StatusUnauthorized, `Bearer realm="notes", scope="notes:write", resource_metadata="`},
		{
			"a scope is missing", bearer(token), http.StatusForbidden,
			`Bearer realm="notes", error="insufficient_scope", scope="notes:write", resource_metadata="`,
		},
	} {
		a := s.Ask(http.MethodGet, "notes", "/write", tc.header...)
		got := a.Header.Get("WWW-Authenticate")
		if a.Status != tc.status || !strings.HasPrefix(got, tc.want) {
			t.Errorf("%s: got %d %q, want %d %q", tc.name, a.Status, got, tc.status, tc.want)
		}
	}
}

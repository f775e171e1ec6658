package server_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jeton-auth/jeton/jetontest"
)

// conformance is what the modules of the OpenID conformance suite share: a server, and a browser in which diane has
// signed in.
type conformance struct {
	*testing.T
	s    *jetontest.Server
	c    *heldClock
	in   *browser
	out  *browser // in which no user has signed in
	hint string   // ID token of the session
	at   any      // auth_time of it
}

// redirect fails the module unless a request is answered with an error, or with a code if it is "".
func (m conformance) redirect(b *browser, want string, changes ...string) string {
	m.Helper()
	b.t = m.T
	got := b.redirected(wikiAsks(m.s, changes...))
	if got.Get("error") != want || got.Has("code") != (want == "") || got.Get("state") != "xyz" {
		m.Errorf("got %v, want error %q and the state", got, want)
	}

	return got.Get("code")
}

// tokens fails the module unless a request leads to tokens of the session.
func (m conformance) tokens(changes ...string) relied {
	m.Helper()
	got := redeem(m.T, m.s, m.redirect(m.in, "", changes...))
	if got.Status != http.StatusOK || got.ID == "" || claimsOf(m.T, got.ID)["auth_time"] != m.at {
		m.Errorf("got %d %q, want tokens of the same sign-in", got.Status, got.Error)
	}

	return got
}

// claims fails the module unless the userinfo endpoint answers with claims, which the ID token has not.
func (m conformance) claims(scope string, names ...string) {
	m.Helper()
	got := m.tokens("scope", scope)
	claims, _ := userinfo(m.s, http.MethodGet, got.Access)
	for _, name := range append(names, "sub") {
		if claims[name] == nil {
			m.Errorf("userinfo = %v, want %s", claims, name)
		}
		if name != "sub" && claimsOf(m.T, got.ID)[name] != nil {
			m.Errorf("the ID token has %s, want it at the userinfo endpoint alone", name)
		}
	}
}

// userinfo fails the module unless the userinfo endpoint answers a method with the subject of the ID token.
func (m conformance) userinfo(method string) {
	m.Helper()
	got := m.tokens()
	claims, a := userinfo(m.s, method, got.Access)
	if a.Status != http.StatusOK || claims["sub"] != claimsOf(m.T, got.ID)["sub"] {
		m.Errorf("%s userinfo = %d %v, want the subject of the ID token", method, a.Status, claims)
	}
}

// page fails the module unless a request is answered with a page, and no redirect.
func (m conformance) page(changes ...string) {
	m.Helper()
	a := m.in.get(wikiAsks(m.s, changes...))
	if a.Status != http.StatusBadRequest || a.Header.Get("Location") != "" {
		m.Errorf("got %d to %q, want a page with 400", a.Status, a.Header.Get("Location"))
	}
}

// asks fails the module unless a request leads a user who is signed in to the sign-in page.
func (m conformance) asks(changes ...string) {
	m.Helper()
	m.in.t = m.T
	m.in.shown(wikiAsks(m.s, changes...))
}

// discovery returns the metadata.
func (m conformance) discovery() map[string]any {
	m.Helper()
	a := m.s.Send(m.s.Client(), http.MethodGet, m.s.Issuer()+"/.well-known/openid-configuration", "")
	out := map[string]any{}
	if err := json.Unmarshal([]byte(a.Body), &out); err != nil {
		m.Fatal(err)
	}

	return out
}

// reused fails the module unless the second use of a code, after a time, is refused and ends the tokens of the first.
func (m conformance) reused(after time.Duration) {
	m.Helper()
	code := m.redirect(m.in, "")
	first := redeem(m.T, m.s, code)
	m.c.move(after)
	if second := redeem(m.T, m.s, code); second.Error != "invalid_grant" {
		m.Errorf("second use: got %d %q, want invalid_grant", second.Status, second.Error)
	}
	if _, a := userinfo(m.s, http.MethodGet, first.Access); a.Status != http.StatusUnauthorized {
		m.Errorf("userinfo = %d, want 401", a.Status)
	}
}

// basicModules has the modules of the plan for a basic OpenID provider, by name, and what each needs to pass.
var basicModules = map[string]func(m conformance){
	"oidcc-server": func(m conformance) { m.tokens() },
	"oidcc-response-type-missing": func(m conformance) {
		m.redirect(m.in, "unsupported_response_type", "response_type", "")
	},
	"oidcc-idtoken-signature": func(m conformance) {
		checkIDToken(m.T, m.s, m.hint, "ES256")
	},
	"oidcc-idtoken-unsigned": func(m conformance) {
		algs, _ := m.discovery()["id_token_signing_alg_values_supported"].([]any)
		if slices.Contains(algs, any("none")) || !slices.Contains(algs, any("RS256")) {
			m.Errorf("algorithms %v, want RS256 and not none", algs)
		}
	},
	"oidcc-userinfo-get":         func(m conformance) { m.userinfo(http.MethodGet) },
	"oidcc-userinfo-post-header": func(m conformance) { m.userinfo(http.MethodPost) },
	"oidcc-userinfo-post-body": func(m conformance) {
		a := m.s.Post("/oauth2/userinfo", "access_token", m.tokens().Access)
		if a.Status != http.StatusUnauthorized {
			m.Errorf("got %d, want 401: the body is not read", a.Status)
		}
	},
	"oidcc-ensure-request-without-nonce-succeeds-for-code-flow": func(m conformance) { m.tokens("nonce", "") },
	"oidcc-scope-profile": func(m conformance) { m.claims("openid profile", "name", "preferred_username") },
	"oidcc-scope-email":   func(m conformance) { m.claims("openid email") },
	"oidcc-scope-address": func(m conformance) { m.claims("openid address") },
	"oidcc-scope-phone":   func(m conformance) { m.claims("openid phone") },
	"oidcc-scope-all": func(m conformance) {
		m.claims("openid profile email address phone groups", "name", "groups")
	},
	"oidcc-alternate-happy-flow": func(m conformance) { m.tokens("scope", "profile openid") },
	"oidcc-display-page":         func(m conformance) { m.tokens("display", "page") },
	"oidcc-display-popup":        func(m conformance) { m.tokens("display", "popup") },
	"oidcc-prompt-login":         func(m conformance) { m.asks("prompt", "login") },
	"oidcc-prompt-none-not-logged-in": func(m conformance) {
		m.redirect(m.out, "login_required", "prompt", "none")
	},
	"oidcc-prompt-none-logged-in":                          func(m conformance) { m.tokens("prompt", "none") },
	"oidcc-max-age-1":                                      func(m conformance) { m.asks("max_age", "1") },
	"oidcc-max-age-10000":                                  func(m conformance) { m.tokens("max_age", "10000") },
	"oidcc-ensure-request-with-unknown-parameter-succeeds": func(m conformance) { m.tokens("extra", "foobar") },
	"oidcc-id-token-hint": func(m conformance) {
		m.tokens("prompt", "none", "id_token_hint", m.hint)
	},
	"oidcc-login-hint":     func(m conformance) { m.tokens("login_hint", "diane") },
	"oidcc-ui-locales":     func(m conformance) { m.tokens("ui_locales", "se") },
	"oidcc-claims-locales": func(m conformance) { m.tokens("claims_locales", "se") },
	"oidcc-ensure-request-with-acr-values-succeeds": func(m conformance) {
		// One factor is no level.
		got := claimsOf(m.T, m.tokens("acr_values", "1 2").ID)
		if got["acr"] != nil {
			m.Errorf("got acr %v after a password, want none", got["acr"])
		}
	},
	"oidcc-codereuse":           func(m conformance) { m.reused(0) },
	"oidcc-codereuse-30seconds": func(m conformance) { m.reused(30 * time.Second) },
	"oidcc-ensure-registered-redirect-uri": func(m conformance) {
		m.page("redirect_uri", wikiDone+"/foo")
	},
	"oidcc-ensure-post-request-succeeds": func(m conformance) {
		header := append([]string{"Content-Type", "application/x-www-form-urlencoded"}, loading...)
		_, form, _ := strings.Cut(wikiAsks(m.s), "?")
		a := m.s.Send(m.in.client, http.MethodPost, m.s.Issuer()+"/oauth2/authorize", form, header...)
		if code := m.in.codeFor(m.s.Issuer() + a.Header.Get("Location")); code == "" {
			m.Error("got no code, want one")
		}
	},
	"oidcc-server-client-secret-post": func(m conformance) { m.tokens() },
	"oidcc-request-uri-unsigned-supported-correctly-or-rejected-as-unsupported": func(m conformance) {
		m.redirect(m.in, "request_uri_not_supported", "request_uri", "https://wiki.example/r")
	},
	"oidcc-unsigned-request-object-supported-correctly-or-rejected-as-unsupported": func(m conformance) {
		m.redirect(m.in, "request_not_supported", "request", "eyJhbGciOiJub25lIn0.e30.")
	},
	"oidcc-claims-essential": func(m conformance) {
		m.tokens("claims", `{"userinfo":{"name":{"essential":true}}}`)
	},
	"oidcc-ensure-request-object-with-redirect-uri": func(m conformance) {
		m.page("redirect_uri", "https://evil.example/", "request", "eyJhbGciOiJub25lIn0.e30.")
	},
	"oidcc-refresh-token": func(m conformance) {
		got := refresh(m.T, m.s, m.tokens("scope", "openid offline_access").Refresh)
		if got.Status != http.StatusOK || claimsOf(m.T, got.ID)["auth_time"] != m.at {
			m.Errorf("got %d %q, want tokens of the same sign-in", got.Status, got.Error)
		}
	},
	"oidcc-ensure-request-with-valid-pkce-succeeds": func(m conformance) { m.tokens() },
}

// TestModulesOfTheConformanceSuite runs each module of the suite, which itself needs programs that no build has.
func TestModulesOfTheConformanceSuite(t *testing.T) {
	c := newHeldClock()
	s := startRelying(t, jetontest.Clock(c.now))
	in, out := newBrowser(t, s), newBrowser(t, s)
	in.signIn("diane")
	first := redeem(t, s, in.codeFor(wikiAsks(s)))
	c.move(2 * time.Second)

	if len(basicModules) != 38 {
		t.Errorf("%d modules, want the 38 of the plan", len(basicModules))
	}
	for name, run := range basicModules {
		t.Run(name, func(t *testing.T) {
			in.t, out.t = t, t
			run(conformance{
				T:    t,
				s:    s,
				c:    c,
				in:   in,
				out:  out,
				hint: first.ID,
				at:   claimsOf(t, first.ID)["auth_time"],
			})
		})
	}
}

// TestASilentSignInInAFrameIsAnswered has a page of the client load the request in a hidden frame. Browsers send a
// frame of another site no cookie.
func TestASilentSignInInAFrameIsAnswered(t *testing.T) {
	s := startRelying(t)
	b := newBrowser(t, s)
	b.signIn("diane")
	framed := []string{"Accept", "text/html", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "iframe"}

	for _, tc := range []struct {
		name   string
		client *http.Client
		want   string
	}{
		{"a frame of another site", s.Client(), "error=login_required"},
		{"a frame with the cookie", b.client, "code="},
	} {
		a := s.Send(tc.client, http.MethodGet, wikiAsks(s, "prompt", "none"), "", framed...)
		if to := a.Header.Get("Location"); a.Status != http.StatusSeeOther || !strings.Contains(to, tc.want) {
			t.Errorf("%s: got %d to %q, want a redirect with %s", tc.name, a.Status, to, tc.want)
		}
	}

	// Pages are not shown in a frame.
	a := s.Send(b.client, http.MethodGet, s.Issuer()+"/consent?client_id=wiki&scope=openid", "", framed...)
	csp := a.Header.Get("Content-Security-Policy")
	if a.Header.Get("X-Frame-Options") != "DENY" || !strings.Contains(csp, "frame-ancestors 'none'") {
		t.Errorf("the page of consent has %q, want that no frame shows it", csp)
	}
}

package server_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/jeton-auth/jeton/jetontest"
)

// shown loads an authorization request that leads to the sign-in page. It returns that page, and where it leads on.
func (b *browser) shown(address string) (page, back string) {
	b.t.Helper()
	b.open(address)
	page = b.at()
	if !strings.HasPrefix(page, b.s.Issuer()+"/sign-in?") {
		b.t.Fatalf("%s: got to %q, want the sign-in page", address, page)
	}

	return page, strings.Replace(page, "/sign-in?", "/oauth2/authorize?", 1)
}

// cliAsks returns an authorization request of a public client, at any port of a loopback address.
func cliAsks(s *jetontest.Server) string {
	return wikiAsks(s, "client_id", "cli", "redirect_uri", "http://127.0.0.1:5/done")
}

// TestTheSignInPageIsAnsweredOnce sends a browser with the session of max to the sign-in page, and on from there.
func TestTheSignInPageIsAnsweredOnce(t *testing.T) {
	c := newHeldClock()
	s := startRelying(t, jetontest.Clock(c.now))
	diane, other := newBrowser(t, s), newBrowser(t, s)
	diane.signIn("diane")
	other.signIn("max")

	hinted := wikiAsks(s, "id_token_hint", redeem(t, s, diane.codeFor(wikiAsks(s))).ID)
	offline := wikiAsks(
		s, "client_id", "brief", "redirect_uri", "https://brief.example/done", "scope", "openid offline_access",
	)

	for _, tc := range []struct {
		name   string
		asks   string
		silent string // error with prompt=none
		as     string // who signs in; "": the user chooses the account of the session
		want   string // error, or "" for a code
	}{
		{"a public client, the account is chosen", cliAsks(s), "interaction_required", "", ""},
		{"a public client, a sign-in", cliAsks(s), "interaction_required", "max", ""},
		{"a hint of another user, the account is chosen", hinted, "login_required", "", "login_required"},
		{"a hint of another user, a sign-in", hinted, "login_required", "max", "login_required"},
		{"offline_access after refresh_lifetime, a sign-in", offline, "login_required", "max", ""},
		{"a hint of another user, who signs in", hinted, "login_required", "diane", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			other.t = t
			c.move(10 * time.Minute)

			if got := other.redirected(tc.asks + "&prompt=none").Get("error"); got != tc.silent {
				t.Errorf("prompt none: got error %q, want %q", got, tc.silent)
			}

			page, back := other.shown(tc.asks)
			c.move(time.Second)
			if tc.as != "" {
				other.send(page, tc.as)
			}

			got := other.redirected(back)
			if got.Get("error") != tc.want || got.Has("code") != (tc.want == "") {
				t.Errorf("got %v, want error %q", got, tc.want)
			}
		})
	}

	// An error shows no page either.
	a := s.Send(other.client, http.MethodGet, wikiAsks(s, "prompt", "none"), "", append([]string{
		"Cookie", "__Host-jeton-issuer=a; __Host-jeton-issuer=b",
	}, loading...)...)
	if to := a.Header.Get("Location"); !strings.HasPrefix(to, wikiDone+"?error=server_error&") {
		t.Errorf("prompt none with two sessions: got %d to %q, want server_error", a.Status, to)
	}
}

// TestAnAnswerOfTheSignInPageIsForItsBrowser shows the same address in the browser of another user, and too late.
func TestAnAnswerOfTheSignInPageIsForItsBrowser(t *testing.T) {
	c := newHeldClock()
	s := startRelying(t, jetontest.Clock(c.now))
	attacker, victim := newBrowser(t, s), newBrowser(t, s)
	attacker.signIn("max")

	wantPage := func(b *browser, when, address string) {
		b.t.Helper()
		if to := b.get(address).Header.Get("Location"); !strings.HasPrefix(to, "/sign-in?") {
			b.t.Errorf("%s: got to %q, want the sign-in page", when, to)
		}
	}

	for _, tc := range []struct{ name, asks string }{
		{"a public client", cliAsks(s)},
		{"prompt login", wikiAsks(s, "prompt", "login")},
	} {
		t.Run(tc.name, func(t *testing.T) {
			attacker.t, victim.t = t, t
			c.move(time.Minute)

			page, back := attacker.shown(tc.asks)
			c.move(6 * time.Minute) // the page may stay open
			attacker.send(page, "max")
			victim.signIn("diane")

			wantPage(victim, "a browser without the cookie", back)
			wantPage(victim, "a browser with another cookie", back)

			c.move(5 * time.Minute)
			if code := attacker.codeFor(back); code == "" {
				t.Error("five minutes after the sign-in: got no code, want one")
			}
			c.move(time.Second)
			wantPage(attacker, "later", back)
		})
	}
}

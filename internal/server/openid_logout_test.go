package server_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/jeton-auth/jeton/jetontest"
)

const wikiBye = "https://wiki.example/bye"

// logoutOf returns a request of a relying party to sign the user out, with parameters in turn.
func logoutOf(s *jetontest.Server, parameters ...string) string {
	values := url.Values{}
	for i := 0; i+1 < len(parameters); i += 2 {
		values.Set(parameters[i], parameters[i+1])
	}
	return s.Issuer() + "/oauth2/logout?" + values.Encode()
}

// isIn reports whether a browser has a sign-in session.
func (b *browser) isIn() bool {
	b.t.Helper()
	return b.redirected(wikiAsks(b.s, "prompt", "none")).Get("error") == ""
}

// TestARelyingPartySignsAUserOut has a row for each kind of request. In each the browser has a session of its own.
func TestARelyingPartySignsAUserOut(t *testing.T) {
	c := newHeldClock()
	s := startRelying(t, jetontest.Clock(c.now))
	other := newBrowser(t, s)
	other.signIn("max")
	foreign := redeem(t, s, other.codeFor(wikiAsks(s))).ID

	const ends, asks, refused = "ends the session", "asks", "refused"
	for _, tc := range []struct {
		name       string
		parameters []string // HINT is an ID token of the session
		want       string
		to         string // where the request leads if it ends the session
	}{
		{
			"the ID token of the session, an address and a state",
			[]string{"id_token_hint", "HINT", "post_logout_redirect_uri", wikiBye, "state", "a b&c"},
			ends, wikiBye + "?state=a+b%26c",
		},
		{
			"no state", []string{"id_token_hint", "HINT", "post_logout_redirect_uri", wikiBye}, ends, wikiBye,
		},
		{
			"an address with a query", []string{
				"id_token_hint", "HINT", "post_logout_redirect_uri", wikiBye + "?app=1", "state", "x",
			}, ends, wikiBye + "?app=1&state=x",
		},
		{"no address", []string{"id_token_hint", "HINT", "state", "x"}, ends, "/signed-out"},
		{
			"the client of the token, a hint of the user and a language", []string{
				"id_token_hint", "HINT", "client_id", "wiki", "logout_hint", "diane", "ui_locales", "de",
			}, ends, "/signed-out",
		},

		{"no parameters", nil, asks, ""},
		{"only a state", []string{"state", "x"}, asks, ""},
		{"an address without a client", []string{"post_logout_redirect_uri", wikiBye}, asks, ""},
		{"a client and an address", []string{"client_id", "wiki", "post_logout_redirect_uri", wikiBye}, asks, ""},
		{"an unknown client", []string{"client_id", "x", "post_logout_redirect_uri", wikiBye}, asks, ""},
		{
			"the ID token of another session",
			[]string{"id_token_hint", foreign, "post_logout_redirect_uri", wikiBye}, asks, "",
		},
		{
			"a changed ID token", []string{"id_token_hint", "HINTx", "post_logout_redirect_uri", wikiBye}, asks, "",
		},
		{
			"an ID token without a signature", []string{
				"id_token_hint", "eyJhbGciOiJub25lIn0.e30.", "post_logout_redirect_uri", wikiBye,
			}, asks, "",
		},

		{
			"an address that is not registered",
			[]string{"id_token_hint", "HINT", "post_logout_redirect_uri", "https://wiki.example/other"}, refused, "",
		},
		{
			"an address with another query",
			[]string{"id_token_hint", "HINT", "post_logout_redirect_uri", wikiBye + "?foo=bar"}, refused, "",
		},
		{"another client than that of the token", []string{"id_token_hint", "HINT", "client_id", "old"}, refused, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := newBrowser(t, s)
			b.signIn("diane")
			hint := redeem(t, s, b.codeFor(wikiAsks(s))).ID
			c.move(11 * time.Minute) // an expired ID token counts

			for i := range tc.parameters {
				tc.parameters[i] = strings.Replace(tc.parameters[i], "HINT", hint, 1)
			}
			a := b.get(logoutOf(s, tc.parameters...))
			to := a.Header.Get("Location")

			got := ends
			switch {
			case a.Status == http.StatusBadRequest && to == "":
				got = refused
			case strings.HasPrefix(to, "/sign-out?"):
				got = asks
			}
			if got != tc.want || tc.want == ends && to != tc.to || b.isIn() != (tc.want != ends) {
				t.Errorf("got %d to %q (%s), want %s, to %q", a.Status, to, got, tc.want, tc.to)
			}
		})
	}
}

// TestASignOutThatAsksGoesOnToTheClient follows a request without an ID token to its end.
func TestASignOutThatAsksGoesOnToTheClient(t *testing.T) {
	s := startRelying(t)
	b := newBrowser(t, s)
	b.signIn("diane")
	asks := logoutOf(s, "client_id", "wiki", "post_logout_redirect_uri", wikiBye, "state", "x")

	// A form of another site comes without the cookie, and goes on as a request that has it.
	form := strings.TrimPrefix(asks, s.Issuer()+"/oauth2/logout?")
	header := append([]string{"Content-Type", "application/x-www-form-urlencoded"}, loading...)
	a := s.Send(b.client, http.MethodPost, s.Issuer()+"/oauth2/logout", form, header...)
	if to := a.Header.Get("Location"); a.Status != http.StatusSeeOther || to != "/oauth2/logout?"+form {
		t.Fatalf("POST: got %d to %q, want the same request by GET", a.Status, to)
	}

	// Neither a frame nor a script signs out, nor does a page that is fetched ahead.
	for _, header := range [][]string{
		{"Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "iframe"},
		{"Sec-Fetch-Mode", "no-cors", "Sec-Fetch-Dest", "image"},
		append([]string{"Sec-Purpose", "prefetch"}, loading...),
	} {
		if a := s.Send(b.client, http.MethodGet, asks, "", header...); a.Status != http.StatusForbidden {
			t.Errorf("%v: got %d, want 403", header, a.Status)
		}
	}

	a = b.open(asks)
	if !strings.HasPrefix(b.at(), s.Issuer()+"/sign-out?") || !strings.Contains(a.Body, "/sign-out?client_id=wiki") {
		t.Fatalf("got to %s, want the page that asks, with the request in its form", b.at())
	}

	a = s.Send(b.client, http.MethodPost, b.at(), "", append([]string{"Origin", s.Issuer()}, header...)...)
	page := s.Issuer() + a.Header.Get("Location")
	a = b.get(page)
	next := strings.TrimPrefix(a.Header.Get("Refresh"), "0;url=")
	if a.Status != http.StatusOK || !strings.Contains(page, "/signed-out?") || b.isIn() {
		t.Fatalf("got %d at %s, want the page of a signed-out user", a.Status, page)
	}

	a = b.get(s.Issuer() + next)
	if to := a.Header.Get("Location"); to != wikiBye+"?state=x" {
		t.Errorf("%s: got %d to %q, want the address of the client", next, a.Status, to)
	}

	// Without a session nothing is asked, and no address but a registered one is used.
	a = b.get(logoutOf(s, "post_logout_redirect_uri", "https://evil.example"))
	if to := a.Header.Get("Location"); to != "/signed-out" {
		t.Errorf("an address without a client: got to %q, want /signed-out", to)
	}
}

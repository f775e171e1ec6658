package server_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// visits returns how often the browser came to a page of the authorization server on its last way.
func (b *browser) visits(path string) int {
	return strings.Count(strings.Join(b.hops, "\n"), b.s.Issuer()+path+"?")
}

// TestAFirstVisitAsksForAllThatThePageRequires opens a page that requires two factors without a session at its service.
func TestAFirstVisitAsksForAllThatThePageRequires(t *testing.T) {
	s, c := startRequiring(t)
	page := s.URL("vault") + "/secrets/1"

	b := newBrowser(t, s)
	b.open(page)
	if b.visits("/oauth2/authorize") != 1 || b.visits("/sign-in") != 1 {
		t.Fatalf("without any session: got %q, want one way to the sign-in page", b.hops)
	}
	a := b.signInHere("diane")
	if a.Status != http.StatusUnauthorized || !strings.Contains(a.Body, "This page needs a stronger sign-in") {
		t.Fatalf("without a second factor: got %d %s at %s, want the notice", a.Status, a.Body, b.at())
	}

	secret, _ := b.enrol(c.now())
	b.wants(b.get(s.URL("vault")+"/me"), "diane")
	c.move(2 * time.Minute)

	// The sign-in session has shown one factor, and the service has no session.
	b = newBrowser(t, s)
	b.await("diane")
	a = b.post("/sign-in/factor", "code", otp(t, secret, c.now()))
	if a.Status != http.StatusSeeOther || !b.signedIn() {
		t.Fatalf("the code: got %d %s, want a session", a.Status, a.Body)
	}
	c.move(6 * time.Minute)
	b.open(page)
	if b.visits("/oauth2/authorize") != 1 || b.visits("/prove") != 1 {
		t.Fatalf("with an old sign-in: got %q, want one way to the page that proves the user again", b.hops)
	}
	b.wants(b.proves("password", right, "code", otp(t, secret, c.now())), "secrets of diane")
	if b.at() != page {
		t.Errorf("got to %s, want %s", b.at(), page)
	}
}

// TestEachWayToTheSignInHasWhatThePageRequires has a row for each answer to a browser without a session.
func TestEachWayToTheSignInHasWhatThePageRequires(t *testing.T) {
	s, _ := startRequiring(t)

	for _, tc := range []struct {
		name, method, service, path string
		header                      []string
		want                        string // in the address that begins the sign-in
	}{
		{"a page", "GET", "vault", "/secrets/1", loading, "acr_values=https%3A%2F%2Frefeds.org%2Fprofile%2Fmfa"},
		{"a page that requires a new proof", "GET", "vault", "/fresh", loading, "max_age=300"},
		{"a page of a service that requires two factors", "GET", "bank", "/balance", loading, "acr_values="},
		{"a form", "POST", "vault", "/secrets/1", loading, "/.jeton/start?factors=2&amp;to=%2F"},
		{
			"a frame",
			"GET", "vault", "/secrets/1",
			[]string{"Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "iframe"},
			"/.jeton/start?factors=2&amp;max_age=300&amp;to=%2Fsecrets%2F1",
		},
		{
			"a part of a page",
			"GET", "vault", "/secrets/1",
			[]string{"HX-Request", "true", "HX-Boosted", "true"},
			"/.jeton/start?factors=2&max_age=300&to=%2Fsecrets%2F1",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a := s.Send(s.Client(), tc.method, s.URL(tc.service)+tc.path, "", tc.header...)
			got := a.Header.Get("Location") + a.Header.Get("HX-Redirect") + a.Body
			if !strings.Contains(got, tc.want) {
				t.Errorf("got %d %s, want %s in it", a.Status, got, tc.want)
			}
		})
	}

	// A page that requires nothing leads to a sign-in that does not.
	a := s.Send(s.Client(), http.MethodGet, s.URL("vault")+"/me", "", loading...)
	to, err := url.Parse(a.Header.Get("Location"))
	if err != nil || to.Query().Has("acr_values") || to.Query().Has("max_age") || !to.Query().Has("state") {
		t.Errorf("a page that requires nothing: got to %v, %v, want no requirement", to, err)
	}
}

// TestAnotherProxyIsToldAtTheFirstVisitWhatIsRequired asks as nginx does, for a browser without a session.
func TestAnotherProxyIsToldAtTheFirstVisitWhatIsRequired(t *testing.T) {
	s, _ := startRequiring(t)

	for path, want := range map[string]string{
		"/a?b":   "https://wiki.example/.jeton/start?factors=2&to=%2Fa%3Fb",
		"/plain": "https://wiki.example/.jeton/start?to=%2Fplain",
	} {
		a := s.Send(s.Client(), http.MethodGet, "http://"+s.Forward()+"/authz/nginx?service=wiki", "", append([]string{
			"X-Original-Url", "https://wiki.example" + path,
			"X-Original-Method", "GET",
			"X-Forwarded-For", "192.0.2.1",
			"X-Request-Id", "0123456789abcdef" + strings.Trim(path, "/?ab"),
		}, loading...)...)
		if to := a.Header.Get("Location"); a.Status != http.StatusUnauthorized || to != want {
			t.Errorf("GET %s: got %d to %q, want 401 to %q", path, a.Status, to, want)
		}
	}
}

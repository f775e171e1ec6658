package pages_test

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/jeton-auth/jeton/jetontest"
)

// yaml has the pages, and a service whose users sign in there.
const yaml = `
throttle: {pair_burst: 5, pair_every: 1h}
issuer:
  url: "https://localhost:${ISSUER_PORT}"
  listen: "localhost:${ISSUER_PORT}"
  brand: {name: Acme, help_url: "https://help.example/"}
services:
  - name: reports
    listen: localhost:0
    routes: [{match: GET /me, respond: {template: '{{.Name}}'}}]
`

// browser is a client that sends what a browser sends, keeps cookies and follows no redirect.
type browser struct {
	t      *testing.T
	s      *jetontest.Server
	client *http.Client
}

// start starts a server with two users, of whom diane is an administrator.
func start(t *testing.T, text string, options ...jetontest.Option) *jetontest.Server {
	t.Helper()
	s := jetontest.Start(t, text, options...)
	s.AddUser("diane", right, "admin")
	s.AddUser("eric", right)

	return s
}

func newBrowser(t *testing.T, s *jetontest.Server) *browser {
	t.Helper()
	return &browser{t, s, s.Client(jetontest.Jar())}
}

// get loads a page of the authorization server.
func (b *browser) get(path string, header ...string) jetontest.Answer {
	b.t.Helper()
	header = append([]string{
		"Accept", "text/html,*/*;q=0.8",
		"Sec-Fetch-Mode", "navigate",
		"Sec-Fetch-Dest", "document",
		"Sec-Fetch-Site", "same-origin",
	}, header...)

	return b.s.Send(b.client, http.MethodGet, b.s.Issuer()+path, "", header...)
}

// post sends a form to a page of the authorization server.
func (b *browser) post(path string, fields url.Values, header ...string) jetontest.Answer {
	b.t.Helper()
	header = append([]string{
		"Accept", "text/html,*/*;q=0.8",
		"Content-Type", "application/x-www-form-urlencoded",
		"Origin", b.s.Issuer(),
		"Sec-Fetch-Mode", "navigate",
		"Sec-Fetch-Dest", "document",
	}, header...)
	if !strings.Contains(strings.Join(header, " "), "Sec-Fetch-Site") {
		header = append(header, "Sec-Fetch-Site", "same-origin")
	}

	return b.s.Send(b.client, http.MethodPost, b.s.Issuer()+path, fields.Encode(), header...)
}

// signIn signs in and returns the answer.
func (b *browser) signIn(path, name, password string, header ...string) jetontest.Answer {
	b.t.Helper()
	return b.post(path, url.Values{"username": {name}, "password": {password}}, header...)
}

// mustSignIn signs in as a user.
func (b *browser) mustSignIn(name string) {
	b.t.Helper()
	a := b.signIn("/sign-in", name, right)
	wantRedirect(b.t, a, "/account")
}

// wantRedirect checks that an answer leads to another page of ours.
func wantRedirect(t *testing.T, a jetontest.Answer, want string) {
	t.Helper()
	if a.Status != http.StatusSeeOther || a.Header.Get("Location") != want {
		t.Errorf("got %d to %q, want 303 to %q", a.Status, a.Header.Get("Location"), want)
	}
}

// wantPage checks that an answer is a page with a status and a text.
func wantPage(t *testing.T, a jetontest.Answer, status int, text string) {
	t.Helper()
	if a.Status != status || !strings.Contains(a.Body, text) {
		t.Errorf("got %d %s, want %d with %q", a.Status, words(a.Body), status, text)
	}
	wantHeaders(t, a)
}

var markup = regexp.MustCompile(`(?s)<[^>]*>|\s+`)

// words returns the text of a page.
func words(body string) string { return markup.ReplaceAllString(body, " ") }

// imagesOfServices are what the page after a sign-out may load as well.
var imagesOfServices = regexp.MustCompile(` https://[a-z0-9.]+:\d+/\.jeton/signed-out`)

// wantHeaders checks the headers that every page has.
func wantHeaders(t *testing.T, a jetontest.Answer) {
	t.Helper()

	for name, want := range map[string]string{
		"Content-Type": "text/html; charset=utf-8",
		"Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; " +
			"connect-src 'self'; base-uri 'none'; frame-ancestors 'none'; form-action 'self'",
		"Cache-Control":          "no-store",
		"X-Content-Type-Options": "nosniff",
		"X-Frame-Options":        "DENY",
	} {
		if got := imagesOfServices.ReplaceAllString(a.Header.Get(name), ""); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}

	// The second is for a page with a secret in its address.
	referrer := a.Header.Get("Referrer-Policy")
	if referrer != "same-origin" && referrer != "strict-origin" {
		t.Errorf("Referrer-Policy is %q, want same-origin or strict-origin", referrer)
	}
}

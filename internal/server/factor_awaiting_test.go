package server_test

import (
	"crypto/rand"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jeton-auth/jeton/jetontest"
)

// ticket returns the cookie of a sign-in that awaits its second factor.
func (b *browser) ticket() *http.Cookie {
	b.t.Helper()
	issuer, err := url.Parse(b.s.Issuer())
	if err != nil {
		b.t.Fatal(err)
	}

	cookies := b.client.Jar.Cookies(issuer)
	at := slices.IndexFunc(cookies, func(c *http.Cookie) bool { return strings.HasSuffix(c.Name, ".factor") })
	if at < 0 {
		b.t.Fatalf("cookies %v, want one of the second factor", cookies)
	}

	return cookies[at]
}

// TestTheTicketOfASignInIsNoCredentialElsewhere shows the ticket of a sign-in that awaits its factor to the token
// endpoint, which is open, and to the endpoints that another proxy asks.
func TestTheTicketOfASignInIsNoCredentialElsewhere(t *testing.T) {
	s := jetontest.Start(t, requiring)
	s.AddUser("diane", right)
	b := newBrowser(t, s)
	b.signIn("diane")
	b.enrol(time.Now())

	b = newBrowser(t, s)
	b.await("diane")
	ticket := b.ticket()
	secret := ticket.Value

	for _, form := range []string{
		"grant_type=authorization_code&client_id=wiki&code=",
		"grant_type=refresh_token&client_id=wiki&refresh_token=",
		"grant_type=urn:ietf:params:oauth:grant-type:device_code&client_id=wiki&device_code=",
		"grant_type=urn:ietf:params:oauth:grant-type:jwt-bearer&assertion=",
		"grant_type=client_credentials&client_id=diane&client_secret=",
	} {
		header := []string{"Content-Type", "application/x-www-form-urlencoded"}
		a := s.Send(s.Client(), http.MethodPost, s.Issuer()+"/oauth2/token", form+secret, header...)
		if a.Status < 400 || a.Status >= 500 {
			t.Errorf("token endpoint with %s: got %d %s, want a refusal", form, a.Status, a.Body)
		}
	}

	asks := func(shown ...string) int {
		return s.Send(s.Client(), http.MethodGet, "http://"+s.Forward()+"/authz/nginx?service=wiki", "", append(
			shown,
			"X-Original-Url", "https://wiki.example/plain",
			"X-Original-Method", "GET",
			"X-Forwarded-For", "192.0.2.1",
			"X-Request-Id", rand.Text(),
		)...).Status
	}
	for _, shown := range [][]string{
		{"Cookie", "__Host-jeton-wiki=" + secret},
		{"Cookie", ticket.Name + "=" + secret},
		{"Authorization", "Bearer " + secret},
		{"Authorization", basic("diane", secret)},
	} {
		if status := asks(shown...); status != http.StatusUnauthorized {
			t.Errorf("forward-auth with %s: got %d, want 401", shown[0], status)
		}
	}
}

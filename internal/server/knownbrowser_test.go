package server_test

import (
	"net/http"
	"testing"

	"github.com/jeton-auth/jeton/jetontest"
)

// guarded lets five wrong passwords be tried.
const guarded = `
throttle: {pair_burst: 5, pair_every: 24h, account_burst: 5, account_every: 24h}
issuer: {url: "https://localhost:${ISSUER_PORT}", listen: "localhost:${ISSUER_PORT}"}
`

// tries sends a password to the sign-in page, and returns the status.
func (b *browser) tries(name, password string) int {
	b.t.Helper()
	return b.post("/sign-in", "username", name, "password", password).Status
}

// TestStrangersDoNotKeepAUserOutOfAKnownBrowser tries passwords from one network.
func TestStrangersDoNotKeepAUserOutOfAKnownBrowser(t *testing.T) {
	s := jetontest.Start(t, guarded)
	s.AddUser("diane", right)
	s.AddUser("eric", right)

	known, second, stranger := newBrowser(t, s), newBrowser(t, s), newBrowser(t, s)
	for _, b := range []*browser{known, second} {
		b.signIn("diane")
		b.post("/sign-out")
	}
	stranger.signIn("eric")
	stranger.post("/sign-out")

	for i := range 5 {
		if got := stranger.tries("diane", "wrong"); got != http.StatusUnauthorized {
			t.Fatalf("wrong password %d: got %d, want 401", i, got)
		}
		if got := stranger.tries("absent", "wrong"); got != http.StatusUnauthorized {
			t.Fatalf("wrong password %d of no account: got %d, want 401", i, got)
		}
	}

	const refused = http.StatusTooManyRequests
	for _, step := range []struct {
		what     string
		b        *browser
		name     string
		password string
		want     int
	}{
		{"a browser without a cookie", newBrowser(t, s), "diane", right, refused},
		{"a browser that another user has signed in with", stranger, "diane", right, refused},
		{"a known browser, for no account", known, "absent", right, refused},
		{"a known browser", known, "diane", right, http.StatusSeeOther},
		{"a stranger after it", stranger, "diane", right, refused},
		{"a known browser, again", known, "diane", right, http.StatusSeeOther},
		// A right password has given back what it took. A wrong one is answered as elsewhere.
		{"a known browser, wrong 1", known, "diane", "wrong", refused},
		{"a known browser, wrong 2", known, "diane", "wrong", refused},
		{"a known browser, wrong 3", known, "diane", "wrong", refused},
		{"a known browser, wrong 4", known, "diane", "wrong", refused},
		{"a known browser, wrong 5", known, "diane", "wrong", refused},
		{"a known browser, after five wrong ones", known, "diane", right, refused},
		{"the other known browser", second, "diane", right, http.StatusSeeOther},
	} {
		if got := step.b.tries(step.name, step.password); got != step.want {
			t.Errorf("%s: got %d, want %d", step.what, got, step.want)
		}
	}

	// What ends all sessions makes all browsers unknown.
	s.MustControl(http.MethodPut, "/api/v1/users/diane/password", map[string]string{"password": right + "!"}, nil)
	if got := second.tries("diane", right+"!"); got != refused {
		t.Errorf("a browser after a new password: got %d, want %d", got, refused)
	}
}

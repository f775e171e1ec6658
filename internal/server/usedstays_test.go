package server_test

import (
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jeton-auth/jeton/jetontest"
)

// usedUp is what a user has used up or ended.
type usedUp struct {
	t       *testing.T
	code    string // of the recovery codes
	link    string // path that set a password
	session string // Cookie header of a session that was signed out
}

// stays checks that a node accepts none of it.
func (u usedUp) stays(when string, s *jetontest.Server) {
	u.t.Helper()
	if status := setByLink(s, u.link, right+" 2"); status != http.StatusGone {
		u.t.Errorf("%s, the link: got %d, want 410", when, status)
	}
	a := s.Send(s.Client(), http.MethodGet, s.Issuer()+"/account", "", "Cookie", u.session)
	if a.Status == http.StatusOK {
		u.t.Errorf("%s, the session is open, want it ended", when)
	}

	u.refused(when+", the recovery code", s, "/sign-in/recovery", u.code)
}

// refused checks that a node takes no code of the user, in a sign-in of its own.
func (u usedUp) refused(when string, s *jetontest.Server, path, code string) {
	u.t.Helper()
	b := newBrowser(u.t, s)
	b.await("diane")
	if a := b.post(path, "code", code); a.Status != http.StatusUnauthorized || b.signedIn() {
		u.t.Errorf("%s: got %d, want 401", when, a.Status)
	}
}

// TestWhatWasUsedStaysUsed shows a code of an authenticator app, a recovery code, a link and a session again: at
// another node, after the clock of all nodes has jumped back an hour, and at a node that starts then.
func TestWhatWasUsedStaysUsed(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "keys.secret")
	if err := os.WriteFile(secret, []byte(strings.Repeat("0123456789abcdef", 4)), 0o600); err != nil {
		t.Fatal(err)
	}
	conf := "keys_secret_file: " + secret + "\ndatabase: {url: '" + shared.Database(t) + "'}\n" + relying
	c := newHeldClock()
	start := func() *jetontest.Server { return jetontest.Start(t, conf, jetontest.Clock(c.now)) }
	one, two := start(), start()
	one.AddUser("diane", right)
	used := usedUp{t: t, link: usedLink(t, one)}

	first := newBrowser(t, one)
	first.signIn("diane")
	_, codes := first.enrol(c.now())
	used.session = cookiesOf(t, first)
	a := one.Send(one.Client(), http.MethodGet, one.Issuer()+"/account", "", "Cookie", used.session)
	if a.Status != http.StatusOK {
		t.Fatalf("the session before its end: got %d, want 200", a.Status)
	}
	first.post("/sign-out")
	used.code = codes[0]

	// One sign-in replaces the app by a recovery code, and two more show a code each, an hour apart.
	c.move(time.Minute)
	b := newBrowser(t, one)
	b.await("diane")
	b.post("/sign-in/recovery", "code", used.code)
	shown := appKey.FindStringSubmatch(b.get(one.Issuer() + "/sign-in/factor").Body)
	if shown == nil {
		t.Fatal("the recovery code led to no new app")
	}
	key := shown[1]
	b.post("/sign-in/factor", "code", otp(t, key, c.now()))
	c.move(time.Minute)
	shows := func(s *jetontest.Server) string {
		code := otp(t, key, c.now())
		b := newBrowser(t, s)
		b.await("diane")
		if a := b.post("/sign-in/factor", "code", code); a.Status != http.StatusSeeOther || !b.signedIn() {
			t.Fatalf("a code: got %d, want a sign-in", a.Status)
		}

		return code
	}
	early := shows(one)
	c.move(time.Hour)
	late := shows(two)

	used.refused("at the other node, the code", one, "/sign-in/factor", late)
	used.stays("at the other node", two)

	c.move(-time.Hour)
	used.refused("an hour back, the earlier code", two, "/sign-in/factor", early)
	two.Stop()
	two = start()
	used.refused("an hour back and after a restart, the earlier code", two, "/sign-in/factor", early)

	// The attempts that have failed come back while the clock goes on.
	c.move(time.Hour)
	used.refused("after a restart, the later code", two, "/sign-in/factor", late)
	c.move(time.Minute)
	used.stays("after a restart", two)

	c.move(time.Minute)
	shows(two)
}

// usedLink returns the path of a link that has set the password of diane.
func usedLink(t *testing.T, s *jetontest.Server) string {
	t.Helper()
	var link struct{ URL string }
	s.MustControl(http.MethodPost, "/api/v1/users/diane/recovery-link", nil, &link)
	path := strings.TrimPrefix(link.URL, s.Issuer())
	if status := setByLink(s, path, right); status != http.StatusSeeOther {
		t.Fatalf("the link: got %d, want 303", status)
	}

	return path
}

// cookiesOf returns the Cookie header of a browser at the issuer.
func cookiesOf(t *testing.T, b *browser) string {
	t.Helper()
	at, err := url.Parse(b.s.Issuer())
	if err != nil {
		t.Fatal(err)
	}

	var all []string
	for _, c := range b.client.Jar.Cookies(at) {
		all = append(all, fmt.Sprintf("%s=%s", c.Name, c.Value))
	}

	return strings.Join(all, "; ")
}

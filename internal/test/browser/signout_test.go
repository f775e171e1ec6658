package browser

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jeton-auth/jeton/internal/test/pgtest"
	"github.com/jeton-auth/jeton/jetontest"
)

// postgres is the database of the tests with two nodes.
var postgres = pgtest.Shared{NoSync: true}

func TestSignOutEndsEverySession(t *testing.T) {
	w := newWorld(t)

	each(t, func(t *testing.T, open func(testing.TB) *Page) {
		p := open(t)
		p.Open(w.shop + "/orders/7")
		w.signIn(p, "diane")
		p.Arrive(w.shop + "/orders/7")
		p.Open(w.books + "/shelf")
		p.Arrive(w.books + "/shelf")

		p.Open(w.issuer + "/account")
		p.Click("form[action='/sign-out'] button")
		p.Reach(w.issuer + "/signed-out")
		for _, service := range []string{"shop", "books"} {
			if !strings.Contains(p.Text(), service) {
				t.Errorf("the signed-out page shows %q, want %s in it", p.Text(), service)
			}
		}

		for _, page := range []string{w.shop + "/orders/7", w.books + "/shelf", w.issuer + "/account"} {
			p.Open(page)
			p.Wait("location.pathname === '/sign-in' && location.origin === '" + w.issuer + "'")
		}
		w.clean(p)
	})
}

func TestLogoutAtAServiceEndsEverySession(t *testing.T) {
	w := newWorld(t)

	each(t, func(t *testing.T, open func(testing.TB) *Page) {
		p := open(t)
		p.Open(w.shop + "/orders/7")
		w.signIn(p, "diane")
		p.Arrive(w.shop + "/orders/7")
		p.Open(w.books + "/shelf")
		p.Arrive(w.books + "/shelf")

		p.Open(w.shop + "/orders/7")
		p.Run("await fetch('/logout', {method: 'POST'})")

		for _, page := range []string{w.books + "/shelf", w.shop + "/orders/7", w.issuer + "/account"} {
			p.Open(page)
			p.Wait("location.pathname === '/sign-in' && location.origin === '" + w.issuer + "'")
		}
	})
}

// TestBackAfterSignOutShowsNothing is about the cache for Back, which TestBackShowsAKeptPage shows to
// be on in both browsers.
func TestBackAfterSignOutShowsNothing(t *testing.T) {
	w := newWorld(t)

	each(t, func(t *testing.T, open func(testing.TB) *Page) {
		p := open(t)
		w.account(p, "diane")
		p.Run("document.title = 'as it was'")
		p.Click("form[action='/sign-out'] button")
		p.Reach(w.issuer + "/signed-out")
		w.backShowsNothing(p, 1)
	})
}

// TestBackAfterLogoutShowsNothing has a page that the browser asked for without a session, since it came
// from the sign-in.
func TestBackAfterLogoutShowsNothing(t *testing.T) {
	w := newWorld(t)

	each(t, func(t *testing.T, open func(testing.TB) *Page) {
		p := open(t)
		p.Open(w.shop + "/orders/7")
		w.signIn(p, "diane")
		p.Arrive(w.shop + "/orders/7")
		p.Run("document.title = 'as it was'")
		p.Click("form[action='/logout'] button")
		p.Arrive(w.shop + "/logout")
		w.backShowsNothing(p, 1)
	})
}

// TestBackToAServiceAfterSignOutShowsNothing signs out at the issuer. The service is of the same site.
func TestBackToAServiceAfterSignOutShowsNothing(t *testing.T) {
	w := newWorld(t)

	each(t, func(t *testing.T, open func(testing.TB) *Page) {
		p := open(t)
		p.Open(w.near + "/orders/7")
		w.signIn(p, "diane")
		p.Arrive(w.near + "/orders/7")
		p.Run("document.title = 'as it was'")
		p.Open(w.issuer + "/account")
		p.Arrive(w.issuer + "/account")
		p.Click("form[action='/sign-out'] button")
		p.Reach(w.issuer + "/signed-out")
		p.Wait("document.images.length > 0 && [...document.images].every((image) => image.complete)")
		w.clean(p)
		w.backShowsNothing(p, 2)
	})
}

// backShowsNothing goes back by some pages after a logout of diane.
func (w *world) backShowsNothing(p *Page, pages int) {
	p.t.Helper()
	from := p.URL()
	p.Run(fmt.Sprintf("history.go(-%d)", pages))
	p.Wait("location.href !== " + quote(from) + " && document.readyState === 'complete'")

	text := Value[string](p, "document.title + ' ' + document.body.innerText")
	if strings.Contains(text, "diane") || strings.Contains(text, "as it was") {
		p.t.Errorf("%s: Back after the logout shows %q, want nothing of diane", p.browser, text)
	}
}

// TestSignOutEndsSessionsOnAnotherNode uses that cookies do not depend on the port: a browser shows the
// session of one node to the other.
func TestSignOutEndsSessionsOnAnotherNode(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "keys.secret")
	err := os.WriteFile(secret, []byte(strings.Repeat("0f", 32)), 0o600)
	if err != nil {
		t.Fatal(err)
	}

	shared := "keys_secret_file: " + secret + "\ndatabase: {url: '" + postgres.Database(t) + "'}\n"
	port := freePort(t)
	issuer, behind := jetontest.Env("ISSUER_PORT", port), newUpstream(t)

	w := newNode(t, shared, behind, issuer, jetontest.Env("LISTEN_PORT", port))
	other := newNode(t, shared, behind, issuer, jetontest.Env("LISTEN_PORT", freePort(t)))
	w.AddUser("diane", passphrase)

	p := Chromium(t)
	p.Open(w.shop + "/orders/7")
	w.signIn(p, "diane")
	p.Arrive(w.shop + "/orders/7")
	p.Open(other.shop + "/orders/8")
	if want := "GET /orders/8 for diane"; !strings.Contains(p.Text(), want) {
		t.Fatalf("the other node shows %q, want %q", p.Text(), want)
	}

	p.Open(w.issuer + "/account")
	p.Click("form[action='/sign-out'] button")
	p.Reach(w.issuer + "/signed-out")

	p.Open(other.shop + "/orders/8")
	if text := p.Text(); strings.Contains(text, "diane") || !strings.HasPrefix(p.URL(), w.issuer) {
		t.Errorf("the other node shows %s %q after the sign-out, want the sign-in", p.URL(), text)
	}
}

package browser

import (
	"slices"
	"strings"
	"testing"
)

// The page of the passkeys of a user, and the forms for them.
const (
	keysPath   = "/account/security/passkeys"
	addForm    = "form[data-passkey=create]"
	signInForm = "form[data-passkey=autofill]"
	shownNote  = "form[data-passkey] [data-failed]:not([hidden])"
)

// addKey adds a passkey to the account of the user who is signed in.
func (w *world) addKey(p *Page, name string) {
	p.t.Helper()
	p.Open(w.issuer + keysPath)
	p.Fill(addForm+" input[name=name]", name)
	p.Click(addForm + " button")
	p.Wait("location.search === '?done=passkey-added' && document.readyState === 'complete'")
	if !strings.Contains(p.Text(), name) {
		p.t.Errorf("after a passkey is added the page shows %q, want %s", p.Text(), name)
	}
}

// signOut ends the session, so that the next page of the account asks for a sign-in.
func (w *world) signOut(p *Page) {
	p.t.Helper()
	p.Open(w.issuer + "/account")
	p.Click("form.me button")
	p.Reach(w.issuer + "/signed-out")
}

// TestPasskeys walks the life of passkeys in one browser, which costs less than one for each step.
func TestPasskeys(t *testing.T) {
	w := newWorld(t)
	p := Chromium(t)
	p.Resize(deskWidth, deskHeight)
	a := p.Authenticator()

	t.Run("a user adds one", func(t *testing.T) {
		w.account(p, "diane")
		p.Open(w.issuer + keysPath)
		w.inspect(p, "passkeys-none")
		w.addKey(p, "laptop of diane")
		w.inspect(p, "passkeys")
	})

	t.Run("the autofill of the name field signs in, and nothing is clicked", func(t *testing.T) {
		w.signOut(p)
		p.Open(w.shop + "/orders/7")
		p.Arrive(w.shop + "/orders/7")
		if !strings.Contains(p.Text(), "for diane") {
			t.Errorf("the page shows %q, want one for diane", p.Text())
		}
	})

	t.Run("the button signs in", func(t *testing.T) {
		a.Present(false) // the autofill waits
		w.signOut(p)
		p.Open(w.issuer + "/sign-in")
		p.Wait("document.querySelector('" + signInForm + ":not([hidden])')")
		a.Present(true)
		p.Click(signInForm + " button")
		p.Arrive(w.issuer + "/account")
	})

	t.Run("a user who is not recognised is not signed in", func(t *testing.T) {
		a.Verified(false)
		w.signOut(p)
		p.Open(w.issuer + "/sign-in")
		p.Click(signInForm + " button")
		p.Wait("document.querySelector('" + shownNote + "')")
		w.inspect(p, "passkey-failed")
		a.Verified(true)
	})

	t.Run("an authenticator that did not verify its user is refused", func(t *testing.T) {
		a.Lies(true)
		p.Open(w.issuer + "/sign-in")
		p.Wait("location.pathname === '/sign-in/passkey' && document.querySelector('#note')")
		if p.Status() != 401 {
			t.Errorf("a response without verification = %d, want 401", p.Status())
		}
		// The page that follows has the autofill, too, which must not sign in when the authenticator is honest again.
		a.Present(false)
		a.Lies(false)
	})

	t.Run("each of two accounts has its own", func(t *testing.T) {
		p.Open(w.issuer + "/sign-in")
		w.signIn(p, "bob")
		p.Arrive(w.issuer + "/account")
		a.Present(true)
		w.addKey(p, "laptop of bob")

		if got := a.Keys(); len(got) != 2 || !slices.Contains(got, "bob") || !slices.Contains(got, "diane") {
			t.Errorf("the authenticator has passkeys of %v, want diane and bob", got)
		}
	})

	t.Run("a removed one leaves the authenticator", func(t *testing.T) {
		p.Open(w.issuer + keysPath)
		p.Click("form[action$='/remove'] button")
		p.Wait("location.search.startsWith('?done=passkey-removed') && document.readyState === 'complete'")
		p.Wait("!document.querySelector('[data-signal]')") // the script has signalled it

		if got := a.Keys(); !slices.Equal(got, []string{"diane"}) {
			t.Errorf("the authenticator has passkeys of %v, want diane alone", got)
		}
	})

	w.clean(p)
}

// TestPasskeysNeedNoScriptForThePassword has the form for a passkey hidden where no script could send it.
func TestPasskeysNeedNoScriptForThePassword(t *testing.T) {
	w := newWorld(t)
	p := Chromium(t)
	p.NoScript()
	w.account(p, "diane")
	p.Open(w.issuer + keysPath)

	if text := p.Text(); strings.Contains(text, "Add a passkey") || !strings.Contains(text, "scripts switched on") {
		t.Errorf("without scripts the page shows %q, want no button but what it needs", text)
	}
}

package browser

import (
	"strings"
	"testing"
)

func TestSignInReturnsToTheDeepLink(t *testing.T) {
	w := newWorld(t)

	each(t, func(t *testing.T, open func(testing.TB) *Page) {
		p := open(t)
		link := w.shop + "/orders/7?page=2&sort=a%20b%2Fc&q=%C3%A9"
		p.Open(link)
		p.Wait("location.origin === '" + w.issuer + "'")
		w.signIn(p, "diane")
		p.Arrive(link)

		if want := "GET /orders/7?page=2&sort=a%20b%2Fc&q=%C3%A9 for diane"; !strings.Contains(p.Text(), want) {
			t.Errorf("after the sign-in the page shows %q, want %q", p.Text(), want)
		}

		// Back leads to the page before, and not into the sign-in.
		p.Back()
		p.Wait("location.href !== '" + link + "'")
		if strings.Contains(p.URL(), "/finish") || strings.Contains(p.URL(), "/continue") {
			t.Errorf("Back leads to %s, want no step of the sign-in", p.URL())
		}
		w.clean(p)
	})
}

func TestTheSecondServiceOpensWithoutAsking(t *testing.T) {
	w := newWorld(t)

	each(t, func(t *testing.T, open func(testing.TB) *Page) {
		p := open(t)
		p.Open(w.shop + "/orders/7")
		w.signIn(p, "diane")
		p.Arrive(w.shop + "/orders/7")

		p.Open(w.books + "/shelf")
		p.Arrive(w.books + "/shelf")
		if p.Text() != "read by diane" {
			t.Errorf("the second service shows %q, want read by diane", p.Text())
		}
		w.clean(p)
	})
}

func TestAUserWhoMayNotUseTheServiceIsTold(t *testing.T) {
	w := newWorld(t)

	each(t, func(t *testing.T, open func(testing.TB) *Page) {
		p := open(t)
		p.Open(w.books + "/shelf")
		w.signIn(p, "bob")
		p.Wait("document.body.innerText.includes('bob') && location.pathname === '/oauth2/authorize'")

		if p.Status() != 403 {
			t.Errorf("the page for a user who is not allowed = %d, want 403", p.Status())
		}

		p.Click("main a[href*='select_account']")
		p.Wait("location.pathname === '/sign-in'")
	})
}

func TestAWrongPasswordKeepsTheName(t *testing.T) {
	w := newWorld(t)

	eachForm(t, func(t *testing.T, open func(testing.TB) *Page) {
		p := open(t)
		p.Open(w.shop + "/orders/7")
		p.Wait("location.pathname === '/sign-in'")
		p.Fill("input[name=username]", "diane")
		p.Fill("input[name=password]", "wrong")
		p.Press("Enter")
		p.Wait("document.querySelector('[role=alert]:not([hidden])')")

		if name := Value[string](p, "document.querySelector('input[name=username]').value"); name != "diane" {
			t.Errorf("the name after a wrong password = %q, want diane", name)
		}
		if word := Value[string](p, "document.querySelector('input[name=password]').value"); word != "" {
			t.Errorf("the password after a wrong password = %q, want none", word)
		}

		p.Fill("input[name=password]", passphrase)
		p.Press("Enter")
		p.Arrive(w.shop + "/orders/7")
		w.clean(p)
	})
}

// TestAPasswordManagerSignsIn fills the fields as a password manager does: by their autocomplete tokens,
// with text that arrives as one input event and no key.
func TestAPasswordManagerSignsIn(t *testing.T) {
	w := newWorld(t)
	p := Chromium(t)
	p.Open(w.issuer + "/sign-in")

	p.Fill("input[autocomplete~=username]", "diane")
	p.Fill("input[autocomplete~=current-password]", passphrase)
	p.Run("document.querySelector('input[autocomplete~=current-password]').form.requestSubmit()")
	p.Arrive(w.issuer + "/account")
}

func TestSignInNeedsNoScript(t *testing.T) {
	w := newWorld(t)
	p := Chromium(t)
	p.NoScript()

	p.Open(w.shop + "/orders/7")
	w.signIn(p, "diane")
	p.Arrive(w.shop + "/orders/7")
}

// TestAccountAndAdministrationNeedNoScript makes a token, revokes it and adds a user with the scripts of pages off.
func TestAccountAndAdministrationNeedNoScript(t *testing.T) {
	w := newWorld(t)
	p := Chromium(t)
	p.NoScript()
	w.account(p, "root")

	p.Open(w.issuer + "/account/tokens/new")
	p.Fill("#name", "laptop")
	if !p.Has("input[name=service][value=shop]:checked") {
		p.Click("input[name=service][value=shop]")
	}
	p.Click("main form .actions button")
	p.Wait("document.getElementById('secret')")

	p.Open(w.issuer + "/admin/tokens?user=root")
	p.Click("a[href$='/revoke']")
	p.Wait("location.pathname.endsWith('/revoke') && document.readyState === 'complete'")
	p.Click("main form .actions button")
	p.Wait("location.pathname === '/admin/tokens' && document.querySelector('.note.good')")

	p.Open(w.issuer + "/admin/users/new")
	p.Fill("input[name=name]", "carl")
	p.Click("main form .actions button")
	p.Wait("location.pathname !== '/admin/users/new' && document.readyState === 'complete'")
	if !strings.Contains(p.Text(), "carl") {
		t.Errorf("after a user is added, %s shows %q, want carl", p.URL(), p.Text())
	}
}

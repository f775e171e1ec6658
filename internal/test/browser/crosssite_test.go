package browser

import (
	"fmt"
	"strings"
	"testing"
)

// TestAnotherSiteSignsNobodyIn posts the sign-in form with the attacker's name and password from
// elsewhere (login CSRF).
func TestAnotherSiteSignsNobodyIn(t *testing.T) {
	w := newWorld(t)
	form := fmt.Sprintf(`<form method="post" action="%s/sign-in" target="_top">`+
		`<input name="username" value="bob"><input name="password" value="%s"></form>`+
		`<script>document.forms[0].submit()</script>`, w.issuer, passphrase)
	framed := `<iframe title="form" sandbox="allow-scripts allow-forms allow-top-navigation" srcdoc='` + form +
		`'></iframe>`

	each(t, func(t *testing.T, open func(testing.TB) *Page) {
		for _, tc := range []struct {
			name string
			site string
		}{
			{"another site", evil(t, true, form)},
			{"another site without TLS", evil(t, false, form)},
			{"a sandboxed frame", evil(t, true, framed)},
		} {
			t.Run(tc.name, func(t *testing.T) {
				p := open(t)
				before := w.logins("issuer")
				p.Open(tc.site)
				p.Wait("location.origin === '" + w.issuer + "' && document.readyState === 'complete'")

				if p.Status() != 403 {
					t.Errorf("the posted form = %d, want 403", p.Status())
				}
				if n := w.logins("issuer") - before; n != 0 {
					t.Errorf("%d sessions started, want none", n)
				}

				p.Open(w.issuer + "/account")
				p.Wait("location.pathname === '/sign-in'")
			})
		}
	})
}

// TestOurOwnFormWithoutReferrerSignsIn: with no-referrer, browsers send Origin: null from our own page.
func TestOurOwnFormWithoutReferrerSignsIn(t *testing.T) {
	w := newWorld(t)

	each(t, func(t *testing.T, open func(testing.TB) *Page) {
		p := open(t)
		p.Open(w.issuer + "/sign-in")
		p.Run("const m = document.createElement('meta'); m.name = 'referrer'; m.content = 'no-referrer'; " +
			"document.head.append(m)")
		w.signIn(p, "diane")
		p.Arrive(w.issuer + "/account")
	})
}

// TestWhatNobodySeesStartsNoSession has a user with a sign-in session open a page of a service that
// fetches others before they are wanted.
func TestWhatNobodySeesStartsNoSession(t *testing.T) {
	w := newWorld(t)

	each(t, func(t *testing.T, open func(testing.TB) *Page) {
		p := open(t)
		w.account(p, "diane")
		before, after := w.logins("shop"), w.newest()

		for _, tc := range []struct{ page, asks string }{
			{"prefetch", "/orders/prefetch"},
			{"rules", "/orders/rules"},
			{"rules", "/orders/prerender"},
			{"frame", "/orders/framed"},
		} {
			if p.Browser() == "firefox" && tc.page == "rules" {
				continue // Firefox has no speculation rules
			}
			p.Open(w.shop + "/open/" + tc.page)
			w.waitRefused(t, after, tc.asks)
		}
		p.Run("await fetch('/orders/fetched'); const x = new XMLHttpRequest(); " +
			"x.open('GET', '/orders/xhr', false); x.send()")
		w.waitRefused(t, after, "/orders/fetched")
		w.waitRefused(t, after, "/orders/xhr")

		if n := w.logins("shop") - before; n != 0 {
			t.Errorf("%d sessions started at the service, want none", n)
		}
		if seen := w.behind.requests("/orders/"); len(seen) != 0 {
			t.Errorf("the upstream got %v, want nothing", seen)
		}

		// A click opens the page, with a session that starts now.
		p.Open(w.shop + "/orders/7")
		p.Arrive(w.shop + "/orders/7")
		if n := w.logins("shop") - before; n != 1 {
			t.Errorf("%d sessions started after the click, want 1", n)
		}
		w.behind.forget()
	})
}

func TestAFrameOffersALinkThatLeavesIt(t *testing.T) {
	w := newWorld(t)

	each(t, func(t *testing.T, open func(testing.TB) *Page) {
		p := open(t)
		p.Open(w.shop + "/open/frame")
		p.Wait("document.querySelector('iframe').contentDocument?.querySelector('a[target=_top]')")
		p.Run("document.querySelector('iframe').contentDocument.querySelector('a[target=_top]').click()")
		w.signIn(p, "diane")
		p.Arrive(w.shop + "/orders/framed")
	})
}

func TestAPostWithoutSessionIsNotSentAgain(t *testing.T) {
	w := newWorld(t)

	each(t, func(t *testing.T, open func(testing.TB) *Page) {
		p := open(t)
		p.Open(w.shop + "/open/form")
		p.Click("button")
		p.Wait("location.pathname === '/orders/7' && document.readyState === 'complete'")
		if p.Status() != 401 {
			t.Errorf("a form without session = %d, want 401", p.Status())
		}

		p.Click("main a")
		w.signIn(p, "diane")
		p.Arrive(w.shop + "/open/form")
		if seen := w.behind.requests("/orders/7"); len(seen) != 0 {
			t.Errorf("the upstream got %v, want nothing: the form is not sent again", seen)
		}

		p.Click("button")
		p.Wait("document.body.innerText.includes('POST /orders/7 for diane')")
		w.behind.forget()
	})
}

func TestNoPageOfTheIssuerCanBeFramed(t *testing.T) {
	w := newWorld(t)

	for _, tc := range []struct {
		name    string
		framed  string
		refused bool
	}{
		{"the sign-in page", w.issuer + "/sign-in", true},
		{"the account page", w.issuer + "/account", true},
		{"an open page of a service", w.shop + "/open/form", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := Chromium(t)
			p.Open(evil(t, true, fmt.Sprintf(`<iframe title="framed" src="%s"></iframe>`, tc.framed)))

			refused := strings.Contains(strings.Join(p.Failures(), " "), "ERR_BLOCKED_BY_RESPONSE")
			if refused != tc.refused {
				t.Errorf("framed: failed requests %q, want the frame refused: %v", p.Failures(), tc.refused)
			}
		})
	}
}

// TestTwoTabsSignInAtOnce begins two sign-ins before either is finished.
func TestTwoTabsSignInAtOnce(t *testing.T) {
	w := newWorld(t)
	one := Chromium(t)
	other := one.Another()

	one.Open(w.shop + "/orders/1")
	other.Open(w.shop + "/orders/2")
	w.signIn(one, "diane")
	one.Arrive(w.shop + "/orders/1")
	w.signIn(other, "diane")
	other.Arrive(w.shop + "/orders/2")

	one.Open(w.shop + "/orders/1")
	one.Arrive(w.shop + "/orders/1")
}

// TestARelyingPartyKeepsTheWindowOfTheSignIn has another site open the sign-in in a window, which it must be able to
// close, and which must be able to answer it.
func TestARelyingPartyKeepsTheWindowOfTheSignIn(t *testing.T) {
	w := newWorld(t)
	site := evil(t, true, `<button onclick="window.opened = window.open('`+w.issuer+`/sign-in')">Sign in</button>`)

	p := Chromium(t)
	p.Open(site)
	p.Click("button")

	// A window that shows another origin keeps its address to itself; one that was cut off seems to be closed.
	p.Wait(`(() => { try { return opened.closed || !opened.location.href } catch { return true } })()`)
	if Value[bool](p, "opened.closed") {
		t.Errorf("the window of the sign-in is cut off from the site that opened it")
	}
}

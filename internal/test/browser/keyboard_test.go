package browser

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// maxTabs is how often Tab is pressed at most: no page has as many places to stop at.
const maxTabs = 150

// focused describes the element that has the focus: an id of the test, what it is, and what is wrong with it. The id
// is 0 for the page itself.
const focused = `(() => {
	const e = document.activeElement
	if (!e || e === document.body || e === document.documentElement) return {id: 0, what: 'the page', fault: ''}
	window.stops ??= new Map()
	if (!stops.has(e)) stops.set(e, stops.size + 1)

	const style = getComputedStyle(e), box = e.getBoundingClientRect()
	const drawn = style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2 || style.boxShadow !== 'none'
	const inside = box.bottom > 0 && box.top < innerHeight && box.right > 0 && box.left < innerWidth
	return {
		id: stops.get(e),
		what: e.outerHTML.slice(0, 120),
		fault: !drawn ? 'shows no focus' : !inside ? 'has the focus outside of the window' : '',
	}
})()`

// unreached returns what can have the focus and never had it, and what had it before an element that stands before it.
const unreached = `(() => {
	const shown = (e) => e.checkVisibility({visibilityProperty: true}) && !e.disabled && e.tabIndex >= 0
	const group = (e) => e.type === 'radio' && !e.checked
	const late = [...stops.keys()].filter((e, i, all) =>
		i > 0 && e.compareDocumentPosition(all[i - 1]) & Node.DOCUMENT_POSITION_FOLLOWING)
	const missed = [...document.querySelectorAll('a[href], button, input, select, textarea, summary')]
		.filter((e) => shown(e) && !group(e) && !stops.has(e))
	return [...missed.map((e) => 'is never reached: ' + e.outerHTML.slice(0, 120)),
		...late.map((e) => 'is reached too late: ' + e.outerHTML.slice(0, 120))]
})()`

// stop is where the focus is.
type stop struct {
	ID    int    `json:"id"`
	What  string `json:"what"`
	Fault string `json:"fault"`
}

// Type enters text where the focus is.
func (p *Page) Type(text string) {
	p.t.Helper()
	p.do("type", func(ctx context.Context) error { return p.tab.insert(ctx, text) })
}

// tabTo presses Tab until an element that the selector finds has the focus.
func (p *Page) tabTo(selector string) {
	p.t.Helper()
	for range maxTabs {
		if Value[bool](p, "document.activeElement.matches("+quote(selector)+")") {
			return
		}
		p.Press("Tab")
	}
	p.t.Fatalf("%d times Tab never lead to %s\n%s", maxTabs, selector, p.state())
}

// tabThrough presses Tab from the top of a page until the focus has been everywhere, and says what is wrong on the way.
func (p *Page) tabThrough(address string) {
	p.t.Helper()
	p.Open(address)
	// A field that has the focus from the beginning is where Tab would start.
	p.Run("window.stops = new Map(); document.body.tabIndex = -1; document.body.focus()")

	var seen []int
	for range maxTabs {
		p.Press("Tab")
		at := Value[stop](p, focused)
		if at.ID == 0 || slices.Contains(seen, at.ID) {
			break // around once
		}
		if at.Fault != "" {
			p.t.Errorf("%s: %s %s", address, at.What, at.Fault)
		}
		seen = append(seen, at.ID)
	}

	if len(seen) < 2 || len(seen) == maxTabs {
		p.t.Errorf("%s: Tab stops at %d places, want a few and no trap", address, len(seen))
	}
	for _, fault := range Value[[]string](p, unreached) {
		p.t.Errorf("%s: %s", address, fault)
	}
}

// TestTheKeyboardIsEnough signs in, makes a token, ends a session and searches without a mouse.
func TestTheKeyboardIsEnough(t *testing.T) {
	w := newWorld(t)
	other := Chromium(t)
	w.account(other, "root")

	p := Chromium(t)
	p.Resize(deskWidth, deskHeight)
	p.tabThrough(w.issuer + "/sign-in")

	p.Open(w.issuer + "/account")
	p.Wait("location.pathname === '/sign-in' && document.activeElement.name === 'username'")
	p.Type("root")
	p.Press("Tab")
	p.Type(passphrase)
	p.Press("Enter")
	p.Arrive(w.issuer + "/account")

	for _, page := range []string{"/account", "/account/sessions", "/account/tokens/new", "/admin/users"} {
		p.tabThrough(w.issuer + page)
	}

	p.Open(w.issuer + "/account/tokens/new")
	p.tabTo("#name")
	p.Type("by keyboard")
	if !p.Has("input[name=service][value=shop]:checked") {
		p.tabTo("input[name=service][value=shop]")
		p.Press("Space")
	}
	p.tabTo("main form .actions button")
	p.Press("Enter")
	p.Wait("document.getElementById('secret')")
	secret := Value[string](p, "document.getElementById('secret').textContent.trim()")
	a := w.Ask(http.MethodGet, "shop", "/orders/1", "Authorization", "Bearer "+secret, "Host", "shop.example")
	if a.Status != http.StatusOK {
		t.Errorf("a request with the token = %d %s, want 200", a.Status, a.Code())
	}

	p.Open(w.issuer + "/account/sessions")
	p.tabTo("form[action^='/account/sessions/'] button")
	p.Press("Space")
	p.Wait("!document.querySelector(\"form[action^='/account/sessions/']\") && document.readyState === 'complete'")
	other.Open(w.issuer + "/account")
	other.Wait("location.pathname === '/sign-in'")

	p.Open(w.issuer + "/admin/users")
	p.tabTo("#search")
	p.Type("dia")
	p.Press("Enter")
	p.Wait("location.search.includes('search=dia') && document.readyState === 'complete'")
	if text := p.Text(); !strings.Contains(text, "diane") || strings.Contains(text, "bob") {
		t.Errorf("the search for dia shows %q, want diane and not bob", text)
	}
	w.clean(p)
}

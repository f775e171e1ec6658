package browser

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
)

// patience is how long anything in a browser may take. On a machine with much other work Firefox needs more than a
// minute to start.
const patience = 3 * time.Minute

// tab is what each browser does in its own way.
type tab interface {
	// open loads an address as if it were typed and waits until it is loaded.
	open(ctx context.Context, address string) error

	// evaluate runs an expression in the page, waits for its promise, and returns the value as JSON.
	evaluate(ctx context.Context, script string) (json.RawMessage, error)

	// click clicks at a point of the viewport, in CSS pixels.
	click(ctx context.Context, x, y float64) error

	// insert enters text where the focus is. Chromium inserts it as a password manager does;
	// Firefox types it.
	insert(ctx context.Context, text string) error

	// press presses a key by its name in UI Events, as in "Enter" and "Tab".
	press(ctx context.Context, key string) error

	// resize sets the size of the viewport, in CSS pixels.
	resize(ctx context.Context, width, height int) error

	// colors sets what the media feature prefers-color-scheme is: "light" or "dark".
	colors(ctx context.Context, scheme string) error

	// picture returns a PNG of the whole page.
	picture(ctx context.Context) ([]byte, error)

	// notices returns what the tab has seen since it was opened.
	notices() []notice
}

// notice is something that a tab has seen.
type notice struct {
	Kind string `json:"kind"` // "violation", "error", "request" or "failure"
	Text string `json:"text"`
}

// marker begins the console message with which watcher reports a violation.
const marker = "content-security-policy:"

// watcher runs in each document before its own scripts.
const watcher = `addEventListener('securitypolicyviolation', (e) => console.warn('` + marker + `' +
	[e.effectiveDirective, e.blockedURI || 'inline', 'in', e.documentURI].join(' ')), true)`

// Page is a tab in a browser context of its own. Its methods fail the test when the browser does; they
// are for the goroutine of the test.
type Page struct {
	t       testing.TB
	tab     tab
	browser string
}

// Browser returns the name of the browser: "chromium" or "firefox".
func (p *Page) Browser() string { return p.browser }

// Open loads an address as if it were typed, and waits until it is loaded.
func (p *Page) Open(address string) {
	p.t.Helper()
	p.do("open "+address, func(ctx context.Context) error { return p.tab.open(ctx, address) })
}

// Back goes one page back, as the button of the browser does. It does not wait: Wait does.
func (p *Page) Back() {
	p.t.Helper()
	p.Run("setTimeout(() => history.back())")
}

// Run runs a script once in the loaded page: until then, what the script needs may not be there. The value
// of its last expression is lost.
func (p *Page) Run(script string) {
	p.t.Helper()
	guarded := "(async () => { if (document.readyState !== 'complete') return false; " + script + "; return true })()"

	for began := false; !began; {
		p.Wait("document.readyState === 'complete'")
		p.do(script, func(ctx context.Context) error {
			text, err := p.tab.evaluate(ctx, guarded)
			if err != nil {
				return err
			}

			// Another page may have replaced the loaded one meanwhile.
			return json.Unmarshal(text, &began)
		})
	}
}

// Value returns the value of an expression in the loaded page, of a promise what it resolves to. When
// the page is replaced meanwhile, it is the value in the next one.
func Value[T any](p *Page, expression string) T {
	p.t.Helper()
	var found []T
	p.retry(expression, func(ctx context.Context) (bool, error) {
		// A page that is not loaded may have no body yet.
		err := p.value(ctx, "document.readyState === 'complete' ? [await ("+expression+")] : []", &found)
		return err == nil && len(found) == 1, err
	})

	return found[0]
}

func (p *Page) value(ctx context.Context, expression string, out any) error {
	text, err := p.tab.evaluate(ctx, "(async () => { const value = await ("+expression+
		"); return value === undefined ? null : value })()")
	if err != nil {
		return err
	}

	return json.Unmarshal(text, out)
}

// URL returns the address of the page.
func (p *Page) URL() string {
	p.t.Helper()
	return Value[string](p, "location.href")
}

// Text returns the text of the page as it is shown.
func (p *Page) Text() string {
	p.t.Helper()
	return Value[string](p, "document.body.innerText")
}

// Status returns the HTTP status of the page.
func (p *Page) Status() int {
	p.t.Helper()
	return Value[int](p, "performance.getEntriesByType('navigation')[0].responseStatus")
}

// Has reports whether an element is in the page.
func (p *Page) Has(selector string) bool {
	p.t.Helper()
	return Value[bool](p, "document.querySelector("+quote(selector)+") !== null")
}

// Wait waits until an expression is true in the page, whichever page that is by then.
func (p *Page) Wait(expression string) {
	p.t.Helper()
	p.retry(expression, func(ctx context.Context) (bool, error) {
		var met bool
		err := p.value(ctx, "Boolean("+expression+")", &met)

		return met, err
	})
}

// retry repeats a step until it reports true. An error is no end: while one page replaces another there
// is none to ask.
func (p *Page) retry(what string, step func(context.Context) (bool, error)) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), patience)
	defer cancel()

	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()

	for {
		done, err := step(ctx)
		if done {
			return
		}

		select {
		case <-tick.C:
		case <-ctx.Done():
			p.t.Fatalf("%s: waited %v for %s (%v)\n%s", p.browser, patience, what, err, p.state())
		}
	}
}

// Arrive waits until a loaded page has the address.
func (p *Page) Arrive(address string) {
	p.t.Helper()
	p.Wait("location.href === " + quote(address) + " && document.readyState === 'complete'")
}

// Reach is Arrive with any query.
func (p *Page) Reach(address string) {
	p.t.Helper()
	p.Wait("location.origin + location.pathname === " + quote(address) + " && document.readyState === 'complete'")
}

// state describes the page for a failure.
func (p *Page) state() string {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(p.t.Context()), patience)
	defer cancel()

	var text string
	err := p.value(ctx, "location.href + '\\n' + (document.body ? document.body.innerText : '')", &text)
	if err != nil {
		return err.Error()
	}

	return text
}

// middle returns the point of an element at which to click. The element must be shown, enabled and not
// covered by another.
const middle = `(() => {
	if (document.readyState !== 'complete') return 'the page is not loaded'
	const e = document.querySelector(%[1]s)
	if (!e) return 'no such element'
	e.scrollIntoView({block: 'center', inline: 'center', behavior: 'instant'})
	const r = e.getClientRects()[0]
	if (!r || !r.width || !r.height) return 'not shown'
	if (e.disabled) return 'disabled'
	const x = r.x + r.width / 2, y = r.y + r.height / 2
	const top = document.elementFromPoint(x, y)
	if (!top || !(e.contains(top) || top.contains(e) || (e.labels && [...e.labels].some((l) => l.contains(top)))))
		return 'covered by ' + (top ? top.outerHTML.slice(0, 200) : 'nothing')
	return [x, y]
})()`

// Click clicks on the first element that the selector finds, when it can be clicked. It does not wait for
// what comes of it.
func (p *Page) Click(selector string) {
	p.t.Helper()
	var point []float64
	p.retry("a place to click on "+selector, func(ctx context.Context) (bool, error) {
		var at json.RawMessage
		err := p.value(ctx, fmt.Sprintf(middle, quote(selector)), &at)
		if err != nil {
			return false, err
		}

		err = json.Unmarshal(at, &point)
		if err != nil {
			return false, fmt.Errorf("%s", at) // the reason
		}

		return len(point) == 2, nil
	})

	p.do("click on "+selector, func(ctx context.Context) error { return p.tab.click(ctx, point[0], point[1]) })
}

// Fill replaces the text of a field by clicking on it and entering text.
func (p *Page) Fill(selector, text string) {
	p.t.Helper()
	p.Click(selector)
	p.Run("const e = document.querySelector(" + quote(selector) + "); if (e.select) e.select()")
	p.do("fill "+selector, func(ctx context.Context) error { return p.tab.insert(ctx, text) })
}

// Press presses a key by its name in UI Events, as in "Enter" and "Tab".
func (p *Page) Press(key string) {
	p.t.Helper()
	p.do("press "+key, func(ctx context.Context) error { return p.tab.press(ctx, key) })
}

// Resize sets the size of the viewport, in CSS pixels.
func (p *Page) Resize(width, height int) {
	p.t.Helper()
	p.do("resize", func(ctx context.Context) error { return p.tab.resize(ctx, width, height) })
}

// Colors chooses the "light" or the "dark" colour scheme.
func (p *Page) Colors(scheme string) {
	p.t.Helper()
	p.do("colors", func(ctx context.Context) error { return p.tab.colors(ctx, scheme) })
}

// Violations returns the violations of content security policies in all pages of the tab.
func (p *Page) Violations() []string { return p.seen("violation") }

// Errors returns the errors that no script of a page caught.
func (p *Page) Errors() []string { return p.seen("error") }

// Requests returns the addresses that the tab has requested, without data: addresses.
func (p *Page) Requests() []string {
	var list []string
	for _, address := range p.seen("request") {
		if !strings.HasPrefix(address, "data:") {
			list = append(list, address)
		}
	}

	return list
}

func (p *Page) seen(kind string) []string {
	var list []string
	for _, n := range p.tab.notices() {
		if n.Kind == kind {
			list = append(list, n.Text)
		}
	}

	return list
}

// do runs a step in the browser and fails the test with what the page shows.
func (p *Page) do(what string, step func(context.Context) error) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), patience)
	defer cancel()

	err := step(ctx)
	if err != nil {
		p.t.Fatalf("%s: %s: %v\n%s", p.browser, what, err, p.state())
	}
}

// quote returns text as a literal of JavaScript.
func quote(text string) string {
	b, err := json.Marshal(text)
	if err != nil {
		return `""` // a string has no way to fail
	}

	return string(b)
}

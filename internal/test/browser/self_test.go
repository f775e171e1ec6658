package browser

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/jeton-auth/jeton/internal/test/need"
)

func TestMain(m *testing.M) {
	code := Main(m)

	err := postgres.Close()
	if err != nil {
		fmt.Fprintln(os.Stderr, "close the database:", err)
		code = max(code, 1)
	}

	os.Exit(code)
}

// each runs a test in every browser.
func each(t *testing.T, test func(t *testing.T, open func(testing.TB) *Page)) {
	t.Helper()

	for _, b := range []struct {
		name string
		open func(testing.TB) *Page
	}{
		{"chromium", Chromium},
		{"firefox", Firefox},
	} {
		t.Run(b.name, func(t *testing.T) { test(t, b.open) })
	}
}

// eachForm is each for pages that a browser only shows and fills in. Firefox does that in 'make soak'; in 'make test'
// it has the pages where browsers differ: in what they keep, send across sites, and send again.
func eachForm(t *testing.T, test func(t *testing.T, open func(testing.TB) *Page)) {
	t.Helper()

	if need.Soaking() {
		each(t, test)
		return
	}

	t.Run("chromium", func(t *testing.T) { test(t, Chromium) })
}

// sound is a page without a fault.
const sound = `<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>Sound</title><meta name="viewport" content="width=device-width"></head>
<body><main><h1>Sound</h1>%s</main></body>
</html>
`

// fixture serves pages with planted faults, in place of the pages that the tests are for.
func fixture(t *testing.T) string {
	t.Helper()
	mux := http.NewServeMux()
	page := func(path, cache, policy, body string) {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			w.Header().Set("Cache-Control", cache)
			w.Header().Set("Content-Security-Policy", policy)
			fmt.Fprintf(w, sound, body)
		})
	}

	// Firefox asks for /favicon.ico by itself, which img-src must allow.
	const strict = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'"
	page("/sound", "no-store", strict, "")
	page("/contrast", "no-store", "", `<p style="color: #999; background: #fff">Too pale to read</p>`)
	page("/violation", "no-store", strict, `<p style="color: #000">Styled inline</p>`)
	page("/error", "no-store", "", `<script>throw new Error('planted')</script>`)
	page("/order", "no-store", "", `<p><em>wrong</p></em>`)
	page("/kept", "no-cache, private", "", `<p>hello diane</p>`)
	page("/form", "no-store", "", `<form action="/sound"><label>Name <input name="name"></label>
		<button>Send</button> <button type="button" id="off" disabled>Off</button></form>`)

	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)

	return strings.Replace(s.URL, "127.0.0.1", "localhost", 1)
}

func TestAPageWithoutFaultPassesEachJudge(t *testing.T) {
	at := fixture(t)

	each(t, func(t *testing.T, open func(testing.TB) *Page) {
		p := open(t)
		p.Open(at + "/sound")

		for judge, found := range map[string][]string{
			"axe":    p.Accessibility(),
			"policy": p.Violations(),
			"errors": p.Errors(),
		} {
			if len(found) != 0 {
				t.Errorf("%s found %q on a page without fault, want nothing", judge, found)
			}
		}
	})
}

func TestPlantedFaultsAreFound(t *testing.T) {
	at := fixture(t)

	each(t, func(t *testing.T, open func(testing.TB) *Page) {
		for _, tc := range []struct {
			name string
			path string
			ask  func(*Page) []string
			want string
		}{
			{"text with too little contrast", "/contrast", (*Page).Accessibility, "color-contrast"},
			{"text with too little contrast, of the colours alone", "/contrast", (*Page).Contrast, "color-contrast"},
			{"an inline style", "/violation", (*Page).Violations, "style-src-attr inline"},
			{"an error in a script", "/error", (*Page).Errors, "planted"},
			{"a request", "/sound", (*Page).Requests, "/sound"},
		} {
			t.Run(tc.name, func(t *testing.T) {
				p := open(t)
				p.Open(at + tc.path)

				// A browser reports what it has blocked in an event, which may come after the page is loaded.
				wanted := func(line string) bool { return strings.Contains(line, tc.want) }
				await(t, tc.want, func() bool { return slices.ContainsFunc(tc.ask(p), wanted) })
			})
		}
	})
}

func TestMarkupIsJudgedAsItWasSent(t *testing.T) {
	at := fixture(t)
	p := Chromium(t)

	p.Open(at + "/sound")
	if got := Markup(t, p.HTML()); len(got) != 0 {
		t.Errorf("html-validate found %q on a page without fault, want nothing", got)
	}

	p.Open(at + "/order")
	if got := strings.Join(Markup(t, p.HTML()), "\n"); !strings.Contains(got, "close-order") {
		t.Errorf("html-validate found %q, want close-order", got)
	}
}

// TestBackShowsAKeptPage shows that both browsers keep pages for Back, without which a test that Back
// shows nothing proves nothing. Firefox does not keep a page that it leaves while it still loads the icon.
func TestBackShowsAKeptPage(t *testing.T) {
	at := fixture(t)

	each(t, func(t *testing.T, open func(testing.TB) *Page) {
		p := open(t)
		for range 10 {
			p.Open(at + "/kept")
			p.Run("window.kept = true")
			p.Open(at + "/sound")
			p.Back()
			p.Arrive(at + "/kept")

			if !strings.Contains(p.Text(), "hello diane") {
				t.Fatalf("Back shows %q, want hello diane", p.Text())
			}
			if Value[bool](p, "window.kept === true") {
				return
			}
		}

		t.Error("ten times Back loaded the page again, want it as it was kept")
	})
}

func TestInputIsReal(t *testing.T) {
	at := fixture(t)

	each(t, func(t *testing.T, open func(testing.TB) *Page) {
		p := open(t)
		p.Open(at + "/form")
		p.Run("window.trusted = []; for (const kind of ['click', 'input']) " +
			"addEventListener(kind, (e) => trusted.push(kind + e.isTrusted))")
		p.Fill("input", "diane")

		if got := Value[string](p, "trusted.join()"); !strings.HasPrefix(got, "clicktrue,inputtrue") {
			t.Errorf("filling in sent the events %q, want trusted ones: clicktrue,inputtrue", got)
		}

		p.Fill("input", "bob")
		p.Press("Enter")
		p.Arrive(at + "/sound?name=bob")
	})
}

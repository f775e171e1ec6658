package pages

import "net/http"

// policyCSP is the Content-Security-Policy of every page. Scripts and styles come from files of ours alone; images may
// also be drawn in the style sheet. Chromium applies form-action to where a form is redirected, too, so a sign-in ends
// at a page of ours that leads on (continue.go).
const policyCSP = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; " +
	"connect-src 'self'; base-uri 'none'; frame-ancestors 'none'; form-action 'self'"

// pageHeaders are the headers of every page. The values are shared by all responses, so that none allocates them.
var pageHeaders = []struct {
	name  string
	value []string
}{
	{"Content-Type", []string{"text/html; charset=utf-8"}},
	{"Content-Security-Policy", []string{policyCSP}},
	{"X-Content-Type-Options", []string{"nosniff"}},
	{"X-Frame-Options", []string{"DENY"}},
	{"Cross-Origin-Opener-Policy", []string{"same-origin"}},
	{"Cross-Origin-Resource-Policy", []string{"same-origin"}},

	// Without no-store, browsers show the page again after a logout, when the user goes back.
	{"Cache-Control", []string{"no-store"}},
}

// sameOriginReferrer is not no-referrer: under that, browsers send the forms of the page with Origin: null.
var sameOriginReferrer = []string{"same-origin"}

// setHeaders sets the headers of every page.
func setHeaders(h http.Header) {
	for _, header := range pageHeaders {
		h[header.name] = header.value
	}

	// A page with a secret in its address sets its own.
	if h.Get("Referrer-Policy") == "" {
		h["Referrer-Policy"] = sameOriginReferrer
	}
}

// hideAddress is for a page whose address is a secret that works once: what its links lead to, such as help on the same
// host, learns the origin alone. Browsers still name it in the header Origin of the forms of the page.
func hideAddress(w http.ResponseWriter) { w.Header().Set("Referrer-Policy", "strict-origin") }

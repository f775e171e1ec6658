package pages

import "net/http"

// policyCSP is the Content-Security-Policy of every page. Scripts and styles come from files of ours alone; images may
// also be drawn in the style sheet. Chromium applies form-action to where a form is redirected, too, so a sign-in ends
// at a page of ours that leads on (continue.go).
const policyCSP = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; " +
	"connect-src 'self'; base-uri 'none'; frame-ancestors 'none'; form-action 'self'"

// setHeaders sets the headers of every page.
func setHeaders(h http.Header) {
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", policyCSP)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")

	// Without no-store, browsers show the page again after a logout, when the user goes back.
	h.Set("Cache-Control", "no-store")

	// Not no-referrer: under it, browsers send the forms of the page with Origin: null. A page with a secret in its
	// address sets its own.
	if h.Get("Referrer-Policy") == "" {
		h.Set("Referrer-Policy", "same-origin")
	}
}

// hideAddress is for a page whose address is a secret that works once: what its links lead to, such as help on the same
// host, learns the origin alone. Browsers still name it in the header Origin of the forms of the page.
func hideAddress(w http.ResponseWriter) { w.Header().Set("Referrer-Policy", "strict-origin") }

package pages

import (
	"net/http"
	"strings"
)

// contentPolicy is the header Content-Security-Policy.
const contentPolicy = "Content-Security-Policy"

// ownImages is the part of policyCSP that is about images.
const ownImages = "img-src 'self' data:"

// policyCSP is the Content-Security-Policy of every page. Scripts and styles come from files of ours alone; images may
// also be drawn in the style sheet. Chromium applies form-action to where a form is redirected, too, so a sign-in ends
// at a page of ours that leads on (continue.go).
const policyCSP = "default-src 'none'; script-src 'self'; style-src 'self'; " + ownImages + "; " +
	"connect-src 'self'; base-uri 'none'; frame-ancestors 'none'; form-action 'self'"

// pageHeaders are headers of every page. The values are shared by all responses, so that none allocates them.
var pageHeaders = []struct {
	name  string
	value []string
}{
	{"Content-Type", []string{"text/html; charset=utf-8"}},
	{contentPolicy, []string{policyCSP}},
	{"X-Content-Type-Options", []string{"nosniff"}},
	{"X-Frame-Options", []string{"DENY"}},

	// Without no-store, browsers show the page again after a logout, when the user goes back.
	{"Cache-Control", []string{"no-store"}},
}

// sameOrigin is the value of Cross-Origin-Opener-Policy and Cross-Origin-Resource-Policy.
var sameOrigin = []string{"same-origin"}

// sameOriginReferrer is not no-referrer: under that, browsers send the forms of the page with Origin: null.
var sameOriginReferrer = []string{"same-origin"}

// setHeaders sets the headers of a page of a section. A relying party may open the sign-in in a window of its own, and
// would lose it if the page were cut off from its opener.
func setHeaders(h http.Header, section string) {
	setBareHeaders(h)
	h["Cross-Origin-Resource-Policy"] = sameOrigin
	if section != sectionSignIn {
		h["Cross-Origin-Opener-Policy"] = sameOrigin
	}
}

// setBareHeaders sets the headers of a page that is the same for every stranger, which no other site can learn anything
// from. With all of net/http's and ours they are eight: a map of Go costs twice as much with nine.
func setBareHeaders(h http.Header) {
	for _, header := range pageHeaders {
		// The page after a sign-out also loads images of the services, and has said so.
		if header.name != contentPolicy || h[contentPolicy] == nil {
			h[header.name] = header.value
		}
	}

	// A page with a secret in its address sets its own.
	if h.Get("Referrer-Policy") == "" {
		h["Referrer-Policy"] = sameOriginReferrer
	}
}

// allowImages lets a page load images from other addresses.
func allowImages(w http.ResponseWriter, addresses []string) {
	allowed := ownImages + " " + strings.Join(addresses, " ")
	w.Header().Set(contentPolicy, strings.Replace(policyCSP, ownImages, allowed, 1))
}

// hideAddress is for a page whose address is a secret that works once: what its links lead to, such as help on the same
// host, learns the origin alone. Browsers still name it in the header Origin of the forms of the page.
func hideAddress(w http.ResponseWriter) { w.Header().Set("Referrer-Policy", "strict-origin") }

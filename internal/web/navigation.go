package web

import (
	"net/http"
	"strings"
)

// Visit is what a browser does with the response to a request, and so which refusal helps the user.
type Visit int

// The kinds of request.
const (
	// Program: a script, a tool, an image, a WebSocket, or a page that is fetched before the user asks for it.
	// It gets a status: there is no user who would see a page.
	Program Visit = iota
	// Page: the response becomes the page that the user sees. It may be a redirect to another site.
	Page
	// Frame: the response becomes a page inside another page. A sign-in page refuses to be there.
	Frame
	// Form: the response becomes the page that the user sees, and the request has a body or an effect. A redirect
	// would lose both, and a replay could repeat the effect.
	Form
	// Fragment: htmx puts the response into the page. It follows the header HX-Redirect.
	Fragment
)

// Navigation returns what a browser does with the response to a request. It believes Fetch Metadata, which no script
// can set. Browsers send none over plain HTTP, and old ones never do: then headers of scripts and tools decide.
func Navigation(r *http.Request) Visit {
	h := r.Header
	switch {
	case Prefetches(h), h.Get("Upgrade") != "":
		return Program
	case strings.EqualFold(h.Get("HX-Request"), "true"):
		return Fragment
	case !navigates(h):
		return Program
	}

	switch h.Get("Sec-Fetch-Dest") {
	case "iframe", "frame", "embed", "object", "fencedframe":
		return Frame
	}

	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		return Page
	}

	return Form
}

// navigates reports whether the response is to be a page.
func navigates(h http.Header) bool {
	mode, dest := h.Values("Sec-Fetch-Mode"), h.Values("Sec-Fetch-Dest")
	if len(mode) > 0 || len(dest) > 0 || h.Get("Sec-Fetch-Site") != "" {
		return len(mode) == 1 && mode[0] == "navigate" && len(dest) == 1 && isPageDest(dest[0])
	}

	return h.Get("X-Requested-With") == "" && acceptsHTML(h)
}

// isPageDest reports whether a Sec-Fetch-Dest is of a page, in a tab or inside another page.
func isPageDest(dest string) bool {
	switch dest {
	case "document", "iframe", "frame", "embed", "object", "fencedframe":
		return true
	}
	return false
}

// Prefetches reports whether a browser fetches a page that the user has not asked for yet. A speculation rule fetches
// it as a navigation, so this is looked at first. The other names are those of browsers before the standard.
func Prefetches(h http.Header) bool {
	for _, name := range [...]string{"Sec-Purpose", "Purpose", "X-Purpose", "X-Moz"} {
		if len(h.Values(name)) > 0 {
			return true
		}
	}
	return false
}

// acceptsHTML reports whether the header Accept names text/html and does not exclude it.
func acceptsHTML(h http.Header) bool {
	for _, line := range h.Values("Accept") {
		for item := range strings.SplitSeq(line, ",") {
			media, params, _ := strings.Cut(item, ";")
			if !strings.EqualFold(strings.Trim(media, " \t"), "text/html") {
				continue
			}

			q := strings.ReplaceAll(strings.ToLower(params), " ", "")
			return q != "q=0" && q != "q=0.0" && q != "q=0.00" && q != "q=0.000"
		}
	}

	return false
}

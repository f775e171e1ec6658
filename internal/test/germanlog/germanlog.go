// Package germanlog reads the audit log of a server in German, as its pages show it, so that no event, reason or check
// is without a message.
package germanlog

import (
	"html"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"testing"

	"github.com/jeton-auth/jeton/jetontest"
)

var (
	// english matches what a German page has in English: a reason, or the value of a check.
	english = regexp.MustCompile(`<(?:span|span class="value"|p class="reason") lang="en">([^<]+)`)
	next    = regexp.MustCompile(`href="([^"]+)" rel="next"`)
	explain = regexp.MustCompile(`href="(/admin/explain[^"]+)"`)
)

// Read fails the test for every text of the audit log that the pages have in English alone. get loads a page of the
// issuer as an admin. It returns how many pages it has read, with those of further requests.
func Read(t *testing.T, get func(path string) jetontest.Answer, requests ...string) int {
	t.Helper()
	r := reader{t, get, map[string]bool{}, map[string]bool{}}

	for _, id := range requests {
		r.read("/admin/explain?id=" + url.QueryEscape(id) + "&lang=de")
	}

	path := "/admin/audit?lang=de"
	for path != "" {
		body := r.read(path)
		for _, m := range explain.FindAllStringSubmatch(body, -1) {
			to := html.UnescapeString(m[1]) + "&lang=de"
			if !r.pages[to] {
				r.read(to)
			}
		}

		path = ""
		m := next.FindStringSubmatch(body)
		if m != nil {
			path = html.UnescapeString(m[1]) + "&lang=de"
		}
	}

	for _, text := range slices.Sorted(maps.Keys(r.found)) {
		t.Errorf("a German page of the audit log has in English: %s", text)
	}

	return len(r.pages)
}

// reader reads pages.
type reader struct {
	t     *testing.T
	get   func(path string) jetontest.Answer
	found map[string]bool // texts in English
	pages map[string]bool // that were read
}

// read returns a page, and notes what is in English.
func (r *reader) read(path string) string {
	r.t.Helper()
	a := r.get(path)
	if a.Status != http.StatusOK {
		r.t.Fatalf("GET %s = %d %s, want 200", path, a.Status, a.Body)
	}

	for _, m := range english.FindAllStringSubmatch(a.Body, -1) {
		r.found[html.UnescapeString(m[1])] = true
	}
	r.pages[path] = true

	return a.Body
}

package web_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/jeton-auth/jeton/internal/web"
)

// html is the Accept of a browser that loads a page.
const html = "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"

func TestNavigation(t *testing.T) {
	const navigate, document = "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document"

	for _, tc := range []struct {
		name, method string
		headers      []string
		want         web.Visit
	}{
		{"a link", "GET", []string{navigate, document, "Sec-Fetch-User: ?1", html}, web.Page},
		{"a link, asked for by HEAD", "HEAD", []string{navigate, document, html}, web.Page},
		{
			"a form with GET in a page of another site", "GET",
			[]string{navigate, document, "Sec-Fetch-Site: cross-site"},
			web.Page,
		},
		{"a browser over plain HTTP", "GET", []string{html}, web.Page},
		{
			"a browser that prefers something else", "GET",
			[]string{"Accept: application/json, Text/HTML ; q=0.5"},
			web.Page,
		},

		{"a form", "POST", []string{navigate, document, html}, web.Form},
		{"a form over plain HTTP", "POST", []string{html}, web.Form},

		{"an iframe", "GET", []string{navigate, "Sec-Fetch-Dest: iframe", html}, web.Frame},
		{"a form in an iframe", "POST", []string{navigate, "Sec-Fetch-Dest: iframe", html}, web.Frame},
		{"an object", "GET", []string{navigate, "Sec-Fetch-Dest: object", html}, web.Frame},

		{
			"htmx", "GET",
			[]string{"Sec-Fetch-Mode: same-origin", "Sec-Fetch-Dest: empty", "HX-Request: true", "Accept: text/html"},
			web.Fragment,
		},
		{"htmx over plain HTTP", "POST", []string{"HX-Request: true", "Accept: text/html"}, web.Fragment},

		{"fetch", "GET", []string{"Sec-Fetch-Mode: cors", "Sec-Fetch-Dest: empty", "Accept: */*"}, web.Program},
		{
			"fetch that accepts pages", "GET",
			[]string{"Sec-Fetch-Mode: cors", "Sec-Fetch-Dest: empty", html},
			web.Program,
		},
		{
			"an image", "GET",
			[]string{"Sec-Fetch-Mode: no-cors", "Sec-Fetch-Dest: image", "Accept: image/*"},
			web.Program,
		},
		{"EventSource over plain HTTP", "GET", []string{"Accept: text/event-stream"}, web.Program},
		{"jQuery over plain HTTP", "GET", []string{html, "X-Requested-With: XMLHttpRequest"}, web.Program},
		{
			"prefetch by a link", "GET",
			[]string{"Sec-Fetch-Mode: no-cors", "Sec-Fetch-Dest: empty", "Sec-Purpose: prefetch", html},
			web.Program,
		},
		{
			"prefetch by a speculation rule", "GET",
			[]string{navigate, document, "Sec-Purpose: prefetch", html},
			web.Program,
		},
		{"prerender", "GET", []string{navigate, document, "Sec-Purpose: prefetch;prerender", html}, web.Program},
		{
			"prerender of a page with htmx", "GET",
			[]string{navigate, document, "Sec-Purpose: prefetch;prerender", "HX-Request: true"},
			web.Program,
		},
		{"prefetch of an older browser", "GET", []string{"Purpose: prefetch", html}, web.Program},
		{"a WebSocket of Chromium", "GET", []string{"Upgrade: websocket", "Connection: Upgrade"}, web.Program},
		{
			"a WebSocket of Firefox", "GET",
			[]string{"Upgrade: websocket", "Sec-Fetch-Mode: websocket", "Sec-Fetch-Dest: empty"},
			web.Program,
		},
		{"curl", "GET", []string{"Accept: */*", "User-Agent: curl/8.5.0"}, web.Program},
		{"git", "GET", []string{"Accept: */*", "Git-Protocol: version=2"}, web.Program},
		{"a client without Accept", "GET", nil, web.Program},
		{"a client that refuses pages", "GET", []string{"Accept: application/json, text/html;q=0"}, web.Program},
		{"a navigation to nowhere known", "GET", []string{navigate, "Sec-Fetch-Dest: empty", html}, web.Program},
		{"Fetch Metadata of which half is missing", "GET", []string{navigate, html}, web.Program},
		{"two modes", "GET", []string{navigate, "Sec-Fetch-Mode: cors", document, html}, web.Program},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := httptest.NewRequest(tc.method, "http://app.example/", http.NoBody)
			for _, line := range tc.headers {
				name, value, _ := strings.Cut(line, ": ")
				r.Header.Add(name, value)
			}

			if got := web.Navigation(r); got != tc.want {
				t.Errorf("Navigation of %s with %q = %d, want %d", tc.method, tc.headers, got, tc.want)
			}
		})
	}
}

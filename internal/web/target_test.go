package web_test

import (
	"errors"
	"net/http"
	"net/url"
	"testing"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/web"
)

func TestCheckTarget(t *testing.T) {
	for _, tc := range []struct {
		name, method, path, query string
		ok                        bool
	}{
		{"an ordinary request", "GET", "/a", "b=c;d&e=%zz", true},
		{"a method of its own", "X-PURGE", "/a", "", true},
		{"no method", "", "/a", "", false},
		{"a space in the method", "GET /", "/a", "", false},
		{"a letter that is not ASCII", "GÉT", "/a", "", false},
		{"a space in the path", "GET", "/a b", "", false},
		{"a fragment in the path", "GET", "/a#b", "", false},
		{"a tab in the query", "GET", "/a", "b\tc", false},
		{"a fragment in the query", "GET", "/a", "b#c", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := &http.Request{Method: tc.method, URL: &url.URL{Path: tc.path, RawPath: tc.path, RawQuery: tc.query}}
			err := web.CheckTarget(r)
			if (err == nil) != tc.ok || err != nil && !errors.Is(err, jeton.ErrInvalid) {
				t.Errorf("CheckTarget(%q, %q, %q) = %v, want accepted: %t", tc.method, tc.path, tc.query, err, tc.ok)
			}
		})
	}
}

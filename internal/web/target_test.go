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

func TestCheckTargetOfAnAbsoluteTarget(t *testing.T) {
	const host = "shop.example"
	type request struct {
		target string
		major  int // version of HTTP
	}

	for _, tc := range []struct {
		name string
		request
		ok bool
	}{
		{"the host of the request", request{"https://shop.example/a", 1}, true},
		{"another host", request{"https://evil.example/a", 1}, false},
		{"no host", request{"https:/a", 1}, false},
		{"the host of the request, by HTTP/2", request{"https://shop.example/a", 2}, false},
		{"a scheme alone, by HTTP/2", request{"x:y", 2}, false},
		{"a path, by HTTP/2", request{"/a", 2}, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			u, err := url.ParseRequestURI(tc.target)
			if err != nil {
				t.Fatal(err)
			}

			r := &http.Request{Method: "GET", Host: host, URL: u}
			r.ProtoMajor = tc.major
			err = web.CheckTarget(r)
			if (err == nil) != tc.ok || err != nil && !errors.Is(err, jeton.ErrInvalid) {
				t.Errorf("CheckTarget(%q) for %q = %v, want accepted: %t", tc.target, host, err, tc.ok)
			}
		})
	}
}

func TestCheckTargetOfAHost(t *testing.T) {
	for _, tc := range []struct {
		name, host string
		ok         bool
	}{
		{"a name", "Shop.example.org", true},
		{"a name with a port", "shop.example.org:8443", true},
		{"a name with an empty port", "shop.example.org:", true},
		{"a name of a container", "shop_1", true},
		{"an address", "192.0.2.7:80", true},
		{"an IPv6 address", "[2001:db8::1]:80", true},
		{"no host", "", true},
		{"a name in place of the port", "shop.example.org:evil.example", false},
		{"a port that does not exist", "shop.example.org:99999", false},
		{"an encoded character", "shop.example.org%40evil.example", false},
		{"two names", "shop.example.org,evil.example", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			err := web.CheckTarget(&http.Request{Method: "GET", Host: tc.host, URL: &url.URL{Path: "/"}})
			if (err == nil) != tc.ok || err != nil && !errors.Is(err, jeton.ErrInvalid) {
				t.Errorf("CheckTarget of host %q = %v, want accepted: %t", tc.host, err, tc.ok)
			}
		})
	}
}

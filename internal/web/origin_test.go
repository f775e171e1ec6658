package web_test

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/jeton-auth/jeton/internal/web"
)

func TestOriginOfARequest(t *testing.T) {
	proxies := web.Proxies{netip.MustParsePrefix("192.0.2.0/24")}

	for _, tc := range []struct {
		name    string
		peer    string
		tls     bool
		host    string
		headers string // name and value, separated by a colon, one a line
		want    web.Origin
	}{
		{
			"without TLS",
			"198.51.100.1:1",
			false,
			"app.example:8080",
			"",
			web.Origin{Scheme: "http", Host: "app.example:8080", Port: "8080"},
		},
		{
			"with TLS, in upper case, with the usual port",
			"198.51.100.1:1",
			true,
			"APP.example:443",
			"",
			web.Origin{Scheme: "https", Host: "app.example", Port: "443"},
		},
		{
			"a peer that is not trusted",
			"198.51.100.1:1",
			false,
			"app.example",
			"X-Forwarded-Proto:https\nX-Forwarded-Host:evil.example\nX-Forwarded-Port:1\nX-Forwarded-Prefix:/evil",
			web.Origin{Scheme: "http", Host: "app.example", Port: "80"},
		},
		{
			"a trusted proxy",
			"192.0.2.1:1",
			false,
			"10.0.0.1:8080",
			"X-Forwarded-Proto:HTTPS\nX-Forwarded-Host:app.example\nX-Forwarded-Prefix:/app/",
			web.Origin{
				Scheme: "https",
				Host:   "app.example",
				Port:   "443",
				Prefix: "/app",
			},
		},
		{
			"a load balancer with a port",
			"192.0.2.1:1",
			false,
			"app.example",
			"X-Forwarded-Proto:https\nX-Forwarded-Port:8443",
			web.Origin{Scheme: "https", Host: "app.example:8443", Port: "8443"},
		},
		{
			"a port beside a host that has one",
			"192.0.2.1:1",
			false,
			"app.example:8444",
			"X-Forwarded-Proto:https\nX-Forwarded-Port:443",
			web.Origin{Scheme: "https", Host: "app.example:8444", Port: "8444"},
		},
		{
			"lists, of which the client made the first value",
			"192.0.2.1:1",
			false,
			"a.example",
			"X-Forwarded-Proto:http, https\nX-Forwarded-Host:evil.example,app.example",
			web.Origin{Scheme: "https", Host: "app.example", Port: "443"},
		},
		{
			"IPv6",
			"[::ffff:192.0.2.1]:1",
			true,
			"[2001:DB8::1]:8443",
			"",
			web.Origin{Scheme: "https", Host: "[2001:db8::1]:8443", Port: "8443"},
		},
		{
			"invalid values",
			"192.0.2.1:1",
			true,
			"app.example",
			"X-Forwarded-Proto:wss\nX-Forwarded-Host:a b/@c\nX-Forwarded-Port:99999\nX-Forwarded-Prefix://evil.example",
			web.Origin{Scheme: "https", Host: "app.example", Port: "443"},
		},
		{
			"a prefix with a parent",
			"192.0.2.1:1",
			true,
			"app.example",
			"X-Forwarded-Prefix:/a/../b",
			web.Origin{Scheme: "https", Host: "app.example", Port: "443"},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := httptest.NewRequest("GET", "/", nil)
			r.RemoteAddr, r.Host = tc.peer, tc.host
			if tc.tls {
				r.TLS = &tls.ConnectionState{}
			}
			for line := range strings.SplitSeq(tc.headers, "\n") {
				name, value, _ := strings.Cut(line, ":")
				r.Header.Add(name, value)
			}

			if got := proxies.Origin(r); got != tc.want {
				t.Errorf("Origin = %+v, want %+v", got, tc.want)
			}
		})
	}
}

func TestOtherSites(t *testing.T) {
	for _, tc := range []struct {
		name, host, public, site, origin string
		refused                          bool
	}{
		{"no browser", "app.example", "https://app.example", "", "", false},
		{"our page", "app.example", "https://app.example", "same-origin", "https://app.example", false},
		{"our page, an older browser", "app.example", "https://app.example", "", "https://app.example", false},
		{"the usual port", "app.example:443", "https://app.example", "", "https://app.example", false},
		{"upper case", "APP.Example", "https://app.example", "", "https://app.example", false},
		{"another port", "app.example:8443", "https://app.example:8443", "", "https://app.example", true},
		{"behind a trusted proxy", "10.0.0.1:80", "https://app.example", "", "https://app.example", false},
		{"behind a proxy that is not trusted", "app.example", "http://app.example", "", "https://app.example", false},
		{"a page without TLS", "app.example", "https://app.example", "", "http://app.example", true},
		{"another host", "app.example", "https://app.example", "", "https://evil.example", true},
		{"another site", "app.example", "https://app.example", "cross-site", "https://app.example", true},
		{"a neighbour", "app.example", "https://app.example", "same-site", "", true},
		{"no origin", "app.example", "https://app.example", "", "null", true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := httptest.NewRequest("POST", "/", nil)
			r.Host = tc.host
			for name, value := range map[string]string{"Sec-Fetch-Site": tc.site, "Origin": tc.origin} {
				if value != "" {
					r.Header.Set(name, value)
				}
			}

			scheme, host, _ := strings.Cut(tc.public, "://")
			w := &web.Reply{Origin: web.Origin{Scheme: scheme, Host: host}}

			if err := web.SameOrigin(w, r); (err != nil) != tc.refused {
				t.Errorf("SameOrigin = %v, want refused %t", err, tc.refused)
			}

			r.Method = http.MethodGet
			if err := web.SameOrigin(w, r); err != nil {
				t.Errorf("SameOrigin of GET = %v, want nil", err)
			}
		})
	}
}

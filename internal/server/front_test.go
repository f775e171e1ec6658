package server

import (
	"bytes"
	"crypto/tls"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/web"
)

// frontOf returns the front of a listener with one service, whose only route is open.
func frontOf(t *testing.T, at endpoint) *front {
	t.Helper()

	d, err := newMux(mux{name: "shop", metrics: newMetrics("test", nil)}, []web.Route{{
		Pattern: "GET /x",
		Access:  policy.Open,
		Handle: func(w *web.Reply, _ *http.Request) error {
			w.WriteHeader(http.StatusOK)
			return nil
		},
	}})
	if err != nil {
		t.Fatal(err)
	}

	f := &front{
		now:     time.Now,
		proxies: web.Proxies{netip.MustParsePrefix("192.0.2.1/32")},
		hsts:    []string{"max-age=60"},
	}
	at.serve(f, d)

	return f
}

func TestAServiceAnswersItsOwnHostNames(t *testing.T) {
	loopback := endpoint{listen: "127.0.0.1:8443"}
	public := endpoint{listen: ":8443"}
	withHosts := endpoint{listen: ":8443", hosts: []string{"Shop.example.org"}}
	withHost := endpoint{listen: ":8443", host: "shop.example.org", hosts: []string{"www.example.org"}}
	named := endpoint{listen: "box.example.org:8443"}

	for _, tc := range []struct {
		name string
		at   endpoint
		host string
		want int
	}{
		{"loopback by localhost", loopback, "localhost:8443", 200},
		{"loopback by a name below localhost", loopback, "shop.localhost:8443", 200},
		{"loopback by an address", loopback, "127.0.0.1:8443", 200},
		{"loopback by an IPv6 address", loopback, "[::1]:8443", 200},
		{"loopback without the header", loopback, "", 200},
		{"loopback by a name of another site", loopback, "rebound.example.com:8443", 421},
		{"loopback by a name that only looks like localhost", loopback, "notlocalhost", 421},
		{"localhost by a name of another site", endpoint{listen: "localhost:8443"}, "rebound.example.com", 421},
		{"every address by any name", public, "shop.example.org", 200},
		{"hosts by the name", withHosts, "shop.example.org:443", 200},
		{"hosts by the name with a dot at its end", withHosts, "SHOP.example.org.", 200},
		{"hosts by another name", withHosts, "other.example.org", 421},
		{"hosts by an address", withHosts, "192.0.2.7", 200},
		{"host by the name", withHost, "shop.example.org", 200},
		{"host by a further name", withHost, "www.example.org", 200},
		{"host by another name", withHost, "other.example.org", 421},
		{"a name in listen", named, "box.example.org:8443", 200},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := httptest.NewRequest("GET", "/x", nil)
			r.Host = tc.host
			w := httptest.NewRecorder()
			frontOf(t, tc.at).ServeHTTP(w, r)

			if w.Code != tc.want {
				t.Errorf("GET /x of host %q = %d, want %d", tc.host, w.Code, tc.want)
			}
		})
	}
}

// TestAForwardedHostDoesNotLeadToAnotherService sends requests through a trusted proxy. Many proxies check Host
// and pass the X-Forwarded-Host of the client, who must not reach a service that the proxy keeps from it.
func TestAForwardedHostDoesNotLeadToAnotherService(t *testing.T) {
	for _, tc := range []struct {
		name      string
		host      string
		forwarded string
		want      int
	}{
		{"the proxy passes Host", "shop.example.org", "", 200},
		{"the proxy replaces Host", "jeton.internal:8443", "shop.example.org", 200},
		{"both name the service", "shop.example.org", "SHOP.example.org:443", 200},
		{"two names of the service", "shop.example.org", "www.example.org", 200},
		{"another service", "shop.example.org", "payments.example.org", 421},
		{"another service, by a name of this machine", "shop.example.org", "localhost", 421},
		{"no service", "shop.example.org", "rebound.example.com", 421},
		{"the proxy sends an address as Host", "192.0.2.7:8443", "shop.example.org", 200},
		{"the proxy sends a name without a dot as Host", "jeton:8443", "shop.example.org", 200},
		{"a browser on the proxy's machine, by a name of another site", "rebound.example.com", "shop.example.org", 421},
		{"the same, by a name of this machine", "rebound.example.com:8443", "localhost", 421},
		{"a name that only looks private", "local", "shop.example.org", 200},
		{"a name below a public domain", "shop.local.example.com", "shop.example.org", 421},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := frontOf(t, endpoint{listen: ":8443", host: "shop.example.org", hosts: []string{"www.example.org"}})
			other := frontOf(t, endpoint{listen: ":8443"}).only.service
			f.add("payments.example.org", other)
			f.add("", other)

			r := httptest.NewRequest("GET", "/x", nil)
			r.Host, r.RemoteAddr = tc.host, "192.0.2.1:1234"
			if tc.forwarded != "" {
				r.Header.Set("X-Forwarded-Host", tc.forwarded)
			}
			w := httptest.NewRecorder()
			f.ServeHTTP(w, r)

			if w.Code != tc.want {
				t.Errorf("GET /x of %q forwarded for %q = %d, want %d", tc.host, tc.forwarded, w.Code, tc.want)
			}
		})
	}
}

// TestAdviceForTheOperatorIsInTheLogOnly sends requests that a listener refuses before it knows the service.
func TestAdviceForTheOperatorIsInTheLogOnly(t *testing.T) {
	for _, tc := range []struct {
		name      string
		host      string
		forwarded string
		peer      string
		code      string
		advice    string
	}{
		{
			"a host name of no service",
			"other.example.org",
			"",
			"192.0.2.9:1",
			"misdirected_request",
			"hosts of the service",
		},
		{
			"two services",
			"shop.example.org",
			"payments.example.org",
			"192.0.2.1:1",
			"misdirected_request",
			"let the proxy set or remove",
		},
		{
			"a proxy that sends another Host",
			"front.example.com",
			"shop.example.org",
			"192.0.2.1:1",
			"misdirected_request",
			"let the proxy send as Host",
		},
		{"an address that admin.allow does not have", "localhost", "", "192.0.2.9:1", "forbidden", "admin.allow"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := frontOf(t, endpoint{listen: ":8443", host: "shop.example.org"})
			f.add("payments.example.org", frontOf(t, endpoint{listen: ":8443"}).only.service)
			f.thisAlone = tc.code == "forbidden"
			var log bytes.Buffer
			f.log, f.refusals = slog.New(slog.NewTextHandler(&log, nil)), frontRefusals()

			r := httptest.NewRequest("GET", "/x", nil)
			r.Host, r.RemoteAddr = tc.host, tc.peer
			if tc.forwarded != "" {
				r.Header.Set("X-Forwarded-Host", tc.forwarded)
			}

			for range 25 {
				w := httptest.NewRecorder()
				f.ServeHTTP(w, r)
				body := w.Body.String()

				got := w.Header().Get("Jeton-Error")
				if got != tc.code || strings.Contains(body, tc.advice) || strings.Contains(body, "detail") {
					t.Fatalf("refused with %q and body %s, want %s without advice", got, body, tc.code)
				}
			}

			lines := strings.Count(log.String(), tc.advice)
			if lines != 10 || !strings.Contains(log.String(), "host="+tc.host) {
				t.Errorf("%d lines with %q and the host for 25 requests, want 10:\n%s", lines, tc.advice, &log)
			}
		})
	}
}

func TestHSTSIsSentOverTLSThatCanBeChecked(t *testing.T) {
	for _, tc := range []struct {
		name       string
		tls        bool
		selfSigned bool
		peer       string
		proto      string
		want       string
	}{
		{"TLS", true, false, "198.51.100.7:1", "", "max-age=60"},
		{"TLS with a self-signed certificate", true, true, "198.51.100.7:1", "", ""},
		{"plain HTTP", false, false, "198.51.100.7:1", "", ""},
		{"plain HTTP that claims to be TLS", false, false, "198.51.100.7:1", "https", ""},
		{"a trusted proxy with TLS", false, false, "192.0.2.1:1", "https", "max-age=60"},
		{"a proxy behind a trusted proxy", false, false, "192.0.2.1:1", "http, https", "max-age=60"},
		{"a trusted proxy, over TLS of its own", true, true, "192.0.2.1:1", "https", "max-age=60"},
		{"a trusted proxy without TLS", false, false, "192.0.2.1:1", "http", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := frontOf(t, endpoint{listen: ":8443"})
			f.weakTLS = tc.selfSigned

			for path, status := range map[string]int{"/x": 200, "/absent": 404} {
				r := httptest.NewRequest("GET", path, nil)
				r.RemoteAddr = tc.peer
				if tc.tls {
					r.TLS = &tls.ConnectionState{}
				}
				if tc.proto != "" {
					r.Header.Set("X-Forwarded-Proto", tc.proto)
				}

				w := httptest.NewRecorder()
				f.ServeHTTP(w, r)

				got := w.Header().Get("Strict-Transport-Security")
				if got != tc.want || w.Code != status {
					t.Errorf("%s = %d with %q, want %d with %q", path, w.Code, got, status, tc.want)
				}
			}
		})
	}
}

func TestTheAdminListenerAnswersAllowedMachines(t *testing.T) {
	networks := web.Proxies{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::/32")}

	for _, tc := range []struct {
		name  string
		allow web.Proxies
		peer  string
		want  int
	}{
		{"this machine", nil, "127.0.0.1:1", 200},
		{"this machine over IPv6", nil, "[::1]:1", 200},
		{"this machine with allow", networks, "127.0.0.1:1", 200},
		{"another machine without allow", nil, "192.0.2.7:1", 403},
		{"a machine in a network", networks, "192.0.2.7:1", 200},
		{"a machine in a network, on a dual-stack listener", networks, "[::ffff:192.0.2.7]:1", 200},
		{"a machine in an IPv6 network", networks, "[2001:db8::7]:1", 200},
		{"a machine beside the networks", networks, "192.0.3.7:1", 403},
		{"a peer without an address", networks, "@", 403},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := frontOf(t, endpoint{listen: ":9180"})
			f.thisAlone, f.allow = true, tc.allow

			r := httptest.NewRequest("GET", "/x", nil)
			r.RemoteAddr = tc.peer
			r.Header.Set("X-Forwarded-For", "192.0.2.7")
			w := httptest.NewRecorder()
			f.ServeHTTP(w, r)

			if w.Code != tc.want {
				t.Errorf("GET /x from %s = %d, want %d", tc.peer, w.Code, tc.want)
			}
		})
	}
}

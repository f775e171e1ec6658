package web_test

import (
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/web"
)

func TestSource(t *testing.T) {
	trusted := web.Proxies{
		netip.MustParsePrefix("127.0.0.1/32"),
		netip.MustParsePrefix("10.0.0.0/8"),
		netip.MustParsePrefix("2001:db8:1::/48"),
	}

	for _, tc := range []struct {
		name    string
		proxies web.Proxies
		peer    string
		header  []string
		want    string
	}{
		{"no proxy is trusted by default", nil, "127.0.0.1:1", []string{"1.1.1.1"}, "127.0.0.1"},
		{"an untrusted peer", trusted, "203.0.113.1:1", []string{"1.1.1.1"}, "203.0.113.1"},
		{"a trusted proxy", trusted, "10.1.1.1:1", []string{"1.1.1.1"}, "1.1.1.1"},
		{"a proxy without the header", trusted, "10.1.1.1:1", nil, "10.1.1.1"},
		{"a proxy with an empty header", trusted, "10.1.1.1:1", []string{""}, "10.1.1.1"},
		{
			"the nearest untrusted address counts",
			trusted,
			"10.1.1.1:1",
			[]string{"9.9.9.9, 1.1.1.1, 10.2.2.2"},
			"1.1.1.1",
		},
		{"several lines are one list", trusted, "10.1.1.1:1", []string{"9.9.9.9", "1.1.1.1", "10.2.2.2"}, "1.1.1.1"},
		{"proxies all the way", trusted, "10.1.1.1:1", []string{"10.3.3.3, 10.2.2.2"}, "10.3.3.3"},
		{
			"an unreadable entry is no address, neither the proxy's nor the one before it",
			trusted,
			"10.1.1.1:1",
			[]string{"1.1.1.1, unknown, 10.2.2.2"},
			"unknown",
		},
		{
			"an unreadable entry before the client's does not count",
			trusted,
			"10.1.1.1:1",
			[]string{"unknown, 1.1.1.1, 10.2.2.2"},
			"1.1.1.1",
		},
		{"empty entries do not count", trusted, "10.1.1.1:1", []string{"1.1.1.1, ,", ", 10.2.2.2,"}, "1.1.1.1"},
		{"IPv4 in IPv6", trusted, "[::ffff:10.1.1.1]:1", []string{"::ffff:1.1.1.1"}, "1.1.1.1"},
		{"IPv6", trusted, "[2001:db8:1::5]:1", []string{"2001:db8:2::1"}, "2001:db8:2::1"},
		{"a zone", trusted, "10.1.1.1:1", []string{"fe80::1%eth0"}, "fe80::1"},
		{"a Unix socket", trusted, "@", []string{"1.1.1.1"}, "local"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := &http.Request{RemoteAddr: tc.peer, Header: http.Header{"X-Forwarded-For": tc.header}}
			got := web.AddressText(tc.proxies.Source(r))
			if got != tc.want {
				t.Errorf("Source = %s, want %s", got, tc.want)
			}
		})
	}
}

func TestSourceReadsTheFormsThatProxiesWrite(t *testing.T) {
	trusted := web.Proxies{netip.MustParsePrefix("10.0.0.0/8")}

	for entry, want := range map[string]string{
		"1.1.1.1":                       "1.1.1.1",
		"1.1.1.1:51234":                 "1.1.1.1",
		"1.1.1.1:0":                     "1.1.1.1",
		`"1.1.1.1"`:                     "1.1.1.1",
		`"1.1.1.1:51234"`:               "1.1.1.1",
		"\t1.1.1.1 ":                    "1.1.1.1",
		"2001:db8::1":                   "2001:db8::1",
		"[2001:db8::1]":                 "2001:db8::1",
		"[2001:db8::1]:443":             "2001:db8::1",
		`"2001:db8::1"`:                 "2001:db8::1",
		`"[2001:db8::1]"`:               "2001:db8::1",
		`"[2001:db8::1]:443"`:           "2001:db8::1",
		"[2001:DB8:0::1]:443":           "2001:db8::1",
		"[::ffff:1.1.1.1]:443":          "1.1.1.1",
		"::ffff:1.1.1.1":                "1.1.1.1",
		"[fe80::1%eth0]:443":            "fe80::1",
		"1.1.1.1:":                      "unknown",
		"1.1.1.1:65536":                 "unknown",
		"1.1.1.1:-1":                    "unknown",
		"1.1.1.1:80:80":                 "unknown",
		"1.1.1.1 80":                    "unknown",
		"01.1.1.1":                      "unknown",
		"[1.1.1.1]":                     "unknown",
		"[1.1.1.1]:80":                  "unknown",
		"[2001:db8::1":                  "unknown",
		"2001:db8::1]":                  "unknown",
		"[2001:db8::1]443":              "unknown",
		"[2001:db8::1]:":                "unknown",
		`"1.1.1.1`:                      "unknown",
		`1.1.1.1"`:                      "unknown",
		`""`:                            "unknown",
		`"`:                             "unknown",
		"unknown":                       "unknown",
		"_hidden":                       "unknown",
		"for=1.1.1.1":                   "unknown",
		"client.example":                "unknown",
		"1.1.1.1\u00a0":                 "unknown",
		"::%unknown":                    "::",
		strings.Repeat("1", 4096):       "unknown",
		strings.Repeat("[", 4096) + "]": "unknown",
	} {
		t.Run(entry[:min(len(entry), 40)], func(t *testing.T) {
			r := &http.Request{RemoteAddr: "10.1.1.1:1", Header: http.Header{"X-Forwarded-For": {entry}}}
			got := web.AddressText(trusted.Source(r))
			if got != want {
				t.Errorf("Source of %q = %s, want %s", entry, got, want)
			}
		})
	}
}

// FuzzXFF checks that a client cannot change its address by putting others in front.
func FuzzXFF(f *testing.F) {
	for _, seed := range []string{
		"",
		"1.1.1.1",
		", ,",
		"::1",
		"1.1.1.1, 10.0.0.1",
		"unknown",
		"%",
		"10.0.0.1,\t2.2.2.2",
		"fe80::1%x",
		"1.1.1.1:80",
		"[2001:db8::1]:443",
		`"[2001:db8::1]:443"`,
		`"`,
	} {
		f.Add(seed)
	}

	trusted := web.Proxies{netip.MustParsePrefix("10.0.0.0/8")}
	real := netip.MustParseAddr("198.51.100.7")
	f.Fuzz(func(t *testing.T, claimed string) {
		source := func(p web.Proxies, peer string, lines ...string) netip.Addr {
			return p.Source(&http.Request{RemoteAddr: peer, Header: http.Header{"X-Forwarded-For": lines}})
		}
		if got := source(trusted, "198.51.100.7:1", claimed); got != real {
			t.Errorf("source of an untrusted peer that sends %q is %v, want %v", claimed, got, real)
		}
		if got := source(trusted, "10.0.0.1:1", claimed, real.String()); got != real {
			t.Errorf("source of a client behind a proxy that sends %q is %v, want %v", claimed, got, real)
		}

		if got := source(trusted, "10.0.0.1:1", claimed+", "+real.String()+", 10.0.0.2"); got != real {
			t.Errorf("source of a client behind two proxies that sends %q is %v, want %v", claimed, got, real)
		}

		got := source(trusted, "10.0.0.1:1", claimed)
		plain := got.IsValid() && got.Zone() == "" && !got.Is4In6()
		if !plain && got != policy.UnknownSource {
			t.Errorf("source of a proxy that sends %q is %v, want a plain address or the unknown one", claimed, got)
		}

		// A port and quotes change nothing.
		for _, form := range []string{"%s:1", `"%s"`, `"%s:65535"`} {
			entry := fmt.Sprintf(form, real)
			if got := source(trusted, "10.0.0.1:1", claimed, entry); got != real {
				t.Errorf("source behind a proxy that sends %q and then %s is %v, want %v", claimed, entry, got, real)
			}
		}
	})
}

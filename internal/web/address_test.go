package web_test

import (
	"net/http"
	"net/netip"
	"testing"

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
		{"nobody is trusted by default", nil, "127.0.0.1:1", []string{"1.1.1.1"}, "127.0.0.1"},
		{"a stranger is not believed", trusted, "203.0.113.1:1", []string{"1.1.1.1"}, "203.0.113.1"},
		{"a proxy is", trusted, "10.1.1.1:1", []string{"1.1.1.1"}, "1.1.1.1"},
		{"a proxy that says nothing", trusted, "10.1.1.1:1", nil, "10.1.1.1"},
		{"a proxy that says an empty text", trusted, "10.1.1.1:1", []string{""}, "10.1.1.1"},
		{"the nearest stranger counts", trusted, "10.1.1.1:1", []string{"9.9.9.9, 1.1.1.1, 10.2.2.2"}, "1.1.1.1"},
		{"lines are one list", trusted, "10.1.1.1:1", []string{"9.9.9.9", "1.1.1.1", "10.2.2.2"}, "1.1.1.1"},
		{"proxies all the way", trusted, "10.1.1.1:1", []string{"10.3.3.3, 10.2.2.2"}, "10.3.3.3"},
		{"nonsense ends the chain", trusted, "10.1.1.1:1", []string{"1.1.1.1, unknown, 10.2.2.2"}, "10.2.2.2"},
		{"a port is nonsense", trusted, "10.1.1.1:1", []string{"1.1.1.1:80"}, "10.1.1.1"},
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

// FuzzXFF checks that what a client puts in front of a list changes nothing.
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
			t.Errorf("a stranger who claims %q is %v", claimed, got)
		}
		if got := source(trusted, "10.0.0.1:1", claimed, real.String()); got != real {
			t.Errorf("a stranger behind a proxy who claims %q is %v", claimed, got)
		}

		if got := source(trusted, "10.0.0.1:1", claimed+", "+real.String()+", 10.0.0.2"); got != real {
			t.Errorf("a stranger behind two proxies who claims %q is %v", claimed, got)
		}
		if got := source(trusted, "10.0.0.1:1", claimed); !got.IsValid() || got.Zone() != "" || got.Is4In6() {
			t.Errorf("a proxy that says %q yields %v", claimed, got)
		}
	})
}

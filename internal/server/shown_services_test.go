package server

import (
	"testing"

	"github.com/jeton-auth/jeton/internal/config"
)

func TestTheHostThatBrowsersUse(t *testing.T) {
	for _, c := range []struct {
		name    string
		service config.Service
		want    string
	}{
		{"an IPv4 loopback address", config.Service{Listen: "127.0.0.1:8443"}, "localhost"},
		{"an IPv6 loopback address", config.Service{Listen: "[::1]:8443"}, "localhost"},
		{"another loopback address, which is not localhost", config.Service{Listen: "127.0.0.2:8443"}, ""},
		{"an address of a network", config.Service{Listen: "192.0.2.1:8443"}, ""},
		{"a name", config.Service{Listen: "app.example:8443"}, ""},
		{
			"a loopback address with a host of its own",
			config.Service{Listen: "127.0.0.1:8443", Host: "app.example"},
			"app.example",
		},
	} {
		if got := browserHost(c.service); got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}

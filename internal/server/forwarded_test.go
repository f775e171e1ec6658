package server

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/jeton-auth/jeton/internal/web"
)

func TestUntrustedPeersAreWarnedOfOnce(t *testing.T) {
	trusted := web.Proxies{netip.MustParsePrefix("10.0.0.0/8")}

	for _, tc := range []struct {
		name  string
		peers []string
		value string
		want  int
	}{
		{"a peer that is not trusted", []string{"192.0.2.1:1"}, "198.51.100.1", 1},
		{"the same peer again", []string{"192.0.2.1:1", "192.0.2.1:2", "[::ffff:192.0.2.1]:3"}, "198.51.100.1", 1},
		{"two peers", []string{"192.0.2.1:1", "[2001:db8::1]:1"}, "198.51.100.1", 2},
		{"a trusted proxy", []string{"10.1.2.3:1"}, "198.51.100.1", 0},
		{"without the header", []string{"192.0.2.1:1"}, "", 0},
		{"a Unix socket", []string{"@"}, "198.51.100.1", 0},
		{"more peers than the limit", manyPeers(maxWarnedPeers + 10), "198.51.100.1", maxWarnedPeers},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var log bytes.Buffer
			var untrusted untrustedPeers
			for _, from := range tc.peers {
				r := &http.Request{RemoteAddr: from, Header: http.Header{}}
				if tc.value != "" {
					r.Header.Set("X-Forwarded-For", tc.value)
				}
				untrusted.notice(r, trusted, slog.New(slog.NewTextHandler(&log, nil)))
			}

			got := strings.Count(log.String(), "name it in trusted_proxies")
			if got != tc.want {
				t.Errorf("%d warnings, want %d:\n%.1000s", got, tc.want, log.String())
			}
		})
	}
}

func manyPeers(n int) []string {
	var list []string
	for i := range n {
		list = append(list, fmt.Sprintf("192.0.2.%d:1", i))
	}

	return list
}

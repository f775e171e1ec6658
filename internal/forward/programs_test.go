package forward_test

import (
	"maps"
	"os/exec"
	"slices"
	"testing"

	"github.com/jeton-auth/jeton/internal/test/need"
)

// proxyProgram is a proxy that tests start.
type proxyProgram struct {
	name  string
	kind  string   // of its configuration
	names []string // of its program
}

// installed are the proxies of the distribution, by their kinds.
var installed = map[string]proxyProgram{
	"nginx":   {"nginx", "nginx", []string{"nginx", "/usr/sbin/nginx"}},
	"caddy":   {"caddy", "caddy", []string{"caddy"}},
	"haproxy": {"haproxy", "haproxy", []string{"haproxy", "/usr/sbin/haproxy"}},
}

// built are the proxies that scripts/proxies.sh builds. It takes long, and they are beside the others.
var built = []proxyProgram{
	{"newest", "caddy", []string{"caddy-2.11.9"}},
	{"traefik", "traefik", []string{"traefik-3.7.13"}},
}

// programs returns the proxies to test: of the distribution, and for 'make soak' also those that are built.
func programs(t *testing.T) []proxyProgram {
	t.Helper()
	var list []proxyProgram
	for _, kind := range slices.Sorted(maps.Keys(installed)) {
		list = append(list, installed[kind])
	}
	if !need.Soaking() {
		return list
	}

	for _, p := range built {
		if _, err := exec.LookPath(p.names[0]); err != nil {
			t.Logf("without %s: scripts/proxies.sh builds it", p.names[0])
			continue
		}
		list = append(list, p)
	}

	return list
}

// behindEach runs a test behind each proxy.
func behindEach(t *testing.T, list []proxyProgram, test func(t *testing.T, p *proxied)) {
	t.Helper()
	for _, proxy := range list {
		t.Run(proxy.name, func(t *testing.T) { test(t, startBehind(t, proxy)) })
	}
}

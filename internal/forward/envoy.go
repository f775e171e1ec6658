package forward

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
)

// EnvoyHeaders returns the headers of a client that Envoy must remove. It refuses those with an underscore, and each
// Upgrade.
func (p Proxied) EnvoyHeaders() []string {
	names := []string{"x-forwarded-host", "x-forwarded-port", "x-real-ip"}
	for _, name := range p.ClientHeaders() {
		if !strings.Contains(name, "_") && name != "Upgrade" {
			names = append(names, strings.ToLower(name))
		}
	}
	for _, a := range p.Aliases {
		names = append(names, strings.ToLower(a.Name))
	}
	slices.Sort(names)

	return slices.Compact(names)
}

// OwnMatches returns how Envoy matches the paths of Jeton at the service.
func (p Proxied) OwnMatches() []string {
	list := []string{`prefix: "/.jeton/"`}
	for _, path := range p.Own {
		list = append(list, fmt.Sprintf("path: %q", path))
	}

	return list
}

// EnvoyAddress returns an address as Envoy writes it.
func (Proxied) EnvoyAddress(address string) (string, error) {
	path, socket := strings.CutPrefix(address, "unix:")
	if socket {
		return fmt.Sprintf("pipe: {path: %q}", path), nil
	}

	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return "", fmt.Errorf("%.100q is not an address and a port", address)
	}

	return fmt.Sprintf("socket_address: {address: %q, port_value: %s}", host, port), nil
}

// EnvoyDiscovery returns how Envoy finds an address: only a name is looked up.
func (Proxied) EnvoyDiscovery(address string) string {
	host, _, _ := net.SplitHostPort(address)
	_, err := netip.ParseAddr(host)
	if err == nil || strings.HasPrefix(address, "unix:") {
		return "STATIC"
	}

	return "STRICT_DNS"
}

package config

import (
	"net"
	"net/netip"
	pathpkg "path"
	"strconv"
	"strings"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/config/yamlread"
	"github.com/jeton-auth/jeton/internal/web"
)

// admin keeps the operators' listener on this machine, unless the file says which others may use it:
// health needs no credential.
func (c checker) admin() {
	a := &c.conf.Admin
	if a.Listen == "off" {
		return
	}

	for i := range a.Allow {
		p := &a.Allow[i]
		if p.IsValid() && p.Bits() == 0 {
			c.Invalid(p, "network", p.String(), "networks of health checks and Prometheus; this allows every address")
		}
	}
	for i := range a.Hosts {
		c.notEmpty(&a.Hosts[i])
		c.host(&a.Hosts[i], "node1.example.org")
	}
	if a.TLS != nil {
		c.tls(a.TLS, false)
	}

	host, ok := c.listen(&a.Listen)
	if !ok || host == "localhost" || len(a.Allow) > 0 {
		return
	}

	// Only an address or localhost: any other name may resolve to another interface tomorrow.
	address, err := netip.ParseAddr(host)
	if err != nil || !address.IsLoopback() {
		const want = "a loopback address such as 127.0.0.1:9180, off, or admin.allow with the networks that may use it"
		c.Invalid(&a.Listen, "address", a.Listen, want)
	}
}

// proxies refuses a range of all addresses. Smaller ranges may be too large as well, which only the operator can know.
func (c checker) proxies(list []Prefix) {
	for i := range list {
		p := &list[i]
		// 0.0.0.0/0 would let every client choose the address that its logins are throttled by.
		if p.IsValid() && p.Bits() == 0 {
			c.Invalid(p, "proxy", p.String(), "addresses of proxies; this trusts any address that a client claims")
		}
	}
}

// listen checks an address to listen on and returns its host.
func (c checker) listen(address *string) (host string, ok bool) {
	host, port, err := net.SplitHostPort(*address)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}

	if err != nil || host != "" && !isHost(host) {
		c.Invalid(address, "address", *address, "address and port such as 127.0.0.1:8443, [::1]:8443 or :8443")
		return "", false
	}

	return host, true
}

// host checks the host name that selects a service or the issuer.
func (c checker) host(host *string, example string) {
	if *host != "" && !isHost(*host) {
		c.Invalid(host, "host name", *host, "one such as "+example+", without scheme and port")
	}
}

// tls checks that a listener has either a certificate or plain HTTP.
func (c checker) tls(tls *TLS, plainHTTP bool) {
	if plainHTTP {
		if c.Has(tls) {
			c.Fault(tls, "conflicts with plain_http, which serves without TLS; keep one")
		}
		return
	}

	c.notEmpty(&tls.Cert)
	c.notEmpty(&tls.Key)
}

// isHost reports whether s is an address or looks like the name of a machine.
// Underscores are not permitted in the DNS and common in container networks.
func isHost(s string) bool {
	if _, err := netip.ParseAddr(s); err == nil {
		return true
	}

	for _, r := range s {
		if !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_", r) {
			return false
		}
	}

	return s != "" && len(s) <= 253 && s[0] != '.' && s[0] != '-'
}

// path checks a path that Jeton itself serves, if the file has it: one path, spelled out.
func (c checker) path(path *string) {
	const want = "a path such as /login"

	p := *path
	switch {
	case !c.Has(path):
	case !strings.HasPrefix(p, "/"):
		c.Invalid(path, "path", p, want)
	case strings.ContainsAny(p, "{}?# \t\r\n"):
		c.Invalid(path, "path", p, want+", without wildcards, query and spaces")
	case !isClean(p):
		c.Invalid(path, "path", p, want+", without //, . and ..")
	default:
		c.requested(path)
	}
}

// requested checks that requests can have a path.
func (c checker) requested(path *string) {
	_, err := web.Paths{}.Pattern(*path)
	if err != nil {
		c.Fault(path, "%s can never match: %s; change it", yamlread.Quote(*path), jeton.Detail(err))
	}
}

// isClean reports whether requests can have the path p: net/http redirects every
// other spelling to the clean one first.
func isClean(p string) bool {
	clean := pathpkg.Clean(p)
	if clean != "/" && strings.HasSuffix(p, "/") {
		clean += "/"
	}
	return clean == p
}

// sharedAddresses checks services that share an address: a request must lead to one
// of them. Port 0 is a different port for each.
func (c checker) sharedAddresses() {
	sharing := make(map[string][]int)
	for i := range c.conf.Services {
		s := &c.conf.Services[i]
		if s.Forwarded() {
			continue
		}

		address := strings.ToLower(s.Listen)
		_, port, err := net.SplitHostPort(address)
		if err != nil || port == "0" {
			continue
		}

		if address == strings.ToLower(c.conf.Admin.Listen) {
			c.Fault(&s.Listen, "is the address of admin.listen, too; choose another port")
		}

		sharing[address] = append(sharing[address], i)
	}

	for _, group := range sharing {
		if len(group) > 1 {
			c.sharedAddress(group)
		}
	}
}

// ownHosts checks that no other service on the address has one of the host names of a service.
func (c checker) ownHosts(taken map[string]*string, s *Service) {
	fields := []*string{&s.Host}
	for i := range s.Hosts {
		fields = append(fields, &s.Hosts[i])
	}

	listed := make(map[string]bool)
	for _, field := range fields {
		name := web.Hostname(*field)
		if !listed[name] { // twice at one service does no harm
			c.unique(taken, name, field)
		}
		listed[name] = true
	}
}

// sharedAddress checks the services at these indexes, which share one address.
func (c checker) sharedAddress(group []int) {
	hosts := make(map[string]*string)
	for k, i := range group {
		s := &c.conf.Services[i]
		other := group[0]
		if k == 0 {
			other = group[1]
		}

		c.ownHosts(hosts, s)
		if s.Host == "" {
			c.Fault(&s.Host, "missing; services[%d] listens on %s, too, so each needs a host", other, s.Listen)
		}

		// One listener speaks either TLS or plain HTTP, before it knows the host.
		if s.PlainHTTP != c.conf.Services[group[0]].PlainHTTP {
			c.Fault(&s.PlainHTTP, "differs from services[%d] on this address; use TLS for all or for none", group[0])
		}
	}
}

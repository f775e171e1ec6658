package config

import (
	"net"
	"net/url"
	"strings"

	"github.com/jeton-auth/jeton/internal/web"
)

// forward checks the listener that decides for other proxies, and that some service needs it.
func (c checker) forward() {
	f := c.conf.Forward
	if f == nil {
		return
	}

	path, socket := Socket(f.Listen)
	switch {
	case !c.Valid(&f.Listen) || f.Listen == "":
	case socket && path == "":
		c.Invalid(&f.Listen, "address", f.Listen, "the path of a socket, such as unix:forward.sock")
	case !socket:
		c.listen(&f.Listen)
		c.notTaken(&f.Listen)
	}

	c.proxies(f.TrustedProxies)
	if !socket && len(f.TrustedProxies) == 0 && c.Valid(&f.TrustedProxies) {
		c.Fault(&f.TrustedProxies, "missing; no proxy could ask at this address: list the addresses of the proxies")
	}
}

// notTaken checks that nothing else listens on an address. Port 0 is a different port for each.
func (c checker) notTaken(address *string) {
	if strings.HasSuffix(*address, ":0") {
		return
	}

	others := []*string{&c.conf.Admin.Listen}
	if c.conf.Issuer != nil {
		others = append(others, &c.conf.Issuer.Listen)
	}
	if c.conf.Forward != nil {
		others = append(others, &c.conf.Forward.Listen)
	}
	for i := range c.conf.Services {
		others = append(others, &c.conf.Services[i].Listen)
	}

	for _, other := range others {
		if other != address && strings.EqualFold(*address, *other) {
			c.Fault(address, "is the address of %s, too; choose another port", c.Path(other))
		}
	}
}

// forwarded checks a service that another proxy serves: it has an address and rules, and nothing to answer with.
func (c checker) forwarded(s *Service) {
	if c.conf.Forward == nil {
		const text = "missing; without it another proxy serves url, which needs a forward section: add one of them"
		c.Fault(&s.Listen, text)
	}

	u, err := url.Parse(s.URL)
	if err == nil && c.Valid(&s.URL) && u.Path != "" {
		c.Fault(&s.URL, "has a path, and listen is missing; a proxy serves a whole host for this service")
	}

	const text = "needs listen, which is missing: another proxy serves this service; remove it"
	for _, field := range []any{&s.Host, &s.Hosts, &s.TLS, &s.Teaching, &s.UsersAPI} {
		if c.Has(field) {
			c.Fault(field, text)
		}
	}
}

// urls checks that the address that browsers use leads to one service: a sign-in would return to another one.
func (c checker) urls() {
	taken := map[string]any{}
	for i := range c.conf.Services {
		s := &c.conf.Services[i]
		_, port, err := net.SplitHostPort(s.Listen)
		if s.URL != "" || !s.Login.SignIn || s.PlainHTTP || err != nil {
			continue
		}

		for _, name := range s.HostNames() {
			taken[web.OriginOf("https", name, port)] = &s.Listen
		}
	}

	for i := range c.conf.Services {
		s := &c.conf.Services[i]
		u, err := url.Parse(s.URL)
		if s.URL == "" || err != nil {
			continue
		}

		address := web.OriginAt(u.Scheme, u.Host, "").String() + u.Path
		if taken[address] != nil {
			c.Fault(&s.URL, "is the address of %s, too; choose another", c.Path(taken[address]))
		}
		taken[address] = &s.URL
	}
}

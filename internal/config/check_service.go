package config

import (
	"fmt"
	"net"
	pathpkg "path"
	"regexp"
	"strings"
)

var serviceName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}$`)

func (d *document) services(c *Config) {
	names := make(map[string]int)
	for i := range c.Services {
		s, path := &c.Services[i], at("services", i)
		first, taken := names[s.Name]
		if taken && s.Name != "" {
			d.fault(
				path+".name",
				fmt.Sprintf("%s is the name of services[%d] already; names are unique", quote(s.Name), first),
			)
		} else {
			names[s.Name] = i
		}

		if s.Name != "" && !serviceName.MatchString(s.Name) {
			d.fault(
				path+".name",
				quote(s.Name)+" is no name of a service; a to z, 0 to 9 and - are right, 63 at most and no - first",
			)
		}

		d.service(path, s)
	}

	d.addresses(c)
}

func (d *document) service(path string, s *Service) {
	if s.Listen != "" {
		d.listen(path+".listen", s.Listen)
	}
	if s.Host != "" && !hostName(s.Host) {
		d.fault(path+".host", quote(s.Host)+" is no host name; write it as in app.example.org, without scheme or port")
	}
	if s.PlainHTTP && d.has(path+".tls") {
		d.fault(path+".tls", "given next to plain_http, which serves without TLS; keep one")
	}

	if !s.PlainHTTP {
		d.notEmpty(path+".tls.cert", s.TLS.Cert)
		d.notEmpty(path+".tls.key", s.TLS.Key)
	}

	d.login(path, s)
	d.session(path+".session", s)
	d.relogin(path+".relogin", s.Relogin)
	d.acceptList(path+".accept", s, s.Accept)

	if d.has(path+".accept") && len(s.Accept) == 0 {
		d.fault(path+".accept", "empty, so nobody could ask anything; name session, token or basic, or leave it out")
	}
	if s.Tokens != nil {
		d.tokens(path+".tokens", s.Tokens)
	}
	if s.Teaching != nil {
		d.teaching(path+".teaching", s)
	}

	if s.UsersAPI != nil {
		d.usersAPI(path+".users_api", s)
	}

	d.routes(path, s)
}

// addresses checks services that share an address: a request must lead to one of
// them. Port 0 is another port for everybody.
func (d *document) addresses(c *Config) {
	sharing := make(map[string][]int)
	for i := range c.Services {
		address := strings.ToLower(c.Services[i].Listen)
		_, port, err := net.SplitHostPort(address)
		if err != nil || port == "0" {
			continue
		}

		if address == strings.ToLower(c.Admin.Listen) {
			d.fault(at("services", i)+".listen", "is the address of admin.listen; pick another port")
		}

		sharing[address] = append(sharing[address], i)
	}

	for _, group := range sharing {
		if len(group) > 1 {
			d.shared(c, group)
		}
	}
}

// shared checks services on one address against each other.
func (d *document) shared(c *Config, group []int) {
	hosts := make(map[string]int)
	for k, i := range group {
		s, path := &c.Services[i], at("services", i)
		other := group[0]
		if k == 0 {
			other = group[1]
		}

		host := strings.ToLower(s.Host)
		twin, taken := hosts[host]

		if host == "" {
			d.fault(
				path+".host",
				fmt.Sprintf("missing; services[%d] listens on %s too, so each needs a host", other, s.Listen),
			)
		} else if taken {
			d.fault(
				path+".host",
				fmt.Sprintf(
					"%s is the host of services[%d] on this address already; each needs its own",
					quote(s.Host),
					twin,
				),
			)
		} else {
			hosts[host] = i
		}

		if s.PlainHTTP != c.Services[group[0]].PlainHTTP {
			d.fault(
				path+".plain_http",
				fmt.Sprintf("services[%d] on the same address differs; either all use TLS or none", group[0]),
			)
		}
	}
}

// login checks the paths that take a password, and the one that ends a session.
func (d *document) login(path string, s *Service) {
	if d.has(path + ".logout") {
		d.doorPath(path+".logout", s.Logout)
	}

	seen := make(map[string]bool)
	for i, p := range s.Login.Paths {
		place := at(path+".login.paths", i)
		d.doorPath(place, p)

		switch {
		case seen[p]:
			d.fault(place, quote(p)+" is in the list already; keep one")
		case p == s.Logout && p != "":
			d.fault(place, quote(p)+" is the logout path; a login needs another")
		}

		seen[p] = true
	}

	if d.has(path + ".login.token") {
		d.doorPath(path+".login.token", s.Login.Token)
		if s.Tokens == nil {
			d.fault(path+".login.token", "answers with tokens, and the service has none; give it a tokens section")
		}
	}

	d.notEmpty(path+".login.username_field", s.Login.UsernameField)
	d.notEmpty(path+".login.password_field", s.Login.PasswordField)

	if s.Login.UsernameField == s.Login.PasswordField {
		d.fault(path+".login.password_field", "is username_field too; two fields are needed")
	}

	for i := range s.Routes {
		r := &s.Routes[i]
		if !r.Open && len(r.Accept) == 0 && len(s.Accepts()) == 0 {
			d.fault(
				path+".login.paths",
				fmt.Sprintf(
					"missing; routes[%d] needs a login, so a path such as /login is right, or tokens on the service, or open: true on the route",
					i,
				),
			)
			return
		}
	}
}

// doorPath checks a path of our own: one path, spelled out.
func (d *document) doorPath(path, p string) {
	switch {
	case !strings.HasPrefix(p, "/"):
		d.fault(path, quote(p)+" does not begin with /; a path such as /login is right")
	case strings.ContainsAny(p, "{}?# \t\r\n"):
		d.fault(path, quote(p)+" holds wildcards, a query or spaces; a path such as /login is right")
	case !clean(p):
		d.fault(path, quote(p)+" is never asked for as it stands; a path without //, . and .. is right")
	}
}

// clean reports whether p is a path as net/http asks for it: it leads a request
// for any other spelling there first.
func clean(p string) bool {
	c := pathpkg.Clean(p)
	if c != "/" && strings.HasSuffix(p, "/") {
		c += "/"
	}
	return c == p
}

func (d *document) session(path string, s *Service) {
	v := s.Session
	d.cookie(path+".cookie", v.Cookie, s.PlainHTTP)
	d.positive(path+".idle_timeout", v.IdleTimeout)
	d.positive(path+".lifetime", v.Lifetime)

	if v.IdleTimeout > v.Lifetime && d.right(path+".lifetime") {
		d.fault(
			path+".idle_timeout",
			fmt.Sprintf("%v is longer than lifetime, %v; at most as long is right", v.IdleTimeout, v.Lifetime),
		)
	}
	if d.has(path+".max_sessions") && v.MaxSessions < 1 && d.right(path+".max_sessions") {
		d.fault(
			path+".max_sessions",
			fmt.Sprintf("%d would let nobody in; 1 or more is right, and leaving it out means no limit", v.MaxSessions),
		)
	}

	d.maxUses(path+".max_uses", v.MaxUses)
}

func (d *document) relogin(path string, r Relogin) {
	if d.has(path+".max_logins") && r.MaxLogins < 1 && d.right(path+".max_logins") {
		d.fault(
			path+".max_logins",
			fmt.Sprintf("%d would let nobody in; 1 or more is right, and leaving it out means no limit", r.MaxLogins),
		)
	}
	if !d.has(path + ".window") {
		return
	}

	d.positive(path+".window", r.Window)
	if r.MaxLogins == 0 && d.right(path+".max_logins") {
		d.fault(path+".window", "given without max_logins; a window needs a number of logins")
	}
}

// cookieName is a token of RFC 6265, section 4.1.1.
var cookieName = regexp.MustCompile("^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")

// cookie checks a name. Browsers drop cookies whose prefix promises a TLS that is
// not there, and compare prefixes without case.
func (d *document) cookie(path, name string, plain bool) {
	lower := strings.ToLower(name)
	switch {
	case !cookieName.MatchString(name) || len(name) > 128:
		d.fault(path, quote(name)+" is no cookie name (RFC 6265); letters, digits, - and _ are right, 128 at most")
	case plain && (strings.HasPrefix(lower, "__host-") || strings.HasPrefix(lower, "__secure-")):
		d.fault(path, quote(name)+" needs TLS, and plain_http is on; a name without the prefix is right")
	}
}

func (d *document) teaching(path string, s *Service) {
	d.template(path+".denied_text", s.Teaching.DeniedText)
	d.teachingTokens(path, s)
	v := s.Teaching.Cookies
	if v == nil {
		return
	}

	seen := make(map[string]string)
	for _, c := range []struct{ key, name string }{
		{"name", v.Name}, {"token", v.Token}, {"login_time", v.LoginTime},
	} {
		place := path + ".cookies." + c.key
		if c.name == "" {
			continue // reported as missing or empty
		}

		d.cookie(place, c.name, s.PlainHTTP)
		other := seen[c.name]
		if other != "" {
			d.fault(place, quote(c.name)+" is the cookie of "+other+" too; each needs its own")
		}

		seen[c.name] = c.key
	}
}

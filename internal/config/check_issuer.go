package config

import (
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/jeton-auth/jeton/internal/jose"
)

// The names under which a service says what its routes accept.
const (
	acceptSession = "session"
	acceptToken   = "token"
	acceptBasic   = "basic"
)

func acceptable() []string { return []string{acceptSession, acceptToken, acceptBasic} }

// Accepts returns what the routes of the service accept that say nothing themselves.
func (s *Service) Accepts() []string {
	if len(s.Accept) > 0 {
		return s.Accept
	}
	return s.has()
}

// has returns what callers can prove themselves with at the service, but for passwords in
// every request, which it has to ask for.
func (s *Service) has() []string {
	var list []string
	if len(s.Login.Paths) > 0 || s.UsersAPI != nil {
		list = append(list, acceptSession)
	}
	if s.Tokens != nil {
		list = append(list, acceptToken)
	}

	return list
}

// audiences checks that no two services take each other's tokens.
func (d *document) audiences(c *Config) {
	first := map[string]int{}
	for i := range c.Services {
		t := c.Services[i].Tokens
		if t == nil {
			continue
		}

		other, taken := first[t.Audience]
		if taken {
			d.fault(
				at("services", i)+".tokens.audience",
				fmt.Sprintf(
					"%s is what tokens for services[%d] are for already; each service needs its own",
					quote(t.Audience),
					other,
				),
			)
		}

		first[t.Audience] = i
	}
}

// issuer checks the authorization server.
func (d *document) issuer(c *Config) {
	s := c.Issuer
	if s == nil {
		for i := range c.Services {
			if c.Services[i].Tokens != nil {
				d.fault(
					at("services", i)+".tokens",
					"given, and nobody issues them; an issuer section with url and listen is needed",
				)
			}
		}

		return
	}

	d.issuerURL("issuer.url", s)
	if s.Listen != "" {
		d.listen("issuer.listen", s.Listen)
	}
	if s.Host != "" && !hostName(s.Host) {
		d.fault(
			"issuer.host",
			quote(s.Host)+" is no host name; write it as in auth.example.org, without scheme or port",
		)
	}

	if s.PlainHTTP && d.has("issuer.tls") {
		d.fault("issuer.tls", "given next to plain_http, which serves without TLS; keep one")
	}

	if d.has("issuer.keyserver") {
		d.doorPath("issuer.keyserver", s.Keyserver)
		if strings.HasPrefix(s.Keyserver, "/oauth2/") || strings.HasPrefix(s.Keyserver, "/.well-known/") {
			d.fault(
				"issuer.keyserver",
				quote(s.Keyserver)+" is among the authorization server's own paths; a path such as /getkey is right",
			)
		}
	}

	d.positive("issuer.keys.rotate_every", s.Keys.RotateEvery)
	if s.Keys.RotateEvery > 0 && s.Keys.PublishFor >= s.Keys.RotateEvery && d.right("issuer.keys.rotate_every") {
		d.fault(
			"issuer.keys.publish_for",
			fmt.Sprintf(
				"%v is not shorter than rotate_every, %v; a shorter time is right",
				s.Keys.PublishFor,
				s.Keys.RotateEvery,
			),
		)
	}
	if strings.EqualFold(s.Listen, c.Admin.Listen) {
		d.fault("issuer.listen", "is the address of admin.listen; pick another port")
	}

	for i := range c.Services {
		o := &c.Services[i]
		if strings.EqualFold(o.Listen, s.Listen) && o.PlainHTTP != s.PlainHTTP {
			d.fault(
				"issuer.plain_http",
				fmt.Sprintf("services[%d] on the same address differs; either both use TLS or neither", i),
			)
		}
	}
}

// issuerURL holds the identifier to what clients compare it with, byte by byte.
func (d *document) issuerURL(path string, s *Issuer) {
	if s.URL == "" {
		return // reported as missing or empty
	}

	u, err := url.Parse(s.URL)
	switch {
	case err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" || u.User != nil:
		d.fault(
			path,
			quote(s.URL)+" is no identifier of an authorization server; write it as in https://auth.example.org",
		)
	case u.Path != "" || u.RawQuery != "" || u.ForceQuery || strings.Contains(s.URL, "#"):
		d.fault(
			path,
			quote(s.URL)+" has more than scheme and host; write it as in "+u.Scheme+"://"+u.Host+
				", without a slash at its end",
		)
	case s.URL != strings.ToLower(s.URL):
		d.fault(
			path,
			quote(s.URL)+" has capital letters, and clients compare byte by byte; write "+strings.ToLower(s.URL),
		)
	case u.Scheme == "http" && !s.PlainHTTP:
		d.fault(path, quote(s.URL)+" is plain http, and plain_http is off; https:// is right")
	}
}

var (
	clientName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$`)
	// scopeName is a scope-token of RFC 6749, section 3.3.
	scopeName = regexp.MustCompile(`^[!#-\[\]-~]{1,128}$`)
	hexHash   = regexp.MustCompile(`^[0-9a-f]{64}$`)
)

// clients checks declared software.
func (d *document) clients(c *Config) {
	names := map[string]string{}
	for i, u := range c.Users {
		names[folded(u.Name)] = fmt.Sprintf("users[%d]", i)
	}

	for i := range c.Clients {
		cl, path := &c.Clients[i], at("clients", i)
		if cl.Name != "" {
			if !clientName.MatchString(cl.Name) || strings.HasPrefix(strings.ToLower(cl.Name), "jtn_") {
				d.fault(
					path+".name",
					quote(cl.Name)+
						" is no name of a client; letters, digits, '.', '_' and '-' are right, 128 at most, and no jtn_ first",
				)
			}

			key := strings.ToLower(cl.Name)
			by := names[key]
			if by != "" {
				d.fault(
					path+".name",
					fmt.Sprintf(
						"%s is the name of %s already, or differs from it in case only; users and clients have names of their own",
						quote(cl.Name),
						by,
					),
				)
			}

			names[key] = path
		}

		d.clientKeys(path, cl)
		d.servicesExist(path+".services", c, cl.Services)
		d.servicesExist(path+".introspects", c, cl.Introspects)

		for j, scope := range cl.Scopes {
			d.scope(at(path+".scopes", j), scope)
		}

		if d.has(path+".secret_hash") && !hexHash.MatchString(cl.SecretHash) {
			d.fault(path+".secret_hash", "not 64 hex digits, lower case; 'jeton client new-secret' prints one")
		}
	}
}

func (d *document) clientKeys(path string, cl *Client) {
	if len(cl.Keys) == 0 && cl.KeySource == nil && !d.has(path+".secret_hash") && cl.Name != "" {
		d.fault(path, "proves itself with nothing; keys, key_source or secret_hash is required")
	}

	for j := range cl.Keys {
		k, place := &cl.Keys[j], at(path+".keys", j)
		switch {
		case k.Public != "" && k.File != "":
			d.fault(place+".file", "given next to public; keep one")
		case k.Public == "" && k.File == "":
			d.fault(place, "no key; public or file is required")
		case k.Public != "":
			if _, err := jose.ParseKey([]byte(k.Public), jose.Alg(k.Algorithm), k.ID); err != nil {
				d.fault(place+".public", err.Error())
			}
		}

		if !k.NotAfter.IsZero() && !k.NotAfter.After(k.NotBefore.Time) {
			d.fault(place+".not_after", "not later than not_before; the key would never be good")
		}
	}

	if cl.KeySource != nil {
		d.keySource(path+".key_source", cl.KeySource)
	}
}

func (d *document) keySource(path string, s *KeySource) {
	if s.Algorithm != "" && s.Format != "pem" {
		d.fault(path+".algorithm", "given for a JWK Set, whose keys say it themselves; format: pem needs it, no other")
	}
	if s.URL == "" {
		return // reported as missing or empty
	}

	u, err := url.Parse(s.URL)
	switch {
	case err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" ||
		u.User != nil || strings.Contains(
		s.URL,
		"#",
	):
		d.fault(path+".url", "no absolute address; write it as in https://app.example.org/jwks.json")
	case u.Scheme == "http" && !s.PrivateNetwork:
		d.fault(
			path+".url",
			"plain http, so that anybody on the way could put a key in; https:// is right, or private_network: true for an address inside",
		)
	case s.CA != "" && u.Scheme != "https":
		d.fault(path+".ca", "given for an http address; an https url needs it, no other")
	}

	if err != nil {
		return
	}
	if a, err := netip.ParseAddr(u.Hostname()); err == nil && !s.PrivateNetwork &&
		(a.IsLoopback() || a.IsPrivate() || a.IsLinkLocalUnicast() || a.IsUnspecified()) {
		d.fault(path+".url", "an address of this machine or a private network; private_network: true permits it")
	}
}

func (d *document) servicesExist(path string, c *Config, names []string) {
	var known []string
	for i := range c.Services {
		if c.Services[i].Tokens != nil {
			known = append(known, c.Services[i].Name)
		}
	}

	for j, name := range names {
		if !slices.Contains(known, name) {
			d.fault(at(path, j), quote(name)+" is no service with tokens; "+suggest(name, known))
		}
	}
}

func (d *document) scope(path, scope string) {
	if !scopeName.MatchString(scope) {
		d.fault(
			path,
			quote(scope)+
				" is no scope (RFC 6749, section 3.3); printable ASCII without spaces, quotes and backslashes is right, 128 at most",
		)
	}
}

// maxToken is how long a token may be good: revocations are remembered for longer.
const maxToken = 24 * time.Hour

func (d *document) tokens(path string, t *Tokens) {
	d.positive(path+".lifetime", t.Lifetime)
	if t.Lifetime.Std() > maxToken {
		d.fault(
			path+".lifetime",
			fmt.Sprintf(
				"%v is too long; %v at most is right, and a client asks for a new token when it needs one",
				t.Lifetime,
				maxToken,
			),
		)
	}
	if t.Lifetime > 0 && t.ActivationDelay >= t.Lifetime && d.right(path+".lifetime") {
		d.fault(
			path+".activation_delay",
			fmt.Sprintf(
				"%v is not shorter than lifetime, %v: the token would never be good",
				t.ActivationDelay,
				t.Lifetime,
			),
		)
	}

	d.maxUses(path+".max_uses", t.MaxUses)
	if strings.ContainsAny(t.Audience, " \t\r\n\"\\") || len(t.Audience) > 256 {
		d.fault(
			path+".audience",
			quote(t.Audience)+" is no audience; a name or a URL without spaces is right, 256 bytes at most",
		)
	}
	if t.Format == "opaque" && d.has(path+".algorithm") {
		d.fault(path+".algorithm", "given for opaque tokens, which nobody signs; leave it out")
	}
}

// accept checks what a route takes for a proof.
func (d *document) accept(path string, s *Service, r *Route) {
	d.acceptList(path+".accept", s, r.Accept)
	effective := r.Accept
	if len(effective) == 0 {
		effective = s.Accepts()
	}

	if !r.Open && (r.MaxUses != nil || s.Session.MaxUses != nil) && slices.Contains(effective, acceptBasic) {
		d.fault(
			path+".accept",
			"basic is accepted where uses are counted, and a password in every request makes no login to count by; accept session or token alone",
		)
	}
	if d.has(path+".accept") && len(r.Accept) == 0 {
		d.fault(path+".accept", "empty, so nobody could ask; name session or token, or leave it out")
	}
	if r.Open && d.has(path+".accept") {
		d.fault(path+".accept", "given next to open, which asks for no proof; keep one")
	}

	if r.Open && len(r.Scopes) > 0 {
		d.fault(path+".scopes", "given next to open, which asks for no proof; keep one")
	}
	if len(r.Scopes) > 0 && s.Tokens == nil && !r.Open {
		d.fault(path+".scopes", "given, and the service has no tokens that could have them; give it a tokens section")
	}

	for j, scope := range r.Scopes {
		d.scope(at(path+".scopes", j), scope)
	}
}

// acceptList checks what a service or a route takes for a proof.
func (d *document) acceptList(path string, s *Service, list []string) {
	has := s.has()
	for j, kind := range list {
		place := at(path, j)
		switch {
		case !slices.Contains(acceptable(), kind):
			d.fault(
				place,
				quote(kind)+" is not one of "+strings.Join(acceptable(), ", ")+didYouMean(kind, acceptable()),
			)
		case kind == acceptSession && !slices.Contains(has, kind):
			d.fault(place, "session is accepted, and there is no way to log in; login.paths on the service gives one")
		case kind == acceptToken && !slices.Contains(has, kind):
			d.fault(place, "token is accepted, and the service has no tokens section; give it one")
		}
	}
}

// teachingTokens checks what a teaching client of tokens needs.
func (d *document) teachingTokens(path string, s *Service) {
	t := s.Teaching
	if d.has(path + ".assertion_login") {
		d.doorPath(path+".assertion_login", t.AssertionLogin)
	}
	if d.has(path + ".register") {
		d.doorPath(path+".register", t.Register)
	}

	if t.IssOnly && t.AssertionLogin == "" {
		d.fault(path+".iss_only", "given without assertion_login, which it is about; leave it out")
	}
	if (t.AssertionLogin != "" || t.TokenInBody) && s.Tokens == nil {
		d.fault(path, "is about tokens, and the service has none; give it a tokens section")
	}
}

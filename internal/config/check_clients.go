package config

import (
	"cmp"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/jeton-auth/jeton/internal/config/yamlread"
	"github.com/jeton-auth/jeton/internal/jose"
	"github.com/jeton-auth/jeton/internal/naming"
)

// issuer checks the authorization server.
func (c checker) issuer() {
	s := c.conf.Issuer
	if s == nil {
		for i := range c.conf.Services {
			t := &c.conf.Services[i].Tokens
			if *t != nil {
				c.Fault(t, "tokens need an issuer section with url and listen; add one")
			}
		}
		return
	}

	c.issuerURL(s)
	if _, ok := c.listen(&s.Listen); ok && c.Valid(&s.URL) {
		c.issuerPort(s)
	}
	c.host(&s.Host, "auth.example.org")
	c.tls(&s.TLS, s.PlainHTTP)

	c.path(&s.Keyserver)
	taken := strings.HasPrefix(s.Keyserver, "/oauth2/") || strings.HasPrefix(s.Keyserver, "/.well-known/")
	if taken || s.Pages && IsPagePath(s.Keyserver) {
		c.Invalid(&s.Keyserver, "path", s.Keyserver, "a path such as /getkey; the authorization server uses this one")
	}

	c.signInSession(&s.Session)
	c.brand(&s.Brand)
	c.providers(s)
	c.documents(s)
	c.workloads(s)

	// The next key must have been published before its turn comes.
	keys := &s.Keys
	if keys.PublishFor >= keys.RotateEvery && c.Valid(&keys.RotateEvery) {
		c.Fault(
			&keys.PublishFor, "%v is not shorter than rotate_every %v; shorten it", keys.PublishFor,
			keys.RotateEvery,
		)
	}

	if strings.EqualFold(s.Listen, c.conf.Admin.Listen) {
		c.Fault(&s.Listen, "is the address of admin.listen, too; choose another port")
	}

	for i := range c.conf.Services {
		other := &c.conf.Services[i]
		if strings.EqualFold(other.Listen, s.Listen) && other.PlainHTTP != s.PlainHTTP {
			c.Fault(&s.PlainHTTP, "differs from services[%d] on the same address; use TLS for both or for neither", i)
		}
	}
}

// issuerURL checks the identifier that clients compare byte by byte.
func (c checker) issuerURL(s *Issuer) {
	const kind = "issuer"

	field := &s.URL
	u, err := url.Parse(s.URL)
	switch {
	case err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" || u.User != nil:
		c.Invalid(field, kind, s.URL, "a URL such as https://auth.example.org")
	case u.Path != "" || u.RawQuery != "" || u.ForceQuery || strings.Contains(s.URL, "#"):
		c.Invalid(field, kind, s.URL, u.Scheme+"://"+u.Host+", only scheme and host without a slash at the end")
	case s.URL != strings.ToLower(s.URL):
		c.Invalid(field, kind, s.URL, strings.ToLower(s.URL)+" in lower case, because clients compare byte by byte")
	case u.Scheme == "http" && !s.PlainHTTP:
		c.Invalid(field, kind, s.URL, "https://, or plain_http: true")
	}
}

// issuerPort warns of a URL that leads to another port than the one that the issuer listens on, if
// nothing is known that stands between them. A port of an address that other machines reach may be
// mapped, as containers do.
func (c checker) issuerPort(s *Issuer) {
	u, err := url.Parse(s.URL)
	host, port, bad := net.SplitHostPort(s.Listen)
	if err != nil || bad != nil || len(c.conf.TrustedProxies) > 0 {
		return
	}

	address, _ := netip.ParseAddr(host)
	want := cmp.Or(u.Port(), map[string]string{"http": "80", "https": "443"}[u.Scheme])
	// Port 0 is any free one: a test's.
	if port == want || port == "0" || host != "localhost" && !address.IsLoopback() {
		return
	}

	c.conf.Warnings = append(c.conf.Warnings, c.At(&s.URL, fmt.Sprintf(
		"clients connect to port %s, and issuer.listen has port %s of this machine alone: change one of them, or name "+
			"the proxy between them in trusted_proxies", want, port,
	)))
}

// audiences checks that no two services accept each other's tokens or assertions, and none those for the issuer.
func (c checker) audiences() {
	// A token for one service would be valid at the other.
	taken := make(map[string]*string)
	if c.conf.Issuer != nil {
		taken[c.conf.Issuer.URL] = &c.conf.Issuer.URL
	}

	for i := range c.conf.Services {
		s := &c.conf.Services[i]
		if s.Tokens != nil {
			c.unique(taken, s.Tokens.Audience, &s.Tokens.Audience)
		} else {
			c.unique(taken, s.Name, &s.Name) // of its assertions
		}
	}
}

// clients checks declared clients. Users have the names in taken; no client has one.
func (c checker) clients(taken map[string]*string) {
	for i := range c.conf.Clients {
		client := &c.conf.Clients[i]
		folded, err := naming.Client(client.Name)
		if err != nil {
			c.badName(&client.Name, "client name", client.Name, err)
		}

		c.unique(taken, folded, &client.Name)
		c.client(client)
	}
}

// hexHash is a SHA-256 in hex. Upper case is refused, so that one hash has one spelling in
// files that are compared.
var hexHash = regexp.MustCompile(`^[0-9a-f]{64}$`)

// client checks one client. A client without any way to authenticate is a mistake: to lock
// one out there is disabled.
func (c checker) client(client *Client) {
	if c.Has(&client.SecretHash) && !hexHash.MatchString(client.SecretHash) {
		c.Fault(
			&client.SecretHash,
			"invalid hash: want 64 hex digits in lower case; 'jeton client new-secret' prints them",
		)
	}
	if client.OpenID != nil {
		c.openID(client)
	}

	public := client.OpenID != nil && client.OpenID.Public
	proved := public || c.conf.ActsByWorkload(client.Name)
	if len(client.Keys) == 0 && client.KeySource == nil && !c.Has(&client.SecretHash) && !proved {
		c.Fault(
			client,
			"the client cannot authenticate; keys, key_source, secret_hash or a rule in issuer.workloads is required",
		)
	}

	for i := range client.Keys {
		c.clientKey(&client.Keys[i])
	}
	if client.KeySource != nil {
		c.keySource(client.KeySource)
	}

	c.servicesExist(client.Services)
	c.servicesExist(client.Introspects)
	c.scopes(client.Scopes)
	c.exchanges(client)
}

// clientKey checks a key as far as it stands in the file. A key in a file of its own is read
// when the server starts, because it is relative to the data directory, which is not known
// here.
func (c checker) clientKey(k *ClientKey) {
	if k.ID != "" {
		if err := naming.KeyID(k.ID); err != nil {
			c.badName(&k.ID, "key identifier", k.ID, err)
		}
	}

	switch {
	case k.Public != "" && k.File != "":
		c.Fault(&k.File, "conflicts with public; keep one")
	case k.Public == "" && k.File == "":
		c.Fault(k, "missing; public or file is required")
	case k.Public != "":
		_, err := jose.ParseKey([]byte(k.Public), jose.Alg(k.Algorithm), k.ID)
		if err != nil {
			c.Fault(&k.Public, "invalid key: %v", err)
		}
	}

	// Zero is no end.
	if !k.NotAfter.IsZero() && !k.NotAfter.After(k.NotBefore.Time) {
		c.Fault(&k.NotAfter, "not_after is not later than not_before, so the key would never be valid; correct one")
	}
}

// keySource checks where keys are fetched from. No fault shows the URL, which may hold a
// password by mistake.
func (c checker) keySource(s *KeySource) {
	if s.Algorithm != "" && s.Format != "pem" {
		c.Fault(&s.Algorithm, "set for a JWK Set, whose keys name their algorithms; remove it, or set format: pem")
	}
	if !c.Valid(&s.URL) {
		return
	}

	c.outbound(&s.URL, s.PrivateNetwork, "replace a key", "jwks.json")
	if strings.HasPrefix(s.URL, "http://") && s.CA != "" {
		c.Fault(&s.CA, "set for an http:// url; remove it, or use https://")
	}
}

// documents checks the hosts whose documents describe clients.
func (c checker) documents(s *Issuer) {
	if len(s.Documents) > 0 && !s.Pages {
		c.Fault(&s.Documents, "needs the sign-in page, and issuer.pages is false; set it to true, or remove this")
	}

	taken := map[string]*string{}
	for i := range s.Documents {
		d := &s.Documents[i]
		if err := naming.DocumentHost(d.Host); err != nil && c.Valid(&d.Host) {
			c.badName(&d.Host, "host", d.Host, err)
		}

		c.unique(taken, d.Host, &d.Host)
		c.servicesExist(d.Services)
		c.scopes(d.Scopes)
	}
}

// outbound checks an address that requests are sent to. An attacker on the network can do what is named, without TLS.
func (c checker) outbound(at *string, private bool, attack, example string) {
	u, err := url.Parse(*at)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" || u.User != nil ||
		strings.Contains(*at, "#") {
		c.Fault(at, "invalid URL: want one such as https://app.example.org/%s", example)
		return
	}

	if u.Scheme == "http" && !private {
		c.Fault(
			at, "invalid URL: want https://, since anyone on the network could %s, or private_network: true", attack,
		)
	}

	// It must not become a request to an internal service (SSRF). Host names are checked after they are resolved, by
	// the code that sends.
	address, err := netip.ParseAddr(u.Hostname())
	if err == nil && !private && (address.IsLoopback() || address.IsPrivate() ||
		address.IsLinkLocalUnicast() || address.IsUnspecified()) {
		c.Fault(at, "invalid URL: want a public address, or private_network: true")
	}
}

// servicesExist checks names of services that have tokens.
func (c checker) servicesExist(names []string) {
	for i := range names {
		c.serviceExists(&names[i])
	}
}

// serviceExists checks the name of a service that has tokens.
func (c checker) serviceExists(name *string) {
	var known []string
	for i := range c.conf.Services {
		if c.conf.Services[i].Tokens != nil {
			known = append(known, c.conf.Services[i].Name)
		}
	}

	if !slices.Contains(known, *name) {
		c.Fault(name, "no service %s with tokens; %s", yamlread.Quote(*name), yamlread.Suggest(*name, known))
	}
}

// scopes checks the form of scopes (RFC 6749, section 3.3). Scopes are not declared anywhere,
// hence a misspelled one is not noticed.
func (c checker) scopes(scopes []string) {
	for i := range scopes {
		scope := &scopes[i]
		if err := naming.Scope(*scope); err != nil {
			c.badName(scope, "scope", *scope, err)
		}
	}
}

// tokens checks the terms of access tokens.
func (c checker) tokens(t *Tokens) {
	if t.leavesNoTime() && c.Valid(&t.Lifetime) {
		c.Fault(
			&t.ActivationDelay,
			"%v and a lifetime of %v leave no second in which every token is valid; make lifetime 2s longer than it",
			t.ActivationDelay, t.Lifetime,
		)
	}
	if strings.ContainsAny(t.Audience, " \t\r\n\"\\") || len(t.Audience) > 256 {
		c.Invalid(&t.Audience, "audience", t.Audience, "a name or a URL without spaces, at most 256 bytes")
	}
	if t.Format == "opaque" && c.Has(&t.Algorithm) {
		c.Fault(&t.Algorithm, "set for opaque tokens, which are not signed; remove it")
	}
}

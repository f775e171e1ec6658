package config

import (
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/jeton-auth/jeton/internal/naming"
	"github.com/jeton-auth/jeton/internal/outbound"
)

// maxLabel bounds the text of a button, in bytes.
const maxLabel = 64

// providers checks the providers at which users sign in.
func (c checker) providers(s *Issuer) {
	if len(s.Upstreams) > 0 && !s.Pages {
		c.Fault(&s.Upstreams, "needs the sign-in page, and issuer.pages is false; set it to true, or remove this")
	}

	taken, issuers := map[string]*string{}, map[string]*string{}
	for i := range s.Upstreams {
		p := &s.Upstreams[i]
		if err := naming.Service(p.Name); err != nil && c.Valid(&p.Name) {
			c.badName(&p.Name, "name of a provider", p.Name, err)
		}
		c.unique(taken, p.Name, &p.Name)

		if p.Issuer == ProviderGitHub {
			c.gitHub(p)
			c.unique(issuers, p.GitHubURL, &p.GitHubURL)
		} else {
			c.openIDProvider(p)
			c.unique(issuers, p.Issuer, &p.Issuer)
		}

		c.providerUsers(p)
		if !c.Has(&p.Label) {
			p.Label = p.Name
		}
		if p.Label == "" || len(p.Label) > maxLabel {
			c.Fault(&p.Label, "want 1 to %d bytes", maxLabel)
		}
	}
}

// gitHub checks what GitHub has, and has not.
func (c checker) gitHub(p *Provider) {
	if !c.Has(&p.GitHubURL) {
		p.GitHubURL = "https://github.com"
	}
	c.providerURL(p, &p.GitHubURL)

	if !c.Has(&p.Scopes) {
		p.Scopes = []string{"read:user", "user:email"}
	}
	if !c.Has(&p.ClientSecretFile) {
		c.Fault(p, "client_secret_file is missing; GitHub requires a secret")
	}
	if c.Has(&p.GroupsClaim) {
		c.Fault(&p.GroupsClaim, "set for GitHub, which has no claims; remove it")
	}
}

// openIDProvider checks a provider of OpenID Connect.
func (c checker) openIDProvider(p *Provider) {
	if c.Valid(&p.Issuer) {
		c.providerURL(p, &p.Issuer)
	}
	if c.Has(&p.GitHubURL) {
		c.Fault(&p.GitHubURL, "set for a provider that is not GitHub; remove it, or set issuer: github")
	}

	if !c.Has(&p.Scopes) {
		p.Scopes = []string{"openid", "profile", "email"}
	}
	if !slices.Contains(p.Scopes, "openid") {
		c.Fault(&p.Scopes, "without openid, without which there is no ID token; add it")
	}
	c.scopes(p.Scopes)
}

// providerURL checks the address of a provider. No fault shows it, for it may hold a password by mistake.
func (c checker) providerURL(p *Provider, field *string) {
	u, err := url.Parse(*field)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" || u.User != nil ||
		strings.ContainsAny(*field, "?#") {
		c.Fault(field, "invalid URL: want one such as https://login.example.org, or github as the issuer")
		return
	}

	if u.Scheme == "http" && !(p.PrivateNetwork && outbound.Loopback(u.Hostname())) {
		c.Fault(field, "invalid URL: want https://; http:// is for localhost alone, with private_network: true")
		return
	}

	// Host names are checked after they are resolved, by the code that asks the provider (SSRF).
	address, err := netip.ParseAddr(u.Hostname())
	if err == nil && !p.PrivateNetwork && (!address.IsGlobalUnicast() || address.IsPrivate()) {
		c.Fault(field, "invalid URL: want a public address, or private_network: true")
	}
}

// providerUsers checks who may sign in, and with which groups.
func (c checker) providerUsers(p *Provider) {
	var lists [][]string
	if p.Allow != nil {
		lists = append(lists, p.Allow.Domains)
	}
	lists = append(lists, p.LinkDomains)

	for _, list := range lists {
		for i := range list {
			domain := &list[i]
			if *domain != strings.ToLower(*domain) || strings.Contains(*domain, "@") || !isHost(*domain) {
				c.Invalid(domain, "domain", *domain, "one in lower case such as example.org")
			}
		}
	}

	if p.GroupsClaim == "" && p.Allow != nil && len(p.Allow.Groups) > 0 {
		c.Fault(&p.Allow.Groups, "needs the claim that has the groups; add groups_claim")
	}
	if p.GroupsClaim == "" && len(p.Groups) > 0 {
		c.Fault(&p.Groups, "needs the claim that has the groups; add groups_claim")
	}

	taken := map[string]*string{}
	for i := range p.Groups {
		m := &p.Groups[i]
		c.unique(taken, m.From, &m.From)
		for j := range m.To {
			if err := naming.Group(m.To[j]); err != nil {
				c.badName(&m.To[j], "group", m.To[j], err)
			}
		}
	}
}

// providerSecret reads the file with the secret of this server at a provider.
func (c checker) providerSecret(p *Provider, folder string) {
	p.secret = c.secretFile(&p.ClientSecretFile, folder, 1, "the secret on one line, without spaces")
}

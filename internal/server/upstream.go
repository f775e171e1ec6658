package server

import (
	"slices"

	"github.com/jeton-auth/jeton/internal/account"
	"github.com/jeton-auth/jeton/internal/config"
	"github.com/jeton-auth/jeton/internal/outbound"
	"github.com/jeton-auth/jeton/internal/pages"
	"github.com/jeton-auth/jeton/internal/signin"
	"github.com/jeton-auth/jeton/internal/upstream"
)

// issuerOf returns the issuer of the users of a provider.
func issuerOf(p *config.Provider) string {
	if p.Issuer == config.ProviderGitHub {
		return p.GitHubURL
	}

	return p.Issuer
}

// openAccounts opens the users, who may sign in at the providers of the configuration.
func (k *core) openAccounts(c Config, conf *config.Config) {
	k.setProviders(conf)
	k.accounts = account.New(account.Config{
		Store:     k.db,
		Hasher:    k.hasher,
		Policy:    passwordPolicy(conf),
		Now:       c.Now,
		Log:       c.Log,
		Providers: k.providers,
	})
}

// setProviders sets the providers at which users can sign in.
func (k *core) setProviders(conf *config.Config) {
	var issuers []string
	if conf.Issuer != nil {
		for i := range conf.Issuer.Upstreams {
			issuers = append(issuers, issuerOf(&conf.Issuer.Upstreams[i]))
		}
	}

	k.issuers.Store(&issuers)
}

// providers returns the issuers of the providers at which users can sign in.
func (k *core) providers() []string { return *k.issuers.Load() }

// providerOf returns the name of the provider of an issuer, or "".
func providerOf(conf *config.Config, issuer string) string {
	if conf.Issuer == nil {
		return ""
	}

	list := conf.Issuer.Upstreams
	at := slices.IndexFunc(list, func(p config.Provider) bool { return issuerOf(&p) == issuer })
	if at < 0 {
		return ""
	}

	return list[at].Name
}

// upstreams returns the providers at which users sign in.
func (s *Server) upstreams(conf *config.Config) ([]pages.Upstream, error) {
	var list []pages.Upstream
	for i := range conf.Issuer.Upstreams {
		p := &conf.Issuer.Upstreams[i]

		target := outbound.Target{Private: p.PrivateNetwork}
		if p.CA != "" {
			target.CA = s.core.dir.file(p.CA)
		}

		provider, err := upstream.New(upstream.Config{
			Name:        p.Name,
			Issuer:      issuerOf(p),
			GitHub:      p.Issuer == config.ProviderGitHub,
			ClientID:    p.ClientID,
			Secret:      p.ClientSecret(),
			Scopes:      p.Scopes,
			GroupsClaim: p.GroupsClaim,
			Redirect:    conf.Issuer.URL + pages.UpstreamPath(p.Name) + "/callback",
			Target:      target,
			Key:         s.core.secret.Derive("sign-in at a provider"),
			Now:         s.c.Now,
			Log:         s.c.Log,
		})
		if err != nil {
			return nil, err
		}

		list = append(list, pages.Upstream{
			Provider: provider,
			Label:    p.Label,
			Invited:  p.Users != config.ProviderExisting,
			Rules:    upstreamRules(p, conf.ReservedUsers()),
		})
	}

	return list, nil
}

// upstreamRules returns which users of a provider may sign in, and which names none of them gets.
func upstreamRules(p *config.Provider, reserved []string) signin.UpstreamRules {
	r := signin.UpstreamRules{
		Name:        p.Name,
		Creates:     p.Users == config.ProviderCreate,
		Reserved:    reserved,
		LinkDomains: p.LinkDomains,
		Mapped:      map[string][]string{},
	}
	if p.Allow != nil {
		r.Domains, r.Groups = p.Allow.Domains, p.Allow.Groups
	}
	for _, m := range p.Groups {
		r.Mapped[m.From] = m.To
	}

	return r
}

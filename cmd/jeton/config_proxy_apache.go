//go:build !walletonly

package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/jeton-auth/jeton/internal/config"
	"github.com/jeton-auth/jeton/internal/forward"
)

// party returns the relying party that Apache is for a service. It refuses whatever Jeton would decide about a request
// and Apache cannot.
func party(conf *config.Config, s config.Service, dataDir string) (*forward.Party, error) {
	if conf.Issuer == nil {
		return nil, errors.New("apache signs users in at the issuer; add the section issuer")
	}
	if s.Session.MaxUses != nil {
		return nil, errors.New("session.max_uses: apache asks about no request and counts none; remove it")
	}
	for _, r := range s.Routes {
		if r.Match != "/{rest...}" || r.Open || r.Allow != nil || r.MaxUses != nil || len(r.Scopes) > 0 {
			const text = "route %s: apache asks about no request, and judges no rules of routes; " +
				"leave the one route /{rest...} without rules, or choose another proxy"
			return nil, fmt.Errorf(text, r.Match)
		}
	}

	c, err := partyAt(conf, s.URL+forward.ApachePath)
	if err != nil {
		return nil, err
	}

	switch {
	case c.SecretHash == "" || c.OpenID.Public:
		return nil, fmt.Errorf("client %s: apache proves itself with a secret; add secret_hash", c.Name)
	case !sameUsers(c.OpenID.Allow, s.Login.Allow):
		const text = "client %s: openid.allow is not login.allow of the service; apache lets in whom the client does"
		return nil, fmt.Errorf(text, c.Name)
	case s.Tokens != nil && !slices.Contains(c.Introspects, s.Name):
		return nil, fmt.Errorf("client %s: introspects lacks %s, whose tokens apache accepts; add it", c.Name, s.Name)
	}

	p := &forward.Party{Issuer: conf.Issuer.URL, Client: c.Name, Tokens: s.Tokens != nil}
	if conf.Issuer.TLS.Cert == config.DefaultCertificate && !conf.Issuer.PlainHTTP {
		p.CA, err = filepath.Abs(filepath.Join(dataDir, config.DefaultCertificate))
	}

	return p, err
}

// partyAt returns the client that may return browsers to an address.
func partyAt(conf *config.Config, address string) (config.Client, error) {
	for _, c := range conf.Clients {
		if c.OpenID != nil && slices.Contains(c.OpenID.RedirectURIs, address) {
			return c, nil
		}
	}

	const text = "no client has %s in openid.redirect_uris; apache signs users in as one"
	return config.Client{}, fmt.Errorf(text, address)
}

// sameUsers reports whether two lists let the same users in. That of a service with a rule beside them does not.
func sameUsers(party *config.AllowUsers, service *config.Allow) bool {
	if party == nil || service == nil {
		return party == nil && service == nil
	}

	same := func(a, b []string) bool {
		return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
	}

	return same(party.Users, service.Users) && same(party.Groups, service.Groups)
}

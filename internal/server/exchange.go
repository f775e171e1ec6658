package server

import (
	"fmt"

	"github.com/jeton-auth/jeton/internal/config"
	"github.com/jeton-auth/jeton/internal/oauth"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/signin"
	"github.com/jeton-auth/jeton/internal/web"
)

// exchanges returns the rules by which clients exchange tokens for those of the next service.
func exchanges(conf *config.Config) (signin.Exchanges, error) {
	all := signin.Exchanges{}
	for _, c := range conf.Clients {
		for _, e := range c.Exchanges {
			rule := policy.ExchangeRule{
				From:       e.From,
				To:         e.To,
				Scopes:     e.Scopes,
				Lifetime:   e.Lifetime.Std(),
				MaxUses:    policy.Unlimited,
				SharedUses: e.SharedUses,
			}
			if e.MaxUses != nil {
				rule.MaxUses = *e.MaxUses
			}

			var err error
			rule.Allows, err = policy.ParseRules(e.Allows)
			if err != nil {
				// Without them, the tokens would be for every request.
				return nil, fmt.Errorf("exchanges of client %s: %w", c.Name, err)
			}
			all[c.Name] = append(all[c.Name], rule)
		}
	}

	return all, nil
}

// authorizationServer builds the authorization server.
func (s *Server) authorizationServer(conf *config.Config, page web.Notices) (*oauth.Server, error) {
	workloads, err := s.workloads(conf)
	if err != nil {
		return nil, err
	}

	rules, err := exchanges(conf)
	if err != nil {
		return nil, err
	}

	return oauth.New(oauth.Config{
		Issuer:    *conf.Issuer,
		Targets:   s.targets(conf),
		Workloads: workloads,
		Exchanges: rules,
		Logins:    s.core.logins,
		Sessions:  s.core.sessions,
		Tokens:    s.core.tokens,
		Clients:   s.core.clients,
		Ring:      s.core.keys,
		Audit:     s.core.audit,
		Relying:   s.relying(conf),
		Page:      page,
		Accounts:  s.core.accounts,
		Subjects:  s.core.subjects,
		Key:       s.core.secret.Derive("authorization request"),
		Managers:  s.core.admins(conf),
	})
}

package server

import (
	"fmt"

	"github.com/jeton-auth/jeton/internal/config"
	"github.com/jeton-auth/jeton/internal/oauth"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/signin"
	"github.com/jeton-auth/jeton/internal/web"
)

// exchangeRules returns the rules by which clients exchange tokens for those of the next service.
func exchangeRules(conf *config.Config) (signin.ExchangeRules, error) {
	all := signin.ExchangeRules{}
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

// issuingRules returns the IDs of the rules of a configuration by which tokens are issued.
func issuingRules(conf *config.Config) ([]string, error) {
	byClient, err := exchangeRules(conf)
	if err != nil {
		return nil, err
	}

	var ids []string
	for name, rules := range byClient {
		for _, rule := range rules {
			ids = append(ids, rule.ID(name))
		}
	}
	if conf.Issuer == nil {
		return ids, nil
	}

	for _, w := range conf.Issuer.Workloads {
		for _, declared := range w.Rules {
			rule, err := workloadRule(declared)
			if err != nil {
				return nil, fmt.Errorf("rule of the workload issuer %s: %w", w.Name, err)
			}
			ids = append(ids, rule.ID(w.Name, w.Issuer))
		}
	}

	return ids, nil
}

// authorizationServer builds the authorization server.
func (s *Server) authorizationServer(conf *config.Config, page web.Notices) (*oauth.Server, error) {
	workloads, err := s.workloads(conf)
	if err != nil {
		return nil, err
	}

	rules, err := exchangeRules(conf)
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

package gateway

import (
	"github.com/jeton-auth/jeton/internal/config"
	"github.com/jeton-auth/jeton/internal/policy"
)

// terms returns the terms of a login at a service.
func terms(s config.Service) policy.Terms {
	return policy.Terms{
		Idle:        s.Session.IdleTimeout.Std(),
		Lifetime:    s.Session.Lifetime.Std(),
		MaxSessions: unlimited(s.Session.MaxSessions),
		WhenFull:    policy.WhenFull(s.Session.WhenFull),
		Relogin: policy.Relogin{
			Max:      unlimited(s.Relogin.MaxLogins),
			Window:   s.Relogin.Window.Std(),
			Cooldown: s.Relogin.Cooldown.Std(),
		},
	}
}

// unlimited reads a limit of the configuration: absent means that there is none.
func unlimited(n int) int {
	if n == 0 {
		return policy.Unlimited
	}
	return n
}

// require returns how users have to be proved.
func require(r *config.Require) policy.Require {
	if r == nil {
		return policy.Require{}
	}
	return policy.Require{Factors: r.Factors, MaxAge: r.MaxAge.Std()}
}

// RequireAnywhere returns what some route of a service requires, for credentials that are good for all of them.
func RequireAnywhere(s config.Service) policy.Require {
	all := require(s.Require)
	for _, r := range s.Routes {
		all = all.And(require(r.Require))
	}

	return all
}

// TokenTerms returns the terms of access tokens for a service, and false when it accepts none.
func TokenTerms(s config.Service) (policy.TokenTerms, bool) {
	c := s.Tokens
	if c == nil {
		return policy.TokenTerms{}, false
	}

	t := policy.TokenTerms{
		Format:   policy.Format(c.Format),
		Audience: c.Audience,
		Alg:      c.Algorithm,
		Delay:    c.ActivationDelay.Std(),
		Lifetime: c.Lifetime.Std(),
		MaxUses:  policy.Unlimited,
	}
	if c.MaxUses != nil {
		t.MaxUses = *c.MaxUses
	}

	// A counted route needs a token that the store knows, so that its uses have a row.
	for _, r := range s.Routes {
		t.Counted = t.Counted || r.MaxUses != nil
	}

	return t, true
}

// LoginAllow returns which users may log in at a service; nil: all.
func LoginAllow(s config.Service) *policy.Allow { return allow(s.Login.Allow) }

// Grants returns the scopes that users have at a service.
func Grants(s config.Service) policy.Grants {
	var list policy.Grants
	for _, u := range s.UserScopes {
		g := policy.Grant{Scopes: u.Scopes}
		if u.Allow != nil {
			g.Allow = &policy.Allow{Users: u.Allow.Users, Groups: u.Allow.Groups}
		}
		list = append(list, g)
	}

	return list
}

package gateway

import (
	"github.com/jeton-auth/jeton/internal/config"
	"github.com/jeton-auth/jeton/internal/gate"
	"github.com/jeton-auth/jeton/internal/policy"
)

// readers returns how credentials are read at a service, in the order in which they are asked.
// The header Authorization comes first: a client sends a cookie with every request, and an
// expired one must not spoil a valid token.
func readers(c Config) []gate.Reader {
	var list []gate.Reader

	audience := ""
	if c.Service.Tokens != nil {
		audience = c.Service.Tokens.Audience
		list = append(list, gate.Bearer{Tokens: c.Tokens, Audience: audience})
	}

	list = append(list, gate.Basic{
		Tokens:   c.Tokens,
		Audience: audience,
		Logins:   c.Logins,
		ByEmail:  c.EmailLogin,
	}, c.Cookies.Reader())

	return append(list, c.Readers...)
}

// accepts returns what the callers of a route may prove themselves with.
func accepts(s config.Service, r config.Route) policy.Kinds {
	names := r.Accept
	// Load refuses an empty list in the file, so this is a route without one.
	if len(names) == 0 {
		names = s.Accepts()
	}

	var kinds policy.Kinds
	for _, name := range names {
		switch name {
		case "session":
			kinds |= policy.BySession
		case "token":
			kinds |= policy.ByToken
		case "basic":
			kinds |= policy.ByPassword
		}
	}

	return kinds
}

// schemes returns what a refused caller of the service may prove itself with: what some route
// accepts, and a client can get.
func schemes(s config.Service) policy.Kinds {
	var kinds policy.Kinds

	// Basic only where a route accepts it: a browser that is asked for it remembers the password.
	for _, r := range s.Routes {
		kinds |= accepts(s, r) & policy.ByPassword
	}

	if s.Tokens != nil {
		kinds |= policy.ByToken
	}
	if len(s.Login.Paths) > 0 || s.Login.SignIn {
		kinds |= policy.BySession
	}

	return kinds
}

// allow converts a list of the configuration.
func allow(a *config.Allow) *policy.Allow {
	// nil allows every user, and an empty Allow none: the two must stay different.
	if a == nil {
		return nil
	}
	return &policy.Allow{Users: a.Users, Groups: a.Groups, Clients: a.Clients}
}

package gateway

import (
	"github.com/jeton-auth/jeton/internal/config"
	"github.com/jeton-auth/jeton/internal/gate"
	"github.com/jeton-auth/jeton/internal/policy"
)

// readers are how credentials are read at a service, in the order in which they are asked.
func readers(c Config) []gate.Reader {
	s := c.Service
	// What a caller says in so many words comes before the cookie that a client sends by
	// itself: one that has ended must not spoil a good token.
	var list []gate.Reader
	if s.Tokens != nil {
		list = append(list, gate.Bearer{Tokens: c.Tokens, Audience: s.Tokens.Audience, Allow: allow(s.Login.Allow)})
	}

	list = append(list, gate.Basic{
		Tokens:   c.Tokens,
		Audience: audience(s),
		Logins:   c.Logins,
		Allow:    allow(s.Login.Allow),
		ByEmail:  s.UsersAPI != nil && s.UsersAPI.Classic != nil,
	})
	t := teaching(s).Cookies
	if t != nil {
		list = append(list, gate.NamedCookies{User: t.Name, Token: t.Token, Sessions: c.Sessions})
	} else {
		list = append(list, gate.Cookie{Name: s.Session.Cookie, Sessions: c.Sessions, Service: s.SessionsOf()})
	}

	if teaching(s).TokenInBody {
		list = append(list, gate.Body{Tokens: c.Tokens, Audience: s.Tokens.Audience, Allow: allow(s.Login.Allow)})
	}

	return list
}

// audience returns what tokens for a service are for, "" when it takes none.
func audience(s config.Service) string {
	if s.Tokens == nil {
		return ""
	}
	return s.Tokens.Audience
}

// accepts returns what the callers of a route may prove themselves with.
func accepts(s config.Service, r config.Route) policy.Kinds {
	names := r.Accept
	if len(names) == 0 {
		names = s.Accepts()
	}

	var k policy.Kinds
	for _, name := range names {
		switch name {
		case "session":
			k |= policy.BySession
		case "token":
			k |= policy.ByToken
		case "basic":
			k |= policy.ByPassword
		}
	}

	return k
}

func allow(a *config.Allow) *policy.Allow {
	if a == nil {
		return nil
	}
	return &policy.Allow{Users: a.Users, Groups: a.Groups, Clients: a.Clients}
}

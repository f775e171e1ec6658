package server

import (
	"github.com/jeton-auth/jeton/internal/api"
	"github.com/jeton-auth/jeton/internal/config"
	"github.com/jeton-auth/jeton/internal/gate"
	"github.com/jeton-auth/jeton/internal/oauth"
	"github.com/jeton-auth/jeton/internal/pages"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/web"
)

// issuerAPIRoutes returns the routes of the API at the authorization server. Its pages call them.
func (s *Server) issuerAPIRoutes(conf *config.Config, readers *gate.Service, terms policy.Terms) []web.Route {
	// The configuration of this mux, as in usersAPIRoutes.
	c := s.core.apiConfig(conf, func() *config.Config { return conf })
	c.Prefix, c.PageSize = api.IssuerPrefix, api.PageSize
	c.Issuer = true
	c.Service = config.Service{
		Name:      oauth.Name,
		PlainHTTP: conf.Issuer.PlainHTTP,
		Session:   config.Session{Cookie: conf.Issuer.SessionCookie().Name},
	}
	c.Readers = readers
	// Of sessions alone: a personal token is valid at the services that it names.
	c.Accepts = policy.BySession
	c.Terms = terms
	c.Admins = policy.Allow{Groups: []string{pages.AdminGroup}}
	s.showState(&c)

	return api.New(c).Table().Routes()
}

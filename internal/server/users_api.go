package server

import (
	"github.com/jeton-auth/jeton/internal/api"
	"github.com/jeton-auth/jeton/internal/config"
	"github.com/jeton-auth/jeton/internal/gateway"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/teaching"
	"github.com/jeton-auth/jeton/internal/web"
)

// usersAPIRoutes returns the routes of the API at a service that has it.
func (s *Server) usersAPIRoutes(conf *config.Config, service config.Service, g *gateway.Gateway) []web.Route {
	u := service.UsersAPI
	if u == nil {
		return nil
	}

	// The configuration of this mux, not the current one: a reload builds the next mux before
	// it applies it.
	c := s.core.apiConfig(conf, func() *config.Config { return conf })
	c.Prefix, c.PageSize = u.Prefix, api.PageSize
	c.Service, c.Readers = service, g.Service()
	c.Accepts, c.Terms = g.Accepts(), g.Terms()
	c.Require = g.Require()
	c.LoginAllow = gateway.LoginAllow(service)
	c.Admins = policy.Allow{Groups: u.Admins, Clients: u.Clients}

	return teaching.UsersAPI(c)
}

// weaknesses names the options of a service that make it weaker than the default.
func weaknesses(service config.Service) []string {
	return append(gateway.Weaknesses(service), teaching.Weaknesses(service)...)
}

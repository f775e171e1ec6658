package server

import (
	"context"
	"slices"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/api"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/config"
	"github.com/jeton-auth/jeton/internal/gateway"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/session"
	"github.com/jeton-auth/jeton/internal/teaching"
	"github.com/jeton-auth/jeton/internal/web"
)

// usersAPIRoutes returns the routes of the API at a service that has it.
func (s *Server) usersAPIRoutes(conf *config.Config, service config.Service, g *gateway.Gateway) ([]web.Route, error) {
	u := service.UsersAPI
	if u == nil {
		return nil, nil
	}

	c := s.core.apiConfig(func() *config.Config { return conf })
	c.Prefix, c.PageSize = u.Prefix, api.PageSize
	c.Service, c.Readers = service, g.Service()
	c.Accepts, c.Terms = g.Accepts(), g.Terms()
	c.LoginAllow = gateway.LoginAllow(service)
	c.Admins = policy.Allow{Groups: u.Admins, Clients: u.Clients}

	return teaching.UsersAPI(c)
}

// endOfProcess ends the sessions that were to end with a process before this one, of the
// services that conf brings. The caller holds mu.
func (s *Server) endOfProcess(ctx context.Context, conf *config.Config) error {
	for _, service := range conf.Services {
		served := func(old config.Service) bool {
			return s.up.Load() && old.Name == service.Name && teaching.HasClassicAPI(old)
		}
		if !teaching.HasClassicAPI(service) || slices.ContainsFunc(s.conf.Services, served) {
			continue
		}

		ev := jeton.Event{
			Time:    s.c.Now(),
			Actor:   "config",
			Action:  audit.SessionEnd,
			Target:  "service:" + service.Name,
			Service: service.Name,
			Outcome: audit.OK,
			Reason:  "they end with the process",
		}
		if _, err := s.core.sessions.End(ctx, session.Which{Service: service.OfProcess()}, ev); err != nil {
			return err
		}
	}

	return nil
}

// weaknesses names the options of a service that make it weaker than the default.
func weaknesses(service config.Service) []string {
	return append(gateway.Weaknesses(service), teaching.Weaknesses(service)...)
}

package server

import (
	"context"
	"slices"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/api"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/config"
	"github.com/jeton-auth/jeton/internal/gateway"
	"github.com/jeton-auth/jeton/internal/session"
	"github.com/jeton-auth/jeton/internal/web"
)

// peopleRows returns the rows of the users API of a service, beside those of the gateway:
// none where it has no such API.
func (s *Server) peopleRows(conf *config.Config, service config.Service, g *gateway.Gateway) ([]web.Route, error) {
	if service.UsersAPI == nil {
		return nil, nil
	}

	a, err := api.NewUsers(api.Config{
		Service:   service,
		Door:      g.Service(),
		Accepts:   g.Accepts(),
		Terms:     g.Terms(),
		Gate:      s.core.gate,
		Accounts:  s.core.accounts,
		Sessions:  s.core.sessions,
		Tokens:    s.core.tokens,
		Logins:    s.core.logins,
		CursorKey: s.core.secret.Derive("cursor of users"),
		Audiences: func(names []string) ([]string, error) { return audiences(conf, names) },
	})
	if err != nil {
		return nil, err
	}

	return a.Routes(), nil
}

// endOfProcess ends the sessions that were to end with a process before this one, of the
// services that conf brings. The caller holds mu.
func (s *Server) endOfProcess(ctx context.Context, conf *config.Config) error {
	for _, service := range conf.Services {
		served := func(old config.Service) bool { return s.up.Load() && old.Name == service.Name && classic(old) }
		if !classic(service) || slices.ContainsFunc(s.conf.Services, served) {
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

func classic(service config.Service) bool {
	return service.UsersAPI != nil && service.UsersAPI.Classic != nil
}

// weaknesses names the options of a service that make it weaker than the default.
func weaknesses(service config.Service) []string {
	return append(gateway.Weaknesses(service), api.Weaknesses(service)...)
}

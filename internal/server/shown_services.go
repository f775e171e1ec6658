package server

import (
	"net"
	"net/url"

	"github.com/jeton-auth/jeton/internal/api"
	"github.com/jeton-auth/jeton/internal/config"
	"github.com/jeton-auth/jeton/internal/gateway"
	"github.com/jeton-auth/jeton/internal/policy"
)

// shownServices returns the services with their routes, for admins.
func (s *Server) shownServices() []api.Service {
	s.mu.Lock()
	defer s.mu.Unlock()

	list := []api.Service{}
	for _, service := range s.conf.Services {
		l := s.listeners[listenKey(service.Listen, service.Name)]
		d := muxOf(l, service.Name)
		if service.Forwarded() {
			d = s.forwardedAt(service.Name, &url.URL{})
		}
		if d == nil {
			continue
		}

		shown := shownService(service)
		shown.URL = service.URL
		if shown.URL == "" {
			shown.URL = address(service.PlainHTTP, service.Listen, browserHost(service), l.net.Addr().String())
		}
		for _, route := range d.routes {
			if route.Configured {
				shown.Routes = append(shown.Routes, api.RouteWith(route.Pattern, route.Access))
			}
		}

		list = append(list, shown)
	}

	return list
}

// browserHost returns the host name by which browsers reach a service, or "" for that in listen. The pages of a server
// on this machine are at localhost: so are its services, and the browser shows one name for both.
func browserHost(service config.Service) string {
	if service.Host != "" {
		return service.Host
	}

	bound, _, _ := net.SplitHostPort(service.Listen) // package config has checked it
	if bound == "127.0.0.1" || bound == "::1" {
		return "localhost"
	}

	return ""
}

// shownService returns a service without its address and its routes.
func shownService(service config.Service) api.Service {
	shown := api.Service{
		Name:     service.Name,
		Declared: true,
		Accepts:  append([]string{}, service.Accepts()...),
		Login:    gateway.LoginAllow(service),
		Grants:   gateway.Grants(service),
		Scopes:   []string{},
		Routes:   []api.ServiceRoute{},
	}

	shown.Allow = api.AllowedBy(shown.Login)
	_, shown.Tokens = gateway.TokenTerms(service)
	for _, grant := range shown.Grants {
		shown.Scopes = append(shown.Scopes, grant.Scopes...)
	}

	for _, kind := range shown.Accepts {
		if kind == policy.BySession.String() {
			shown.Session = &api.SessionTerms{
				IdleTimeout: int64(service.Session.IdleTimeout.Std().Seconds()),
				Lifetime:    int64(service.Session.Lifetime.Std().Seconds()),
				MaxSessions: service.Session.MaxSessions,
			}
		}
	}

	return shown
}

// servicesOf returns the services of a configuration without addresses and routes, where no server runs.
func servicesOf(conf *config.Config) []api.Service {
	list := []api.Service{}
	for _, service := range conf.Services {
		list = append(list, shownService(service))
	}

	return list
}

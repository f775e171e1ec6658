package server

import (
	"net"
	"sync/atomic"

	"github.com/jeton-auth/jeton/internal/config"
	"github.com/jeton-auth/jeton/internal/gateway"
	"github.com/jeton-auth/jeton/internal/oauth"
	"github.com/jeton-auth/jeton/internal/signin"
	"github.com/jeton-auth/jeton/internal/web"
)

// publicOrigins are the addresses that browsers use for the services, by the name of the service. With port 0 they are
// known only when the listeners are open, after the routes were made. It is safe for concurrent use.
type publicOrigins struct {
	list atomic.Pointer[map[string][]string]
}

// of returns the addresses of a service.
func (o *publicOrigins) of(service string) []string {
	list := o.list.Load()
	if list == nil {
		return nil
	}
	return (*list)[service]
}

// set makes the addresses those of a configuration. bound has the port of each listener.
func (o *publicOrigins) set(conf *config.Config, bound map[string]string) {
	list := map[string][]string{}
	for _, s := range conf.Services {
		port := bound[listenKey(s.Listen, s.Name)]
		list[s.Name] = originsOf(s, port, len(conf.TrustedProxies) > 0)
	}

	o.list.Store(&list)
}

// originsOf returns the addresses that browsers use for a service: its url, or else each of its host names with the
// port of the listener. A trusted proxy that terminates TLS has the port of https.
func originsOf(s config.Service, port string, proxied bool) []string {
	if s.URL != "" {
		return []string{s.URL}
	}

	scheme := "https"
	if s.PlainHTTP {
		scheme = "http"
	}

	var list []string
	for _, name := range s.HostNames() {
		list = append(list, web.OriginOf(scheme, name, port))
	}
	if proxied {
		for _, name := range s.HostNames() {
			list = append(list, web.OriginOf("https", name, "443"))
		}
	}

	return list
}

// targets are the services that tokens can be for, with their addresses.
func (s *Server) targets(conf *config.Config) []signin.Target {
	list := s.core.targets(conf)
	for i := range list {
		name := list[i].Service
		list[i].Origins = func() []string { return s.origins.of(name) }
	}

	return list
}

// bound returns the ports of the listeners that are open, and of those that are opened now. The caller holds mu.
func (s *Server) bound(opened []*listener) map[string]string {
	ports := map[string]string{}
	add := func(l *listener) {
		_, port, err := net.SplitHostPort(l.net.Addr().String())
		if err == nil {
			ports[l.listen] = port
		}
	}

	for _, l := range s.listeners {
		add(l)
	}
	for _, l := range opened {
		add(l)
	}

	return ports
}

// signInOf returns how browsers sign in at a service.
func (s *Server) signInOf(service config.Service, page web.Notices) gateway.SignIn {
	return gateway.SignIn{
		Key:     s.core.secret.Derive("sign-in state"),
		Origins: func() []string { return s.origins.of(service.Name) },
		Page:    page,
	}
}

// relying returns the services whose users sign in at the authorization server.
func (s *Server) relying(conf *config.Config) []oauth.RelyingService {
	var list []oauth.RelyingService
	for _, service := range conf.Services {
		if service.Login.SignIn {
			list = append(list, oauth.RelyingService{
				Name:    service.Name,
				Allow:   gateway.LoginAllow(service),
				Origins: func() []string { return s.origins.of(service.Name) },
			})
		}
	}

	return list
}

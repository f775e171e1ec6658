package server

import (
	"context"
	"crypto/tls"
	"net"

	"github.com/jeton-auth/jeton/internal/config"
	"github.com/jeton-auth/jeton/internal/gateway"
	"github.com/jeton-auth/jeton/internal/oauth"
	"github.com/jeton-auth/jeton/internal/teaching"
	"github.com/jeton-auth/jeton/internal/web"
)

// planned is a listener that a configuration wants.
type planned struct {
	listen string // address
	front  *front
	tls    *tls.Config // nil without TLS
}

// listenKey names a listener. Services may share an address, which is one listener; port 0 is
// a different port for each.
func listenKey(listen, name string) string {
	_, port, err := net.SplitHostPort(listen)
	if err == nil && port == "0" {
		return listen + " " + name
	}
	return listen
}

// plan builds the routes and certificates of a configuration, by listener.
func (s *Server) plan(ctx context.Context, conf *config.Config) (map[string]*planned, error) {
	proxies := web.Proxies{}
	for _, p := range conf.TrustedProxies {
		proxies = append(proxies, p.Prefix)
	}

	wanted := map[string]*planned{}
	at := func(listen, name string) *planned {
		key := listenKey(listen, name)
		if wanted[key] == nil {
			wanted[key] = &planned{listen: listen, front: &front{proxies: proxies, now: s.c.Now, log: s.c.Log}}
		}
		return wanted[key]
	}

	for _, service := range conf.Services {
		d, err := s.serviceMux(ctx, conf, service)
		if err != nil {
			return nil, err
		}

		p := at(service.Listen, service.Name)
		p.front.add(service.Host, d)

		hosts := certHosts(service.Host, service.Listen)
		if err := s.secure(p, service.Name, service.PlainHTTP, service.TLS, hosts); err != nil {
			return nil, err
		}
	}

	if conf.Issuer != nil {
		d, err := s.issuerMux(conf)
		if err != nil {
			return nil, err
		}

		issuer := conf.Issuer
		p := at(issuer.Listen, oauth.Name)
		p.front.add(issuer.Host, d)

		hosts := certHosts(issuer.Host, issuer.Listen)
		if err := s.secure(p, oauth.Name, issuer.PlainHTTP, issuer.TLS, hosts); err != nil {
			return nil, err
		}
	}

	if conf.Admin.Listen == "off" {
		return wanted, nil
	}

	d, err := s.adminMux()
	if err != nil {
		return nil, err
	}

	wanted[listenKey(conf.Admin.Listen, adminName)] = &planned{
		listen: conf.Admin.Listen,
		front: &front{
			only:  &site{service: d},
			now:   s.c.Now,
			log:   s.c.Log,
			hosts: []string{"localhost", "127.0.0.1", "::1"},
		},
	}

	return wanted, nil
}

// serviceMux builds the routes of one service.
func (s *Server) serviceMux(ctx context.Context, conf *config.Config, service config.Service) (*mux, error) {
	issuer := ""
	if conf.Issuer != nil {
		issuer = conf.Issuer.URL
	}

	t, err := teaching.New(teaching.Config{
		Service:  service,
		Sessions: s.core.sessions,
		Tokens:   s.core.tokens,
		Accounts: s.core.accounts,
		Logins:   s.core.logins,
		Issuer:   issuer,
	})
	if err != nil {
		return nil, err
	}

	g, err := gateway.New(ctx, t.Configure(gateway.Config{
		Service:  service,
		DataDir:  s.c.DataDir,
		Gate:     s.core.gate,
		Sessions: s.core.sessions,
		Counts:   s.core.counts,
		Tokens:   s.core.tokens,
		Logins:   s.core.logins,
		Issuer:   issuer,
		Log:      s.c.Log,
	}))
	if err != nil {
		return nil, err
	}

	routes, err := s.usersAPIRoutes(conf, service, g)
	if err != nil {
		return nil, err
	}

	return newMux(mux{
		name:    service.Name,
		service: g.Service(),
		gate:    s.core.gate,
		log:     s.c.Log,
		metrics: s.metrics,
	}, append(t.Wrap(g.Routes()), routes...))
}

// issuerMux builds the routes of the authorization server.
func (s *Server) issuerMux(conf *config.Config) (*mux, error) {
	d, err := oauth.New(oauth.Config{
		Issuer:  *conf.Issuer,
		Targets: targets(conf),
		Logins:  s.core.logins,
		Tokens:  s.core.tokens,
		Clients: s.core.clients,
		Ring:    s.core.keys,
		Audit:   s.core.audit,
	})
	if err != nil {
		return nil, err
	}

	return newMux(mux{
		name:    oauth.Name,
		service: d.Service(),
		owns:    d.Owns,
		gate:    s.core.gate,
		log:     s.c.Log,
		metrics: s.metrics,
	}, d.Routes())
}

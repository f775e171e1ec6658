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

// planned is what a listener is to be.
type planned struct {
	listen string // address
	front  *front
	tls    *tls.Config // nil without TLS
}

// listenKey names a listener. An address is one listener, which services may share; port
// 0 is another port for everybody.
func listenKey(listen, door string) string {
	_, port, err := net.SplitHostPort(listen)
	if err == nil && port == "0" {
		return listen + " " + door
	}
	return listen
}

// plan builds the doors of a configuration, by listen address.
func (s *Server) plan(ctx context.Context, conf *config.Config) (map[string]*planned, error) {
	wanted := map[string]*planned{}
	proxies := web.Proxies{}
	for _, p := range conf.TrustedProxies {
		proxies = append(proxies, p.Prefix)
	}

	at := func(listen, name string) *planned {
		key := listenKey(listen, name)
		if wanted[key] == nil {
			wanted[key] = &planned{listen: listen, front: &front{proxies: proxies, now: s.c.Now, log: s.c.Log}}
		}
		return wanted[key]
	}

	for _, service := range conf.Services {
		d, err := s.serviceDoor(ctx, conf, service)
		if err != nil {
			return nil, err
		}

		p := at(service.Listen, service.Name)
		p.front.add(service.Host, d)

		if err := s.secure(
			p,
			service.Name,
			service.PlainHTTP,
			service.TLS,
			certHosts(service.Host, service.Listen),
		); err != nil {
			return nil, err
		}
	}

	if c := conf.Issuer; c != nil {
		d, err := s.issuerDoor(conf)
		if err != nil {
			return nil, err
		}

		p := at(c.Listen, oauth.Name)
		p.front.add(c.Host, d)

		if err := s.secure(p, oauth.Name, c.PlainHTTP, c.TLS, certHosts(c.Host, c.Listen)); err != nil {
			return nil, err
		}
	}

	if conf.Admin.Listen != "off" {
		d, err := s.adminDoor()
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
	}

	return wanted, nil
}

// serviceDoor builds the door of one service.
func (s *Server) serviceDoor(ctx context.Context, conf *config.Config, service config.Service) (*door, error) {
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

	rows, err := s.usersAPIRoutes(conf, service, g)
	if err != nil {
		return nil, err
	}

	return newDoor(door{
		name:    service.Name,
		service: g.Service(),
		gate:    s.core.gate,
		log:     s.c.Log,
		metrics: s.metrics,
	}, append(t.Wrap(g.Routes()), rows...))
}

// issuerDoor builds the door of the authorization server.
func (s *Server) issuerDoor(conf *config.Config) (*door, error) {
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

	return newDoor(door{
		name:    oauth.Name,
		service: d.Service(),
		owns:    d.Owns,
		gate:    s.core.gate,
		log:     s.c.Log,
		metrics: s.metrics,
	}, d.Routes())
}

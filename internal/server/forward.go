package server

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"os"

	"github.com/jeton-auth/jeton/internal/config"
	"github.com/jeton-auth/jeton/internal/forward"
	"github.com/jeton-auth/jeton/internal/web"
)

// forwarded is a service that another proxy serves: routes that it asks about, and the service's own paths.
type forwarded struct {
	conf config.Service
	// Two muxes: no answer of a path of our own, such as that of a login, is a decision.
	judge *mux
	own   *mux
}

// planForward builds the listener that decides for other proxies.
func (s *Server) planForward(conf *config.Config, services []forwarded) (*planned, error) {
	c := forward.Config{
		Proxies: forwardProxies(conf),
		Record:  s.core.gate.Record,
		Log:     s.c.Log,
	}
	for _, f := range services {
		c.Services = append(c.Services, forward.Service{
			Name:  f.conf.Name,
			URL:   f.conf.URL,
			Judge: f.judge.ServeHTTP,
			Own:   f.own.ServeHTTP,
		})
	}

	built, err := forward.New(c)
	if err != nil {
		return nil, err
	}

	return &planned{
		listen: conf.Forward.Listen,
		front: &front{
			forward:  built,
			services: services,
			proxies:  c.Proxies,
			pace:     conf.Limits.Pace(),
			now:      s.c.Now,
			log:      s.c.Log,
			requests: conf.Log.Requests,
			lines:    s.requestLog(conf),
		},
	}, nil
}

// forwardProxies returns the proxies that may ask.
func forwardProxies(conf *config.Config) web.Proxies {
	if conf.Forward == nil {
		return nil
	}

	var list web.Proxies
	for _, p := range conf.Forward.TrustedProxies {
		list = append(list, p.Prefix)
	}

	return list
}

// forwardedService builds the routes of a service that another proxy serves.
func (s *Server) forwardedService(ctx context.Context, conf *config.Config, c config.Service) (forwarded, error) {
	m, routes, err := s.serviceRoutes(ctx, conf, c)
	if err != nil {
		return forwarded{}, err
	}

	var judged, own []web.Route
	for _, r := range routes {
		if r.Configured {
			judged = append(judged, r)
		} else {
			own = append(own, r)
		}
	}

	f := forwarded{conf: c}
	f.judge, err = newMux(m, judged)
	if err != nil {
		return forwarded{}, err
	}
	f.own, err = newMux(m, own)

	return f, err
}

// serves reports whether the address of a service that another proxy serves is that of a URL.
func (f forwarded) serves(u *url.URL) bool {
	at, err := url.Parse(f.conf.URL)
	return err == nil && at.Scheme == u.Scheme && web.SameAuthority(u, at.Host)
}

// forwardedAt returns the mux of a service that another proxy serves, by its name, or by an address if that has a host.
// The caller holds mu.
func (s *Server) forwardedAt(name string, u *url.URL) *mux {
	if s.conf.Forward == nil {
		return nil
	}
	l := s.listeners[listenKey(s.conf.Forward.Listen, forward.Name)]
	if l == nil {
		return nil
	}

	for _, f := range l.front.Load().services {
		if u.Host == "" && f.conf.Name == name || u.Host != "" && f.serves(u) {
			return f.judge
		}
	}

	return nil
}

// socketMode lets the owner and the group of the server connect: proxies run as other users.
const socketMode = 0o660

// listenSocket opens a Unix socket at an absolute path.
func listenSocket(path string) (net.Listener, error) {
	// A server that was killed left it. One that runs keeps it: two cannot have the same socket.
	info, err := os.Lstat(path)
	if err == nil && info.Mode()&os.ModeSocket != 0 {
		other, err := net.Dial("unix", path)
		if err == nil {
			_ = other.Close()
			return nil, fmt.Errorf("listen on %s: another process listens there", path)
		}
		if err := os.Remove(path); err != nil {
			return nil, err
		}
	}

	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, socketMode); err != nil {
		_ = l.Close()
		return nil, err
	}

	return l, nil
}

package server

import (
	"fmt"
	"net"
	"net/http"
	"net/url"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/gate"
	"github.com/jeton-auth/jeton/internal/web"
)

// findRoute returns the request to judge for a method and an address of a service, or for a path and the name of the
// service. It returns jeton.ErrNotFound if there is no such service or route.
func (s *Server) findRoute(method, service string, u *url.URL) (*gate.Request, error) {
	d := s.serviceAt(service, u)
	if d == nil {
		return nil, jeton.WithDetail(jeton.ErrNotFound, "no service has this address or name")
	}

	route, ok := d.route(method, u)
	if !ok {
		return nil, jeton.WithDetail(jeton.ErrNotFound, fmt.Sprintf("service %s has no route for it", d.name))
	}

	return &gate.Request{
		Service: d.service,
		Access:  route.Access,
		Route:   route.Pattern,
		Method:  method,
		Path:    u.Path,
	}, nil
}

// serviceAt returns the mux of a service by its name, or by an address if it has a host. It returns nil if there is
// none.
func (s *Server) serviceAt(name string, u *url.URL) *mux {
	s.mu.Lock()
	defer s.mu.Unlock()

	found := s.forwardedAt(name, u)
	if found != nil {
		return found
	}

	for _, service := range s.conf.Services {
		l := s.listeners[listenKey(service.Listen, service.Name)]
		d := muxOf(l, service.Name)
		if d == nil {
			continue
		}

		switch {
		case u.Host == "":
			if service.Name == name {
				return d
			}
		case l.front.Load().serves(u) == d:
			_, port, _ := net.SplitHostPort(l.net.Addr().String())
			if web.SameAuthority(u, net.JoinHostPort(u.Hostname(), port)) {
				return d
			}
			found = d // behind a proxy, which has another port
		}
	}

	return found
}

// muxOf returns the mux of a service on a listener, or nil.
func muxOf(l *listener, service string) *mux {
	if l == nil {
		return nil
	}

	f := l.front.Load()
	if f.only != nil && f.only.service != nil && f.only.service.name == service {
		return f.only.service
	}
	for _, at := range f.byHost {
		if at.service != nil && at.service.name == service {
			return at.service
		}
	}

	return nil
}

// serves returns the mux that an address leads to on this listener, or nil.
func (f *front) serves(u *url.URL) *mux {
	name := web.Hostname(u.Host)
	at := f.byHost[name]
	if at == nil && f.accepts(name) {
		at = f.only
	}
	if at == nil {
		return nil
	}

	return at.mux(u.Path)
}

// route returns the route of a method and a path, as ServeHTTP finds it.
func (d *mux) route(method string, u *url.URL) (web.Route, bool) {
	forms, err := d.paths.Canonical(web.RawPath(u))
	if err != nil {
		return web.Route{}, false
	}

	h, pattern := d.find(method, &http.Request{Method: method, URL: u, Host: u.Host}, forms[0])
	from := d.patternsOf[d.patterns]
	if h != nil {
		from = d.patternsOf[d.read]
	}
	route, ok := from[pattern]

	return route, ok
}

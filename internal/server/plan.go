package server

import (
	"context"
	"crypto/tls"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/jeton-auth/jeton/internal/acme"
	"github.com/jeton-auth/jeton/internal/config"
	"github.com/jeton-auth/jeton/internal/forward"
	"github.com/jeton-auth/jeton/internal/gateway"
	"github.com/jeton-auth/jeton/internal/oauth"
	"github.com/jeton-auth/jeton/internal/teaching"
	"github.com/jeton-auth/jeton/internal/trace"
	"github.com/jeton-auth/jeton/internal/web"
)

// planned is a listener that a configuration wants.
type planned struct {
	listen string // address
	front  *front
	tls    *tls.Config // nil without TLS

	certificates []servedCertificate
	ordered      *acme.Certificates      // nil: it has none of an authority
	work         []func(context.Context) // runs while the listener has these routes
}

// listenKey names a listener. Services may share an address, which is one listener; port 0 is
// a different port for each.
func listenKey(listen, name string) string {
	_, port, err := net.SplitHostPort(listen)
	// The system chooses a port for each, so their addresses only look the same.
	if err == nil && port == "0" {
		return listen + " " + name
	}
	return listen
}

// endpoint is where a configuration wants a service or the authorization server.
type endpoint struct {
	listen string
	host   string // selects it on a shared address; "": any
	hosts  []string
	plain  bool // without TLS
	tls    config.TLS
	orders []string // host names for which acme gets certificates
}

// serviceEndpoint returns where a service listens.
func serviceEndpoint(c config.Service) endpoint {
	at := endpoint{
		listen: c.Listen,
		host:   c.Host,
		hosts:  c.Hosts,
		plain:  c.PlainHTTP,
		tls:    c.TLS,
	}
	if c.TLS.ACME {
		at.orders = c.CertificateHosts()
	}

	return at
}

// issuerEndpoint returns where the authorization server listens.
func issuerEndpoint(c *config.Issuer) endpoint {
	at := endpoint{
		listen: c.Listen,
		host:   c.Host,
		hosts:  issuerHosts(c),
		plain:  c.PlainHTTP,
		tls:    c.TLS,
	}
	if c.TLS.ACME {
		at.orders = c.CertificateHosts()
	}

	return at
}

// endpoints returns every endpoint of a configuration.
func endpoints(conf *config.Config) []endpoint {
	var list []endpoint
	for _, service := range conf.Services {
		if !service.Forwarded() {
			list = append(list, serviceEndpoint(service))
		}
	}
	if conf.Issuer != nil {
		list = append(list, issuerEndpoint(conf.Issuer))
	}
	if conf.Admin.Listen != "off" {
		list = append(list, adminEndpoint(conf.Admin))
	}

	return list
}

// plan builds the routes and certificates of a configuration, by listener. tracer may be nil.
func (s *Server) plan(ctx context.Context, conf *config.Config, tracer *trace.Tracer) (map[string]*planned, error) {
	wanted := map[string]*planned{}

	if err := s.prepareSelfSigned(conf); err != nil {
		return nil, err
	}
	if err := s.prepareOrders(ctx, conf); err != nil {
		return nil, err
	}

	var decided []forwarded
	for _, service := range conf.Services {
		if service.Forwarded() {
			f, err := s.forwardedService(ctx, conf, service)
			if err != nil {
				return nil, err
			}
			decided = append(decided, f)

			continue
		}

		d, err := s.serviceMux(ctx, conf, service)
		if err != nil {
			return nil, err
		}
		if err := s.place(wanted, conf, d, serviceEndpoint(service)); err != nil {
			return nil, err
		}
	}

	if conf.Forward != nil {
		p, err := s.planForward(conf, decided)
		if err != nil {
			return nil, err
		}
		wanted[listenKey(conf.Forward.Listen, forward.Name)] = p
	}

	if conf.Redirect != nil {
		wanted[listenKey(conf.Redirect.Listen, redirectName)] = s.planRedirect(conf)
	}

	if conf.Issuer != nil {
		d, err := s.issuerMux(conf)
		if err != nil {
			return nil, err
		}
		if err := s.place(wanted, conf, d, issuerEndpoint(conf.Issuer)); err != nil {
			return nil, err
		}
	}

	// Not the requests of the operator, which planOperator adds.
	traceRequests(wanted, tracer)

	return wanted, s.planOperator(wanted, conf)
}

// planOperator adds the admin listener, if there is one.
func (s *Server) planOperator(wanted map[string]*planned, conf *config.Config) error {
	if conf.Admin.Listen == "off" {
		return nil
	}

	admin, err := s.planAdmin(conf.Admin)
	if err != nil {
		return err
	}
	wanted[listenKey(conf.Admin.Listen, adminName)] = admin

	return nil
}

// place adds a mux and its certificate to the listener of its address, which others may share.
func (s *Server) place(wanted map[string]*planned, conf *config.Config, d *mux, at endpoint) error {
	key := listenKey(at.listen, d.name)
	if wanted[key] == nil {
		wanted[key] = &planned{
			listen: at.listen,
			front: &front{
				hsts:      hsts(conf),
				pace:      conf.Limits.Pace(),
				proxies:   proxies(conf),
				now:       s.c.Now,
				log:       s.c.Log,
				untrusted: &s.untrusted,
				refusals:  s.refusals,
				requests:  conf.Log.Requests,
				lines:     s.requestLog(conf),
			},
		}
	}

	at.serve(wanted[key].front, d)
	if d.work != nil {
		wanted[key].work = append(wanted[key].work, d.work)
	}

	return s.secure(wanted[key], d.name, at)
}

// issuerHosts returns the host name in the URL of the authorization server.
func issuerHosts(c *config.Issuer) []string {
	u, err := url.Parse(c.URL)
	if err != nil || u.Host == "" {
		return nil
	}

	return []string{u.Host}
}

// serve adds a mux to a front under the host names of the endpoint. On a loopback address an
// endpoint without a name has those of loopback alone.
func (at endpoint) serve(f *front, d *mux) {
	f.add(at.host, d)

	for _, name := range at.hosts {
		if at.host != "" {
			f.add(name, d)
		} else {
			f.accept(name)
		}
	}

	bound := web.Hostname(at.listen)
	f.accept(bound)

	addr, err := netip.ParseAddr(bound)
	loopback := bound == "localhost" || err == nil && addr.IsLoopback()
	if at.host == "" && len(at.hosts) == 0 && !loopback {
		f.anyHost = true
	}
}

// hsts returns the header Strict-Transport-Security of a configuration, or nil.
func hsts(conf *config.Config) []string {
	age := conf.HSTSMaxAge.Std()
	if age <= 0 {
		return nil
	}

	return []string{"max-age=" + strconv.FormatInt(int64(age/time.Second), 10)}
}

// proxies returns the addresses of the proxies that are trusted.
func proxies(conf *config.Config) web.Proxies {
	var list web.Proxies
	for _, p := range conf.TrustedProxies {
		list = append(list, p.Prefix)
	}

	return list
}

// serviceMux builds the mux of one service.
func (s *Server) serviceMux(ctx context.Context, conf *config.Config, service config.Service) (*mux, error) {
	m, routes, err := s.serviceRoutes(ctx, conf, service)
	if err != nil {
		return nil, err
	}

	return newMux(m, routes)
}

// serviceRoutes builds the routes of one service, and what newMux needs for them.
func (s *Server) serviceRoutes(
	ctx context.Context,
	conf *config.Config,
	service config.Service,
) (mux, []web.Route, error) {
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
		return mux{}, nil, err
	}

	page, err := s.notices(conf)
	if err != nil {
		return mux{}, nil, err
	}

	g, err := gateway.New(ctx, t.Configure(gateway.Config{
		Service:  service,
		DataDir:  s.c.DataDir,
		Gate:     s.core.gate,
		Accounts: s.core.accounts,
		Sessions: s.core.sessions,
		Counts:   s.core.counts,
		Tokens:   s.core.tokens,
		Logins:   s.core.logins,
		Approved: s.core.approvals,
		Issuer:   issuer,
		Log:      s.c.Log,
		SignIn:   s.signInOf(service, page),

		CookieNames: conf.CookieNames(),
		Managers:    s.core.managersAt(conf, service),
		Assertions:  s.assertionsFor(conf, service),
	}))
	if err != nil {
		return mux{}, nil, err
	}

	routes := s.usersAPIRoutes(conf, service, g)

	return mux{
		name:    service.Name,
		paths:   service.Paths.Reading(),
		service: g.Service(),
		gate:    s.core.gate,
		log:     s.c.Log,
		metrics: s.metrics,
		work:    g.Run,

		upstreams: g.Upstreams,
	}, append(t.Wrap(g.Routes()), routes...), nil
}

// issuerMux builds the routes of the authorization server, with its pages.
func (s *Server) issuerMux(conf *config.Config) (*mux, error) {
	page, err := s.notices(conf)
	if err != nil {
		return nil, err
	}

	d, err := s.authorizationServer(conf, page)
	if err != nil {
		return nil, err
	}

	m := mux{
		name:    oauth.Name,
		service: d.Service(),
		owns:    d.Owns,
		gate:    s.core.gate,
		log:     s.c.Log,
		metrics: s.metrics,
	}

	p, err := s.pages(conf)
	if err != nil {
		return nil, err
	}
	if p == nil {
		return newMux(m, d.Routes())
	}

	calls := s.issuerAPIRoutes(conf, d.Service(), p.Terms())
	m.owns = func(path string) bool { return d.Owns(path) || p.Owns(path) }
	m.refuse = p.Fail

	built, err := newMux(m, slices.Concat(d.Routes(), p.Routes(), calls))
	s.builtPages.api.mux = built

	return built, err
}

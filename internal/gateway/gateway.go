package gateway

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/jeton-auth/jeton/internal/account"
	"github.com/jeton-auth/jeton/internal/approval"
	"github.com/jeton-auth/jeton/internal/balance"
	"github.com/jeton-auth/jeton/internal/config"
	"github.com/jeton-auth/jeton/internal/count"
	"github.com/jeton-auth/jeton/internal/gate"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/session"
	"github.com/jeton-auth/jeton/internal/signin"
	"github.com/jeton-auth/jeton/internal/token"
	"github.com/jeton-auth/jeton/internal/web"
)

// Gateway serves one configured service. It is safe for concurrent use: New sets every field.
type Gateway struct {
	conf       config.Service
	gate       *gate.Gate
	accounts   *account.Accounts
	sessions   *session.Sessions
	counts     *count.Counts
	tokens     *token.Tokens
	approved   *approval.Approvals
	logins     *signin.Logins
	signIn     *signIn // nil without login.sign_in
	cookies    Cookies
	ours       []string // names of the cookies of all services
	service    *gate.Service
	logoutFrom *gate.Service // reads the session that a logout ends
	terms      policy.Terms
	issuer     string // of tokens
	tokenTerms policy.TokenTerms
	allow      *policy.Allow
	require    policy.Require // at every route that is not open
	schemes    policy.Kinds   // what a refused caller may prove itself with
	routes     []web.Route
	pools      map[string]*balance.Pool // of upstreams, by what makes them different
	buffers    *buffers
	assertions *token.Assertions // nil: the service gets none
	log        *slog.Logger
}

// Config is what New needs.
type Config struct {
	Service  config.Service
	DataDir  string
	Gate     *gate.Gate
	Accounts *account.Accounts
	Sessions *session.Sessions
	Counts   *count.Counts
	Tokens   *token.Tokens
	Logins   *signin.Logins
	Approved *approval.Approvals
	Issuer   string // the authorization server whose tokens are accepted, or ""
	Log      *slog.Logger

	SignIn SignIn // for login.sign_in

	// Assertions prove to the service whose requests it gets; nil: it gets none.
	Assertions *token.Assertions

	// Managers are the users who manage others at the service; nil: no more is required of them than of others.
	Managers *signin.Managers

	// CookieNames are the names of the cookies of all services. Browsers send them to every port of a host.
	CookieNames []string

	Cookies    Cookies       // nil: one cookie with the secret of the session
	Readers    []gate.Reader // of further credentials, asked last
	ReadBody   bool          // one of Readers reads the body
	EmailLogin bool          // the name in Basic is an e-mail address
}

// New returns the gateway of a service from a configuration that has been checked. It uses ctx for
// the identifiers of counted routes, which are in the store, and keeps nothing running: see Run.
func New(ctx context.Context, c Config) (*Gateway, error) {
	if c.Cookies == nil {
		c.Cookies = newSessionCookie(c)
	}

	g := &Gateway{
		conf:     c.Service,
		gate:     c.Gate,
		accounts: c.Accounts,
		sessions: c.Sessions,
		counts:   c.Counts,
		tokens:   c.Tokens,
		approved: c.Approved,
		logins:   c.Logins,
		cookies:  c.Cookies,
		ours:     c.CookieNames,
		terms:    terms(c.Service),
		issuer:   c.Issuer,
		allow:    allow(c.Service.Login.Allow),
		require:  require(c.Service.Require),
		pools:    map[string]*balance.Pool{},
		buffers:  &buffers{},
		log:      c.Log,

		assertions: c.Assertions,
	}

	var err error
	g.signIn, err = newSignIn(c)
	if err != nil {
		return nil, err
	}

	g.tokenTerms, _ = TokenTerms(c.Service)
	g.service = &gate.Service{
		Name:     c.Service.Name,
		Readers:  readers(c),
		ReadBody: c.ReadBody,
		Allow:    g.allow,
		Grants:   Grants(c.Service),
		Managers: c.Managers,

		Forwarded: c.Service.Forwarded(),
	}
	g.logoutFrom = &gate.Service{Name: c.Service.Name, Readers: []gate.Reader{c.Cookies.LogoutReader()}}
	g.schemes = schemes(c.Service)

	// Our own routes first; the check of the configuration refuses a route that has one of their paths.
	g.routes = g.builtinRoutes()
	for _, r := range c.Service.Routes {
		route, err := g.route(ctx, r, c.DataDir)
		if err != nil {
			return nil, fmt.Errorf("service %s: route %s: %w", c.Service.Name, r.Match, err)
		}
		g.routes = append(g.routes, route)
	}

	return g, nil
}

// Service returns what the gate needs to know of the service.
func (g *Gateway) Service() *gate.Service { return g.service }

// Accepts returns what the callers of the service may prove themselves with.
func (g *Gateway) Accepts() policy.Kinds { return accepts(g.conf, config.Route{}) }

// Require returns how users have to be proved at every route of the service that is not open.
func (g *Gateway) Require() policy.Require { return g.require }

// Terms returns the terms of a login at the service.
func (g *Gateway) Terms() policy.Terms { return g.terms }

// Routes returns the routes of the service.
func (g *Gateway) Routes() []web.Route { return g.routes }

// Weaknesses returns the options that make a service weaker than the default, for the
// start-up log.
func Weaknesses(s config.Service) []string {
	if s.PlainHTTP {
		return []string{"plain_http: passwords and cookies travel in the clear"}
	}
	return nil
}

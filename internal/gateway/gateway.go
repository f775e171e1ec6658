// Package gateway is the door of configured services: their login and logout, and
// routes that Jeton answers itself or hands to an upstream.
//
// It promises that an upstream hears who asks from Jeton alone: every header that could
// say so is taken from the request first, in every spelling, and always set anew; that
// neither our cookies nor Authorization reach an upstream; and that an upstream cannot
// set our cookies. It phrases questions for internal/gate and answers what comes of
// them; it judges nothing.
package gateway

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"text/template"

	"jeton/internal/config"
	"jeton/internal/gate"
	"jeton/internal/login"
	"jeton/internal/policy"
	"jeton/internal/session"
	"jeton/internal/web"
)

// Gateway is one configured service.
type Gateway struct {
	conf     config.Service
	gate     *gate.Gate
	sessions *session.Sessions
	logins   *login.Logins
	service  *gate.Service
	secrets  *gate.Service // the same, where the secret alone is asked for
	terms    policy.Terms
	allow    *policy.Allow
	denied   *template.Template
	routes   []web.Route
	csrf     *http.CrossOriginProtection
	log      *slog.Logger
}

// Config is what New needs.
type Config struct {
	Service  config.Service
	DataDir  string
	Gate     *gate.Gate
	Sessions *session.Sessions
	Logins   *login.Logins
	Log      *slog.Logger
}

// New builds the door of a service from a configuration that has been checked.
func New(ctx context.Context, c Config) (*Gateway, error) {
	g := &Gateway{
		conf: c.Service, gate: c.Gate, sessions: c.Sessions, logins: c.Logins, log: c.Log,
		terms: terms(c.Service), allow: allow(c.Service.Login.Allow), csrf: http.NewCrossOriginProtection(),
	}
	g.service = &gate.Service{Name: c.Service.Name, Readers: readers(c.Service, c.Sessions)}
	g.secrets = g.service
	if t := c.Service.Teaching; t != nil && t.Cookies != nil {
		g.secrets = &gate.Service{Name: c.Service.Name, Readers: []gate.Reader{gate.Cookie{Name: t.Cookies.Token, Sessions: c.Sessions}}}
	}
	if t := c.Service.Teaching; t != nil && t.DeniedText != "" {
		var err error
		if g.denied, err = template.New("denied_text").Funcs(functions).Parse(t.DeniedText); err != nil {
			return nil, fmt.Errorf("service %s: denied_text: %w", c.Service.Name, err)
		}
	}
	g.routes = g.doors()
	for _, r := range c.Service.Routes {
		row, err := g.route(ctx, r, c.DataDir)
		if err != nil {
			return nil, fmt.Errorf("service %s: route %s: %w", c.Service.Name, r.Match, err)
		}
		g.routes = append(g.routes, row)
	}
	return g, nil
}

// Service returns what the gate needs to know of the service.
func (g *Gateway) Service() *gate.Service { return g.service }

// Routes returns the rows of the service.
func (g *Gateway) Routes() []web.Route { return g.routes }

// doors are the rows that every service has.
func (g *Gateway) doors() []web.Route {
	rows := []web.Route{{Pattern: "GET /.well-known/jeton", Access: policy.Open, Handle: g.describe}}
	for _, path := range g.conf.Login.Paths {
		rows = append(rows, web.Route{Pattern: "POST " + exact(path), Access: policy.Open, Handle: g.login, Refuse: g.refuseLogin})
	}
	if g.conf.Logout != "" {
		rows = append(rows, web.Route{Pattern: "POST " + exact(g.conf.Logout), Access: policy.Open, Handle: g.logout})
	}
	return rows
}

// exact makes a path that ends in a slash match only itself.
func exact(path string) string {
	if strings.HasSuffix(path, "/") {
		return path + "{$}"
	}
	return path
}

func (g *Gateway) route(ctx context.Context, r config.Route, dataDir string) (web.Route, error) {
	row := web.Route{Pattern: r.Match, Access: policy.Session, Refuse: g.refuse}
	if r.Open {
		row.Access = policy.Open
	}
	row.Access.Allow, row.Access.Audit = allow(r.Allow), r.Audit
	if !r.Open {
		budgets, err := g.budgets(ctx, r)
		if err != nil {
			return row, err
		}
		row.Access.Budgets = budgets
	}
	var err error
	if r.Upstream != nil {
		row.Handle, err = g.upstream(*r.Upstream, dataDir)
	} else {
		row.Handle, err = respond(*r.Respond)
	}
	return row, err
}

// budgets are what one request of the route costs: a use of the login, a use of the
// route, both, or nothing.
func (g *Gateway) budgets(ctx context.Context, r config.Route) ([]policy.Budget, error) {
	var list []policy.Budget
	for name, limit := range map[string]*int64{"*": g.conf.Session.MaxUses, r.Match: r.MaxUses} {
		if limit == nil {
			continue
		}
		id, err := g.sessions.BudgetID(ctx, g.conf.Name, name)
		if err != nil {
			return nil, fmt.Errorf("budget %q: %w", name, err)
		}
		b := policy.Budget{ID: id, Name: name, Max: *limit}
		if name == "*" {
			list = append([]policy.Budget{b}, list...)
		} else {
			list = append(list, b)
		}
	}
	return list, nil
}

func readers(s config.Service, sessions *session.Sessions) []gate.Reader {
	if s.Teaching != nil && s.Teaching.Cookies != nil {
		c := s.Teaching.Cookies
		return []gate.Reader{gate.NamedCookies{User: c.Name, Token: c.Token, Sessions: sessions}}
	}
	return []gate.Reader{gate.Cookie{Name: s.Session.Cookie, Sessions: sessions}}
}

func terms(s config.Service) policy.Terms {
	t := policy.Terms{
		Idle: s.Session.IdleTimeout.Std(), Lifetime: s.Session.Lifetime.Std(),
		MaxSessions: unlimited(s.Session.MaxSessions), WhenFull: policy.Full(s.Session.WhenFull),
	}
	t.Relogin = policy.Relogin{Max: unlimited(s.Relogin.MaxLogins), Window: s.Relogin.Window.Std(), Cooldown: s.Relogin.Cooldown.Std()}
	return t
}

// unlimited reads a number of the configuration, where leaving it out means no limit.
func unlimited(n int) int {
	if n == 0 {
		return policy.Unlimited
	}
	return n
}

func allow(a *config.Allow) *policy.Allow {
	if a == nil {
		return nil
	}
	return &policy.Allow{Users: a.Users, Groups: a.Groups}
}

// Weaknesses names the options of a service that make it weaker than the default, for
// the start-up log.
func Weaknesses(s config.Service) []string {
	var list []string
	if s.PlainHTTP {
		list = append(list, "plain_http: passwords and cookies travel in the clear")
	}
	if t := s.Teaching; t != nil {
		if t.Cookies != nil {
			list = append(list, "teaching.cookies: name and login time are shown in cookies of their own")
		}
		if t.RevealLoginFailure {
			list = append(list, "teaching.reveal_login_failure: a stranger learns which names exist")
		}
		if t.DeniedText != "" {
			list = append(list, "teaching.denied_text: every refusal is a 403 with the same text")
		}
	}
	return list
}

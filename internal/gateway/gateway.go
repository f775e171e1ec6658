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
	"slices"
	"strings"
	"text/template"

	"github.com/jeton-auth/jeton/internal/account"
	"github.com/jeton-auth/jeton/internal/config"
	"github.com/jeton-auth/jeton/internal/count"
	"github.com/jeton-auth/jeton/internal/gate"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/session"
	"github.com/jeton-auth/jeton/internal/signin"
	"github.com/jeton-auth/jeton/internal/token"
	"github.com/jeton-auth/jeton/internal/web"
)

// Gateway is one configured service.
type Gateway struct {
	conf       config.Service
	gate       *gate.Gate
	sessions   *session.Sessions
	counts     *count.Counts
	tokens     *token.Tokens
	accounts   *account.Accounts
	logins     *signin.Logins
	service    *gate.Service
	secrets    *gate.Service // the same, where the secret alone is asked for
	terms      policy.Terms
	issuer     string // of tokens
	tokenTerms policy.TokenTerms
	takesBasic bool // some route takes a password or a token in the header of RFC 7617
	allow      *policy.Allow
	denied     *template.Template
	routes     []web.Route
	log        *slog.Logger
}

// Config is what New needs.
type Config struct {
	Service  config.Service
	DataDir  string
	Gate     *gate.Gate
	Sessions *session.Sessions
	Counts   *count.Counts
	Tokens   *token.Tokens
	Accounts *account.Accounts
	Logins   *signin.Logins
	Issuer   string // the authorization server whose tokens are taken, or ""
	Log      *slog.Logger
}

// New builds the door of a service from a configuration that has been checked.
func New(ctx context.Context, c Config) (*Gateway, error) {
	g := &Gateway{
		conf:     c.Service,
		gate:     c.Gate,
		sessions: c.Sessions,
		counts:   c.Counts,
		tokens:   c.Tokens,
		accounts: c.Accounts,
		logins:   c.Logins,
		log:      c.Log,
		terms:    terms(c.Service),
		issuer:   c.Issuer,
		allow:    allow(c.Service.Login.Allow),
	}

	g.tokenTerms, _ = Terms(c.Service)
	g.service = &gate.Service{Name: c.Service.Name, Readers: readers(c), ReadBody: teaching(c.Service).TokenInBody}
	g.secrets = g.service
	if t := c.Service.Teaching; t != nil && t.Cookies != nil {
		g.secrets = &gate.Service{
			Name:    c.Service.Name,
			Readers: []gate.Reader{gate.Cookie{Name: t.Cookies.Token, Sessions: c.Sessions}},
		}
	}

	if t := c.Service.Teaching; t != nil && t.DeniedText != "" {
		var err error
		g.denied, err = template.New("denied_text").Funcs(functions).Parse(t.DeniedText)
		if err != nil {
			return nil, fmt.Errorf("service %s: denied_text: %w", c.Service.Name, err)
		}
	}

	g.routes = g.doors()
	for _, r := range c.Service.Routes {
		g.takesBasic = g.takesBasic || accepts(c.Service, r)&policy.ByPassword != 0
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

// Accepts returns what the callers of the service may prove themselves with.
func (g *Gateway) Accepts() policy.Kinds { return accepts(g.conf, config.Route{}) }

// Terms returns the terms of a login at the service.
func (g *Gateway) Terms() policy.Terms { return g.terms }

// Routes returns the rows of the service.
func (g *Gateway) Routes() []web.Route { return g.routes }

// doors are the rows that every service has.
func (g *Gateway) doors() []web.Route {
	rows := []web.Route{{Pattern: "GET /.well-known/jeton", Access: policy.Open, Handle: g.describe}}
	for _, path := range g.conf.Login.Paths {
		rows = append(rows, web.Route{
			Pattern: "POST " + exact(path),
			Access:  policy.Open,
			Handle:  g.login,
			Refuse:  g.refuseLogin,
		})
	}

	if path := g.conf.Login.Token; path != "" {
		// A password alone opens it: a token that makes tokens would never end.
		access := policy.Authenticated(policy.ByPassword)
		access.Allow = g.allow
		rows = append(rows, web.Route{
			Pattern: "GET " + exact(path),
			Access:  access,
			Handle:  g.shortToken,
			Refuse:  g.refuseBasic,
		})
	}

	if path := teaching(g.conf).Register; path != "" {
		rows = append(rows, web.Route{
			Pattern:    "POST " + exact(path),
			Access:     policy.Open,
			BufferBody: true,
			Handle:     g.register,
		})
	}
	if path := teaching(g.conf).AssertionLogin; path != "" {
		rows = append(rows, web.Route{
			Pattern: "POST " + exact(path),
			Access:  policy.Open,
			Handle:  g.assertionLogin,
			Refuse:  g.refuseAssertion,
		})
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
	row := web.Route{Pattern: r.Match, Access: policy.Authenticated(accepts(g.conf, r)), Refuse: g.refuse}
	if r.Open {
		row.Access = policy.Open
	}

	row.Access.Allow, row.Access.Audit = allow(r.Allow), r.Audit
	if !r.Open {
		budgets, err := g.budgets(ctx, r)
		if err != nil {
			return row, err
		}

		row.Access.SessionBudgets = budgets
		row.Access.Scopes = slices.Sorted(slices.Values(r.Scopes))
		// What is said of a login over all routes is about logins; a token has its own.
		row.Access.TokenBudgets = slices.DeleteFunc(slices.Clone(budgets), func(b policy.Budget) bool {
			return b.Name == "*"
		})
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

		id, err := g.counts.BudgetID(ctx, g.conf.Name, name)
		if err != nil {
			return nil, err
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

// readers are how credentials are read at a service, in the order in which they are asked.
func readers(c Config) []gate.Reader {
	s := c.Service
	// What a caller says in so many words comes before the cookie that a client sends by
	// itself: one that has ended must not spoil a good token.
	var list []gate.Reader
	if s.Tokens != nil {
		list = append(list, gate.Bearer{Tokens: c.Tokens, Audience: s.Tokens.Audience, Allow: allow(s.Login.Allow)})
	}

	list = append(list, gate.Basic{
		Tokens:   c.Tokens,
		Audience: audience(s),
		Logins:   c.Logins,
		Allow:    allow(s.Login.Allow),
		ByEmail:  s.UsersAPI != nil && s.UsersAPI.Classic != nil,
	})
	t := teaching(s).Cookies
	if t != nil {
		list = append(list, gate.NamedCookies{User: t.Name, Token: t.Token, Sessions: c.Sessions})
	} else {
		list = append(list, gate.Cookie{Name: s.Session.Cookie, Sessions: c.Sessions, Service: s.SessionsOf()})
	}

	if teaching(s).TokenInBody {
		list = append(list, gate.Body{Tokens: c.Tokens, Audience: s.Tokens.Audience, Allow: allow(s.Login.Allow)})
	}

	return list
}

// audience returns what tokens for a service are for, "" when it takes none.
func audience(s config.Service) string {
	if s.Tokens == nil {
		return ""
	}
	return s.Tokens.Audience
}

// teaching returns what a service has for teaching clients of old: mostly nothing.
func teaching(s config.Service) config.Teaching {
	if s.Teaching == nil {
		return config.Teaching{}
	}
	return *s.Teaching
}

func terms(s config.Service) policy.Terms {
	t := policy.Terms{
		Idle:        s.Session.IdleTimeout.Std(),
		Lifetime:    s.Session.Lifetime.Std(),
		MaxSessions: unlimited(s.Session.MaxSessions),
		WhenFull:    policy.WhenFull(s.Session.WhenFull),
	}

	t.Relogin = policy.Relogin{
		Max:      unlimited(s.Relogin.MaxLogins),
		Window:   s.Relogin.Window.Std(),
		Cooldown: s.Relogin.Cooldown.Std(),
	}
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
	return &policy.Allow{Users: a.Users, Groups: a.Groups, Clients: a.Clients}
}

// Weaknesses names the options of a service that make it weaker than the default, for
// the start-up log.
func Weaknesses(s config.Service) []string {
	var list []string
	if s.PlainHTTP {
		list = append(list, "plain_http: passwords and cookies travel in the clear")
	}

	t := s.Teaching
	if t != nil {
		if t.Cookies != nil {
			list = append(list, "teaching.cookies: name and login time are shown in cookies of their own")
		}
		if t.RevealLoginFailure {
			list = append(list, "teaching.reveal_login_failure: a stranger learns which names exist")
		}
		if t.AssertionLogin != "" {
			list = append(list, "teaching.assertion_login: a stranger learns which clients exist")
		}

		if t.Register != "" {
			list = append(list, "teaching.register: anybody becomes a user, with a password as short as they like")
		}
		if t.IssOnly {
			list = append(
				list,
				"teaching.iss_only: whoever has seen an assertion can use it again, for as long as its key is registered",
			)
		}
		if t.TokenInBody {
			list = append(
				list,
				"teaching.token_in_body: every refusal is a 403 that says whether the token came too early or too late",
			)
		}

		if t.DeniedText != "" {
			list = append(list, "teaching.denied_text: every refusal is a 403 with the same text")
		}
	}

	return list
}

package gateway

import (
	"context"
	"fmt"
	"log/slog"
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

// teaching returns what a service has for teaching clients of old: mostly nothing.
func teaching(s config.Service) config.Teaching {
	if s.Teaching == nil {
		return config.Teaching{}
	}
	return *s.Teaching
}

package teaching

import (
	"fmt"
	"slices"

	"github.com/jeton-auth/jeton/internal/account"
	"github.com/jeton-auth/jeton/internal/config"
	"github.com/jeton-auth/jeton/internal/gate"
	"github.com/jeton-auth/jeton/internal/gateway"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/session"
	"github.com/jeton-auth/jeton/internal/signin"
	"github.com/jeton-auth/jeton/internal/token"
	"github.com/jeton-auth/jeton/internal/web"
)

// Service is what the configuration of one service has for teaching clients: often nothing.
type Service struct {
	c       Config
	options config.Teaching
	denied  *denied // nil without denied_text
}

// Config is what New needs.
type Config struct {
	Service  config.Service
	Sessions *session.Sessions
	Tokens   *token.Tokens
	Accounts *account.Accounts
	Logins   *signin.Logins
	Issuer   string // the authorization server whose tokens are accepted, or ""
}

// New returns the teaching behaviours of a service from a configuration that has been checked.
func New(c Config) (*Service, error) {
	s := &Service{c: c}
	if c.Service.Teaching != nil {
		s.options = *c.Service.Teaching
	}

	if s.options.DeniedText != "" {
		text, err := gateway.ParseTemplate(s.options.DeniedText)
		if err != nil {
			return nil, fmt.Errorf("service %s: denied_text: %w", c.Service.Name, err)
		}

		s.denied = &denied{text: text}
		if s.options.Cookies != nil {
			s.denied.nameCookie = s.options.Cookies.Name
		}
	}

	return s, nil
}

// Configure returns the configuration of the service's gateway with the cookies and credential
// readers that teaching clients need.
func (s *Service) Configure(c gateway.Config) gateway.Config {
	c.EmailLogin = HasClassicAPI(s.c.Service)

	if s.options.Cookies != nil {
		c.Cookies = newNamedCookies(s.c)
	}

	if s.options.TokenInBody {
		c.ReadBody = true
		c.Readers = append(c.Readers, bodyReader{
			bearer: gate.Bearer{
				Tokens:   s.c.Tokens,
				Audience: s.c.Service.Tokens.Audience,
			},
			wholeSeconds: s.options.WholeSeconds,
		})
	}

	return c
}

// Wrap returns the routes of the service's gateway with the responses that teaching clients
// expect, and the routes of teaching servers behind them.
func (s *Service) Wrap(routes []web.Route) []web.Route {
	// The caller's routes stay as they are.
	wrapped := slices.Clone(routes)

	for i := range wrapped {
		// One shape for each route: a refusal of the token in the body wins over denied_text.
		switch {
		case s.isLogin(wrapped[i]) && s.options.RevealLoginFailure:
			wrapped[i] = refuseWith(wrapped[i], revealLoginFailure)
		case s.isConfigured(wrapped[i]) && s.options.TokenInBody:
			wrapped[i] = refuseWith(wrapped[i], refuseToken)
		case s.isConfigured(wrapped[i]) && s.denied != nil:
			wrapped[i] = refuseWith(wrapped[i], s.denied.refuse)
		}
	}

	if s.options.Register != "" {
		r := registration{s.c.Accounts, s.c.Service.Name}
		wrapped = append(wrapped, web.Route{
			Pattern:    "POST " + web.ExactPath(s.options.Register),
			Access:     policy.Open,
			BufferBody: true,
			Handle:     r.register,
		})
	}

	if s.options.AssertionLogin != "" {
		l := newAssertionLogin(s.c)
		wrapped = append(wrapped, web.Route{
			Pattern: "POST " + web.ExactPath(s.options.AssertionLogin),
			Access:  policy.Open,
			Handle:  l.login,
			Refuse:  l.refuse,
		})
	}

	return wrapped
}

// isLogin reports whether a route is a login of the service.
func (s *Service) isLogin(route web.Route) bool {
	return slices.ContainsFunc(s.c.Service.Login.Paths, func(path string) bool {
		return route.Pattern == "POST "+web.ExactPath(path)
	})
}

// isConfigured reports whether a route is one of the configuration's.
func (s *Service) isConfigured(route web.Route) bool {
	return slices.ContainsFunc(s.c.Service.Routes, func(r config.Route) bool { return r.Match == route.Pattern })
}

// Weaknesses returns the options that make a service weaker than the default, for the start-up
// log.
func Weaknesses(s config.Service) []string {
	var t config.Teaching
	if s.Teaching != nil {
		t = *s.Teaching
	}

	var list []string

	for _, option := range []struct {
		on   bool
		text string
	}{
		{t.Cookies != nil, "cookies: name and login time are shown in cookies of their own"},
		{t.RevealLoginFailure, "reveal_login_failure: any caller can find out which user names exist"},
		{t.AssertionLogin != "", "assertion_login: any caller can find out which clients exist"},
		{t.Register != "", "register: any caller becomes a user, with a password as short as they like"},
		{
			t.IssOnly,
			"iss_only: an assertion that was seen can be used again, as long as its key is registered",
		},
		{
			t.TokenInBody,
			"token_in_body: every refusal is a 403 that says whether the token came too early or too late",
		},
		{
			t.WholeSeconds,
			"whole_seconds: a token is accepted up to a second before its delay has passed, and up to a second after " +
				"it has expired",
		},
		{t.DeniedText != "", "denied_text: every refusal is a 403 with the same text"},
	} {
		if option.on {
			list = append(list, "teaching."+option.text)
		}
	}

	return append(list, classicWeaknesses(s)...)
}

package config

import (
	"regexp"
	"slices"
	"strings"

	"github.com/jeton-auth/jeton/internal/config/yamlread"
	"github.com/jeton-auth/jeton/internal/naming"
)

// The credentials that a route can accept, as accept lists them.
const (
	acceptSession = "session"
	acceptToken   = "token"
	acceptBasic   = "basic"
)

// Accepts returns the credentials that routes without their own accept list accept.
func (s *Service) Accepts() []string {
	if len(s.Accept) > 0 {
		return s.Accept
	}
	return s.issued()
}

// issued returns the credentials that callers can get for the service. A password in
// every request is not among them: the service has to list it.
func (s *Service) issued() []string {
	var list []string
	if len(s.Login.Paths) > 0 || s.Login.SignIn || s.UsersAPI != nil {
		list = append(list, acceptSession)
	}
	if s.Tokens != nil {
		list = append(list, acceptToken)
	}

	return list
}

// services checks each service, and then what they have in common. Names are in lower case only,
// so two of them never differ only in case.
func (c checker) services() {
	names := make(map[string]*string)
	for i := range c.conf.Services {
		s := &c.conf.Services[i]
		c.unique(names, s.Name, &s.Name)
		c.service(s)
	}

	c.sharedAddresses()
	c.urls()
}

// service checks one service. Routes come last, as they depend on its other paths and on what
// it accepts.
func (c checker) service(s *Service) {
	if err := naming.Service(s.Name); err != nil {
		c.badName(&s.Name, "service name", s.Name, err)
	}
	if s.Name == IssuerName {
		c.Fault(&s.Name, "%s is the name of the authorization server; choose another", yamlread.Quote(s.Name))
	}

	switch {
	case s.Forwarded():
		c.forwarded(s)
	case s.Listen != "":
		c.listen(&s.Listen)
	case c.Valid(&s.Listen):
		const text = "missing; want address and port, or url and a forward section for a service behind another proxy"
		c.Fault(&s.Listen, text)
	}
	c.host(&s.Host, "app.example.org")
	for i := range s.Hosts {
		c.host(&s.Hosts[i], "app.example.org")
	}
	c.tls(&s.TLS, s.PlainHTTP)

	c.login(s)
	c.signIn(s)
	c.session(s)
	c.relogin(&s.Relogin)
	c.accept(&s.Accept, s)

	if s.Tokens != nil {
		c.tokens(s.Tokens)
	}
	c.userScopes(s)
	if s.Teaching != nil {
		c.teaching(s)
	}
	if s.UsersAPI != nil {
		c.usersAPI(s)
	}

	c.require(s.Require)
	c.routes(s)
	c.pagePathsOf(s)
}

// login checks the paths that accept a password, and the one that ends a session.
func (c checker) login(s *Service) {
	c.path(&s.Logout)

	taken := map[string]*string{s.Logout: &s.Logout}
	for i := range s.Login.Paths {
		p := &s.Login.Paths[i]
		c.path(p)
		c.unique(taken, *p, p)
	}

	c.path(&s.Login.Token)
	if c.Has(&s.Login.Token) && s.Tokens == nil {
		c.Fault(&s.Login.Token, "returns tokens, and the service has none; add a tokens section")
	}

	c.notEmpty(&s.Login.UsernameField)
	c.notEmpty(&s.Login.PasswordField)
	if s.Login.UsernameField == s.Login.PasswordField {
		c.Fault(&s.Login.PasswordField, "is username_field, too; want two different fields")
	}

	c.loginForRoutes(s)
}

// loginForRoutes checks that callers can get a credential for each route that needs one.
func (c checker) loginForRoutes(s *Service) {
	if len(s.Accepts()) > 0 {
		return
	}

	for i := range s.Routes {
		r := &s.Routes[i]
		if !r.Open && len(r.Accept) == 0 {
			c.Fault(
				&s.Login.Paths,
				"missing; routes[%d] needs a login: add a path such as /login, or tokens, or open: true on the route",
				i,
			)
			return
		}
	}
}

// session checks that the terms fit together: an idle timeout longer than the lifetime would never
// take effect.
func (c checker) session(s *Service) {
	sess := &s.Session
	c.cookie(&sess.Cookie, s)

	// Only if lifetime itself is valid: otherwise one mistake would be reported twice.
	if sess.IdleTimeout > sess.Lifetime && c.Valid(&sess.Lifetime) {
		c.Fault(
			&sess.IdleTimeout, "%v is longer than lifetime %v; shorten it, or raise lifetime",
			sess.IdleTimeout, sess.Lifetime,
		)
	}
}

// relogin reports a window without a number of logins. max_logins without a window is
// complete: it then counts all logins ever.
func (c checker) relogin(r *Relogin) {
	// 0 is also what a value that could not be read leaves; that has its fault already.
	unlimited := r.MaxLogins == 0 && c.Valid(&r.MaxLogins)
	if unlimited && c.Has(&r.Window) {
		c.Fault(&r.Window, "set without max_logins; add max_logins, or remove it")
	}
}

// tokenPattern is a token (RFC 9110, section 5.6.2), as names of cookies and headers are.
var tokenPattern = regexp.MustCompile("^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")

// cookie checks the name of a cookie. Without TLS, browsers drop a cookie whose name begins with
// __Host- or __Secure-, in any case.
func (c checker) cookie(name *string, s *Service) {
	lower := strings.ToLower(*name)
	prefixed := strings.HasPrefix(lower, "__host-") || strings.HasPrefix(lower, "__secure-")
	// Browsers send a cookie to all ports of a host, so to the authorization server and other services as well.
	own := strings.TrimPrefix(*name, "__Host-")
	switch {
	case !tokenPattern.MatchString(*name) || len(*name) > 128:
		c.Invalid(name, "cookie name", *name, "letters, digits, - and _, at most 128 bytes (RFC 6265)")
	case s.PlainHTTP && prefixed:
		c.Invalid(name, "cookie name", *name, "a name without this prefix: the prefix needs TLS, and plain_http is on")
	case strings.HasPrefix(own, "jeton-") && own != "jeton-"+s.Name:
		const want = "one without jeton- at its begin, as those of other services and of the issuer have"
		c.Invalid(name, "cookie name", *name, want)
	}
}

// accept checks a list of credentials, of a service or of one of its routes.
func (c checker) accept(list *[]string, s *Service) {
	// Absent means the default, and empty none: it would close the service by mistake.
	if c.Has(list) && len(*list) == 0 {
		c.Fault(list, "empty, so no request could be admitted; list session, token or basic, or remove the key")
	}

	issued := s.issued()
	for i := range *list {
		kind := &(*list)[i] // Fault finds the line by this pointer
		if slices.Contains(issued, *kind) {
			continue
		}

		switch *kind {
		case acceptSession:
			c.Fault(kind, "accepts sessions, and the service has no login; add login.sign_in: true, or login.paths")
		case acceptToken:
			c.Fault(kind, "accepts tokens, and the service has none; add a tokens section")
		}
	}
}

// teaching checks the options for teaching clients.
func (c checker) teaching(s *Service) {
	t := s.Teaching
	c.template(&t.DeniedText)
	c.path(&t.AssertionLogin)
	c.path(&t.Register)

	if t.IssOnly && t.AssertionLogin == "" {
		c.Fault(&t.IssOnly, "set without assertion_login; add assertion_login, or remove it")
	}
	if t.WholeSeconds && !t.TokenInBody {
		c.Fault(&t.WholeSeconds, "set without token_in_body; add token_in_body: true, or remove it")
	}
	if (t.AssertionLogin != "" || t.TokenInBody) && s.Tokens == nil {
		c.Fault(t, "needs tokens, and the service has none; add a tokens section")
	}
	if t.Cookies == nil {
		return
	}

	// With one name for two of them, the user's name would be sent in place of the secret.
	taken := make(map[string]*string)
	for _, name := range []*string{&t.Cookies.Name, &t.Cookies.Token, &t.Cookies.LoginTime} {
		c.cookie(name, s)
		c.unique(taken, *name, name)
	}
}

// require checks a section that says how users have to be proved.
func (c checker) require(r *Require) {
	if r != nil && !c.Has(&r.Factors) && !c.Has(&r.MaxAge) {
		c.Fault(r, "empty; want factors: 2, max_age: 5m, or both")
	}
}

// required checks that callers can show what a route requires, with the credentials that it accepts.
func (c checker) required(s *Service, r *Route, accepted []string) {
	c.require(r.Require)

	var factors *int
	for _, section := range []*Require{s.Require, r.Require} {
		if section != nil && section.Factors > 1 {
			factors = &section.Factors
		}
	}

	sessions := slices.Contains(accepted, acceptSession)
	switch {
	case factors == nil:
	case !sessions && !slices.Contains(accepted, acceptToken):
		c.Fault(factors, "%s accepts basic alone, and a password is one factor; accept session or token", r.Match)
	case sessions && !s.Login.SignIn:
		const text = "users show a second factor at the sign-in page only; add login.sign_in: true, or accept: [token]"
		c.Fault(factors, text)
	}
}

// usersAPIRequired checks that callers of the API of users can show the factors that the service requires.
func (c checker) usersAPIRequired(s *Service) {
	if s.Require == nil || s.Require.Factors < 2 {
		return
	}

	const refused = "which is one factor, so that every request would be refused; "

	classic := s.UsersAPI.Classic
	switch {
	case classic != nil && classic.Auth == "basic_auth":
		const text = "users_api.classic.auth: basic_auth accepts a password, " + refused + "remove one of the two"
		c.Fault(&s.Require.Factors, text)
	case classic != nil && strings.HasPrefix(classic.Auth, "session") && !s.Login.SignIn:
		c.Fault(&s.Require.Factors, "users_api.classic has logins by password, "+refused+"add login.sign_in: true")
	case classic == nil && s.Tokens == nil && !s.Login.SignIn:
		c.Fault(&s.Require.Factors, "users_api accepts a password, "+refused+"add tokens, or login.sign_in: true")
	}
}

// userScopes checks the scopes that users have at a service.
func (c checker) userScopes(s *Service) {
	if len(s.UserScopes) > 0 && s.Tokens == nil {
		c.Fault(&s.UserScopes, "set, and the service has no tokens; add a tokens section, or remove it")
	}

	for i := range s.UserScopes {
		c.scopes(s.UserScopes[i].Scopes)
	}
}

// usersAPI checks the API of users at a service.
func (c checker) usersAPI(s *Service) {
	u := s.UsersAPI
	c.usersAPIRequired(s)
	c.path(&u.Prefix)
	if strings.HasSuffix(u.Prefix, "/") {
		c.Invalid(&u.Prefix, "path", u.Prefix, "a path such as /api/v1, without a slash at the end")
	}

	// A login that is limited to N requests could make any number of them here.
	if s.Session.MaxUses != nil {
		c.Fault(u, "conflicts with session.max_uses, which its paths do not count; keep one")
	}
	if s.Teaching != nil && s.Teaching.Cookies != nil {
		c.Fault(u, "conflicts with teaching.cookies, and its login sets one session cookie; keep one")
	}

	for i := range s.Routes {
		match := &s.Routes[i].Match
		// A pattern may begin with a method.
		_, path, _ := strings.Cut(*match, "/")
		if strings.HasPrefix("/"+path, u.Prefix+"/") {
			c.Fault(match, "%s is under users_api.prefix; choose another path", yamlread.Quote(*match))
		}
	}

	for i := range u.Admins {
		c.notEmpty(&u.Admins[i])
	}
	for i := range u.Clients {
		c.notEmpty(&u.Clients[i])
	}
}

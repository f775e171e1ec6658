package config

import (
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"text/template"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/config/yamlread"
	"github.com/jeton-auth/jeton/internal/web"
)

// methods returns the methods of routes. CONNECT and TRACE do not pass a gateway.
func methods() []string {
	return []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
}

// matchForm is a pattern of net/http without a host, which Service.Host has. It is looser
// than the patterns of http.ServeMux, which checks them next.
var matchForm = regexp.MustCompile(`^(?:([A-Za-z]+) )?(/[^ \t\r\n]*)$`)

// routes checks each route, and that no two patterns match the same request with
// neither being the more specific. The service's own paths have precedence: a route
// may not have them.
func (c checker) routes(s *Service) {
	p := patterns{mux: http.NewServeMux(), paths: s.Paths.Reading()}
	p.addOwn(s)

	for i := range s.Routes {
		r := &s.Routes[i]
		if r.Match != "" && c.match(&r.Match) {
			text := p.add(r.Match, yamlread.Index("routes", i))
			if text != "" {
				c.Fault(&r.Match, "%s", text)
			}
		}

		c.route(s, r)
	}

	c.bypasses(s)
}

// match checks the form of one pattern.
func (c checker) match(match *string) bool {
	parts := matchForm.FindStringSubmatch(*match)
	if parts == nil {
		c.Invalid(match, "pattern", *match, "one such as /reports or GET /reports/{id}; a host belongs to the service")
		return false
	}

	method := parts[1]
	if method != "" && !slices.Contains(methods(), method) {
		c.Invalid(match, "method", method, yamlread.OneOf(method, methods()))
		return false
	}

	if !isClean(parts[2]) {
		c.Invalid(match, "pattern", *match, "a path without //, . and ..")
		return false
	}

	return true
}

// patterns is a mux for checking: the gateway's mux accepts the patterns that it accepts.
type patterns struct {
	mux   *http.ServeMux
	paths web.Paths // how requests are matched
	taken []pattern
}

// pattern is a pattern and the key that it came from, for the fault about a conflict.
type pattern struct {
	text, by  string
	canonical string // as it is registered
}

// addOwn adds the paths of the service that are not routes. A path that is wrong has
// its fault already.
func (p *patterns) addOwn(s *Service) {
	for i, path := range s.Login.Paths {
		p.addPath("POST", path, yamlread.Index("login.paths", i))
	}
	p.addPath("POST", s.Logout, "logout")
	p.addPath("GET", s.Login.Token, "login.token")
	if s.Login.SignIn {
		p.addPath("GET", StartPath, "login.sign_in")
		p.addPath("GET", FinishPath, "login.sign_in")
		p.addPath("GET", SignedOutPath, "login.sign_in")
	}

	if s.Tokens != nil {
		p.addPath("GET", "/.well-known/oauth-protected-resource", "tokens")
		p.addPath("POST", LeasePath, "tokens")
		p.addPath("POST", LeaseRenewPath, "tokens")
		p.addPath("POST", TokenEndPath, "tokens")
		p.addPath("POST", TokenRequestPath, "tokens")
		p.addPath("POST", TokenPollPath, "tokens")
	}

	if s.Teaching != nil {
		p.addPath("POST", s.Teaching.AssertionLogin, "teaching.assertion_login")
		p.addPath("POST", s.Teaching.Register, "teaching.register")
	}

	if s.UsersAPI != nil && !strings.HasSuffix(s.UsersAPI.Prefix, "/") {
		for _, method := range methods() {
			if method != "HEAD" { // comes with GET
				p.addPath(method, s.UsersAPI.Prefix+"/{rest...}", "users_api")
			}
		}
	}
}

// addPath adds one path for one method.
func (p *patterns) addPath(method, path, by string) {
	fixed := strings.TrimSuffix(path, "/{rest...}")
	if !strings.HasPrefix(path, "/") || strings.ContainsAny(fixed, "{}") {
		return
	}
	if strings.HasSuffix(path, "/") {
		path += "{$}"
	}

	// A conflict between two of the service's own paths is found where those are checked.
	_ = p.add(method+" "+path, by)
}

// add adds a pattern, or returns why it cannot.
func (p *patterns) add(text, by string) string {
	canonical, err := p.paths.Pattern(text)
	if err != nil {
		return yamlread.Quote(text) + " can never match: " + jeton.Detail(err) + "; change it, or upstream_paths"
	}

	fault := register(p.mux, canonical)
	if fault == "" {
		p.taken = append(p.taken, pattern{text, by, canonical})
		return ""
	}

	// The mux does not say whether the pattern is bad or conflicts. A new mux has nothing to conflict with.
	alone := register(http.NewServeMux(), canonical)
	if alone != "" {
		reason := strings.TrimPrefix(alone, fmt.Sprintf("parsing %q: ", canonical))
		return "invalid pattern " + yamlread.Quote(text) + ": " + reason +
			"; want one such as GET /reports/{id} or GET /static/{rest...}"
	}

	// Asked in pairs, to find which one it conflicts with.
	for _, t := range p.taken {
		pair := http.NewServeMux()
		_ = register(pair, t.canonical)
		if register(pair, canonical) != "" {
			return fmt.Sprintf(
				"%s conflicts with %s (%s): some requests match both, and neither is more specific; change one",
				yamlread.Quote(text), t.by, t.text,
			)
		}
	}

	return fault
}

// register adds a pattern to a mux and returns the mux's objection, or "".
func register(mux *http.ServeMux, pattern string) (objection string) {
	// http.ServeMux reports a bad pattern only by a panic.
	defer func() {
		r := recover()
		if r != nil {
			objection = fmt.Sprint(r)
		}
	}()

	mux.Handle(pattern, http.NotFoundHandler())
	return ""
}

// route checks one route apart from its pattern.
func (c checker) route(s *Service, r *Route) {
	c.access(s, r)
	c.scopes(r.Scopes)

	switch {
	case s.Forwarded():
		c.forwardedRoute(r)
	case r.Respond != nil && r.Upstream != nil:
		c.Fault(r.Upstream, "conflicts with respond; keep one")
	case r.Respond == nil && r.Upstream == nil:
		c.Fault(r, "missing; respond or upstream is required")
	}

	if r.Respond != nil {
		c.respond(r.Respond)
	}
	if r.Upstream != nil {
		c.upstream(r.Upstream, s.Paths.Reading())
	}
}

// forwardedRoute checks that a route leaves the answer to the proxy that serves the service.
func (c checker) forwardedRoute(r *Route) {
	const text = "needs services[].listen, which is missing: another proxy forwards the requests; remove it"
	if r.Respond != nil {
		c.Fault(r.Respond, text)
	}
	if r.Upstream != nil {
		c.Fault(r.Upstream, text)
	}
}

// access checks who may send requests to a route.
func (c checker) access(s *Service, r *Route) {
	c.accept(&r.Accept, s)
	if r.Open {
		c.openRoute(r)
		return
	}

	accepted := r.Accept
	if len(accepted) == 0 {
		accepted = s.Accepts()
	}

	// Uses belong to a session or a token. Without either, a limit could not be enforced.
	counted := r.MaxUses != nil || s.Session.MaxUses != nil
	if counted && slices.Contains(accepted, acceptBasic) {
		c.Fault(
			&r.Accept,
			"basic has no session to count uses by, and uses are counted here; accept only session or token",
		)
	}
	c.required(s, r, accepted)
	if len(r.Scopes) > 0 && s.Tokens == nil {
		c.Fault(&r.Scopes, "set, and the service has no tokens; add a tokens section, or remove it")
	}
}

// openRoute checks that a route without authentication has no key that needs one.
func (c checker) openRoute(r *Route) {
	const text = "conflicts with open: true, which admits requests without a credential; keep one"

	if r.Allow != nil {
		c.Fault(r.Allow, text)
	}
	if r.Require != nil {
		c.Fault(r.Require, text)
	}
	if r.Audit {
		c.Fault(&r.Audit, text)
	}
	if r.MaxUses != nil {
		c.Fault(&r.MaxUses, text)
	}
	if c.Has(&r.Accept) {
		c.Fault(&r.Accept, text)
	}
	if len(r.Scopes) > 0 {
		c.Fault(&r.Scopes, text)
	}
}

// respond checks a response and sets which kind it is.
func (c checker) respond(r *Respond) {
	for _, one := range []struct {
		kind  string
		field any
	}{{"json", &r.JSON}, {"text", &r.Text}, {"template", &r.Template}} {
		switch {
		case !c.Has(one.field):
		case r.kind != "":
			c.Fault(one.field, "conflicts with %s; keep one", r.kind)
		default:
			r.kind = one.kind
		}
	}

	if r.kind == "" {
		c.Fault(r, "missing; json, text or template is required")
	}

	c.template(&r.Template)
	if !r.JSON.IsZero() && c.Valid(&r.JSON) {
		c.json(c.Path(&r.JSON), &r.JSON)
	}
}

// maxTemplate bounds the text that the recursive template parser gets.
const maxTemplate = 64 << 10

// template checks the syntax of a template. The names in it are checked by package
// gateway, which executes it.
func (c checker) template(text *string) {
	fault := templateFault(*text)
	if fault != "" {
		c.Fault(text, "%s", fault)
	}
}

// templateFault returns what is wrong with a template, or "". The functions are stubs:
// parsing needs only their names.
func templateFault(text string) string {
	if len(text) > maxTemplate {
		return fmt.Sprintf("invalid template: %d bytes long; want at most %d", len(text), maxTemplate)
	}

	stub := func(...any) string { return "" }
	_, err := template.New("").Funcs(template.FuncMap{"pick": stub, "randInt": stub}).Parse(text)
	if err == nil {
		return ""
	}

	// The parser's error begins with "template: :1: …"; the name between the colons is empty.
	reason := strings.TrimPrefix(err.Error(), "template: :")
	return "invalid template: line " + reason + "; want a form such as {{.Name}}"
}

package config

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"text/template"
)

// methods are what a route may ask for. CONNECT and TRACE are not for services
// behind a gateway.
func methods() []string {
	return []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
}

var matchShape = regexp.MustCompile(`^(?:([A-Za-z]+) )?(/[^ \t\r\n]*)$`)

// routes checks each route, and that no two patterns claim the same request with
// neither being the narrower. Our own doors come first: a route may not have them.
func (d *document) routes(path string, s *Service) {
	p := patterns{mux: http.NewServeMux()}
	for i, door := range s.Login.Paths {
		p.door(door, at("login.paths", i))
	}

	p.door(s.Logout, "logout")
	if strings.HasPrefix(s.Login.Token, "/") && !strings.ContainsAny(s.Login.Token, "{}") {
		_ = p.add("GET "+s.Login.Token, "login.token")
	}

	if s.Teaching != nil {
		p.door(s.Teaching.AssertionLogin, "teaching.assertion_login")
		p.door(s.Teaching.Register, "teaching.register")
	}

	p.usersAPI(s.UsersAPI)

	for i := range s.Routes {
		r, path := &s.Routes[i], at(path+".routes", i)
		if r.Match != "" && d.match(path+".match", r.Match) {
			text := p.add(r.Match, at("routes", i))
			if text != "" {
				d.fault(path+".match", text)
			}
		}

		d.route(path, r)
		d.accept(path, s, r)
	}
}

// match checks the shape of one pattern.
func (d *document) match(path, match string) bool {
	parts := matchShape.FindStringSubmatch(match)
	if parts == nil {
		d.fault(
			path,
			quote(match)+" is no pattern; write it as in /reports or GET /reports/{id} (a host goes to the service)",
		)
		return false
	}

	method := parts[1]
	if method != "" && !slices.Contains(methods(), method) {
		text := fmt.Sprintf("%s is no method; known: %s", quote(method), strings.Join(methods(), ", "))
		upper := strings.ToUpper(method)
		if slices.Contains(methods(), upper) {
			text = quote(method) + " is no method; did you mean " + upper + "?"
		}

		d.fault(path, text)
		return false
	}

	if !clean(parts[2]) {
		d.fault(path, quote(match)+" is never asked for as it stands; a path without //, . and .. is right")
		return false
	}

	return true
}

// patterns is a throwaway mux: what it takes, the gateway's will take.
type patterns struct {
	mux   *http.ServeMux
	taken []struct{ pattern, by string }
}

// door takes the pattern of a login or logout path. A path that is wrong has its
// fault already.
func (p *patterns) door(path, by string) {
	if !strings.HasPrefix(path, "/") || strings.ContainsAny(path, "{}") {
		return
	}
	if strings.HasSuffix(path, "/") {
		path += "{$}"
	}

	_ = p.add("POST "+path, by)
}

// add takes a pattern, or says why it cannot.
func (p *patterns) add(pattern, by string) string {
	err := register(p.mux, pattern)
	if err == "" {
		p.taken = append(p.taken, struct{ pattern, by string }{pattern, by})
		return ""
	}

	for _, t := range p.taken {
		pair := http.NewServeMux()
		_ = register(pair, t.pattern)
		if register(pair, pattern) != "" && register(http.NewServeMux(), pattern) == "" {
			return fmt.Sprintf(
				"%s claims requests that %s (%s) claims, and neither is the narrower; change one",
				quote(pattern),
				t.by,
				t.pattern,
			)
		}
	}

	return quote(pattern) + " is no pattern: " + strings.TrimPrefix(err, fmt.Sprintf("parsing %q: ", pattern)) +
		"; write it as in GET /reports/{id} or GET /static/{rest...}"
}

// register adds a pattern to a mux and returns what the mux said against it.
func register(mux *http.ServeMux, pattern string) (text string) {
	defer func() {
		r := recover()
		if r != nil {
			text = fmt.Sprint(r)
		}
	}()

	mux.Handle(pattern, http.NotFoundHandler())
	return ""
}

func (d *document) route(path string, r *Route) {
	if r.Open && r.Allow != nil {
		d.fault(path+".allow", "given next to open, which lets anybody in; keep one")
	}
	if r.Open && r.Audit {
		d.fault(path+".audit", "given with open: true; nobody is judged there, so there is nothing to record")
	}
	if r.Open && r.MaxUses != nil {
		d.fault(path+".max_uses", "given next to open, where nobody's uses are counted; keep one")
	}

	d.maxUses(path+".max_uses", r.MaxUses)

	switch {
	case r.Respond != nil && r.Upstream != nil:
		d.fault(path+".upstream", "given next to respond; keep one")
	case r.Respond == nil && r.Upstream == nil:
		d.fault(path, "answers nothing; respond or upstream is required")
	}

	if r.Respond != nil {
		d.respond(path+".respond", r.Respond)
	}
	if r.Upstream != nil {
		d.upstream(path+".upstream", r.Upstream)
	}
}

// respond checks an answer and notes which kind it is.
func (d *document) respond(path string, r *Respond) {
	d.within(bound{path + ".status", r.Status, 200, 599})

	for _, kind := range []string{"json", "text", "template"} {
		switch {
		case !d.has(path + "." + kind):
		case r.kind != "":
			d.fault(path+"."+kind, "given next to "+r.kind+"; keep one")
		default:
			r.kind = kind
		}
	}

	if r.kind == "" {
		d.fault(path, "answers nothing; json, text or template is required")
	}

	d.template(path+".template", r.Template)
	if !r.JSON.IsZero() {
		d.json(path+".json", &r.JSON)
	}
}

func (d *document) upstream(path string, u *Upstream) {
	d.positive(path+".timeout", u.Timeout)
	if u.StripPrefix != "" && !strings.HasPrefix(u.StripPrefix, "/") {
		d.fault(path+".strip_prefix", quote(u.StripPrefix)+" does not begin with /; a path such as /app is right")
	}
	if u.URL == "" {
		return // reported as missing or empty
	}

	// The URL may hold a password, by mistake; no fault shows all of it.
	v, err := url.Parse(u.URL)
	switch {
	case err != nil || v.Scheme != "http" && v.Scheme != "https" || v.Host == "" || v.Hostname() == "":
		d.fault(path+".url", "no absolute address; write it as in http://127.0.0.1:3000 or https://app.internal/base")
	case v.User != nil:
		d.fault(path+".url", "holds a user name; an address without one is right")
	case v.RawQuery != "" || v.ForceQuery || v.Fragment != "" || strings.Contains(u.URL, "#"):
		d.fault(path+".url", "holds a query or a fragment; an address and a path are right")
	case u.CA != "" && v.Scheme != "https":
		d.fault(path+".ca", "given for an http address; an https url needs it, no other")
	}
}

// maxTemplate bounds what is parsed. The template parser is recursive.
const maxTemplate = 64 << 10

// template checks the syntax of a template. What it names is looked at by the
// package that fills it in.
func (d *document) template(path, text string) {
	fault := templateFault(text)
	if fault != "" {
		d.fault(path, fault)
	}
}

func templateFault(text string) string {
	if len(text) > maxTemplate {
		return fmt.Sprintf("%d bytes of template; at most %d are right", len(text), maxTemplate)
	}

	stub := func(...any) string { return "" }
	_, err := template.New("").Funcs(template.FuncMap{"pick": stub, "randInt": stub}).Parse(text)
	if err == nil {
		return ""
	}

	// The parser says "template: :1: …"; the name is empty and says nothing.
	return "no template: line " + strings.TrimPrefix(err.Error(), "template: :") + "; write it as in {{.Name}}"
}

package pages

import (
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/jeton-auth/jeton/internal/web"
)

// adminServiceRoutes returns the routes of the pages of services.
func (p *Pages) adminServiceRoutes() []web.Route {
	return []web.Route{
		{Pattern: "GET /admin/services", Handle: p.adminServices},
		{Pattern: "GET /admin/services/{name}", Handle: p.adminService},
	}
}

// shownService is a service as the API returns it.
type shownService struct {
	Name    string         `json:"name"`
	URL     string         `json:"url"`
	Accepts []string       `json:"accepts"`
	Allow   *allowed       `json:"allow"`
	Session *sessionTerms  `json:"session"`
	Scopes  []string       `json:"scopes"`
	Routes  []serviceRoute `json:"routes"`
}

// sessionTerms are the terms of the sessions of a service, in seconds.
type sessionTerms struct {
	IdleTimeout int64 `json:"idle_timeout"`
	Lifetime    int64 `json:"lifetime"`
	MaxSessions int   `json:"max_sessions"`
}

// serviceRoute is a route with its access rule.
type serviceRoute struct {
	Match   string   `json:"match"`
	Open    bool     `json:"open"`
	Accepts []string `json:"accepts"`
	Scopes  []string `json:"scopes"`
	Allow   *allowed `json:"allow"`
	MaxUses int64    `json:"max_uses"`
	Factors int      `json:"factors"`
	MaxAge  int64    `json:"max_age"` // seconds
}

// allowed lists subjects that are allowed.
type allowed struct {
	AnyUser bool     `json:"any_user"`
	Users   []string `json:"users"`
	Groups  []string `json:"groups"`
	Clients []string `json:"clients"`
}

// adminServicesView is the view of admin/services.
type adminServicesView struct {
	Services []adminServiceRow
	Empty    Empty
}

// adminServiceRow is a service in the list.
type adminServiceRow struct {
	Name    string
	Page    string // URL
	URL     string // where browsers reach it, or ""
	Accepts []Text
	Routes  int
}

// adminServiceView is the view of admin/service.
type adminServiceView struct {
	Name     string
	URL      string
	Login    []Text // who may log in
	Accepts  []Text
	Idle     time.Duration // of sessions; 0: it accepts none
	Lifetime time.Duration
	Max      int
	Scopes   []string
	Routes   []routeRow
	Sessions string // URL
	Events   string // URL
}

// routeRow is a route with its access rule in words.
type routeRow struct {
	Match string
	Open  bool
	Rule  []Text
}

// adminServices answers GET /admin/services.
func (p *Pages) adminServices(w *web.Reply, r *http.Request) error {
	var list []shownService
	if err := p.call(w, r, http.MethodGet, "/services", nil, nil, &list); err != nil {
		return err
	}

	return p.show(w, r, http.StatusOK, "admin/services", adminServicesPage(list))
}

// adminServicesPage returns the page of the list.
func adminServicesPage(list []shownService) adminServicesView {
	v := adminServicesView{Empty: Empty{Text: text("admin.services.empty")}}
	for _, s := range list {
		v.Services = append(v.Services, adminServiceRow{
			Name:    s.Name,
			Page:    "/admin/services/" + url.PathEscape(s.Name),
			URL:     s.URL,
			Accepts: kindTexts(s.Accepts),
			Routes:  len(s.Routes),
		})
	}

	return v
}

// adminService answers GET /admin/services/{name}.
func (p *Pages) adminService(w *web.Reply, r *http.Request) error {
	var s shownService
	path := "/services/" + url.PathEscape(r.PathValue("name"))
	if err := p.call(w, r, http.MethodGet, path, nil, nil, &s); err != nil {
		return err
	}

	return p.show(w, r, http.StatusOK, "admin/service", adminServicePage(s))
}

// adminServicePage returns the page of a service.
func adminServicePage(s shownService) adminServiceView {
	v := adminServiceView{
		Name:     s.Name,
		URL:      s.URL,
		Login:    []Text{text("admin.rule.any-user")},
		Accepts:  kindTexts(s.Accepts),
		Scopes:   s.Scopes,
		Sessions: pathWith(adminSessionsPath, url.Values{"service": {s.Name}}),
		Events:   pathWith("/admin/audit", url.Values{"service": {s.Name}}),
	}
	if s.Allow != nil {
		v.Login = allowTexts(s.Allow)
	}
	if s.Session != nil {
		v.Idle = time.Duration(s.Session.IdleTimeout) * time.Second
		v.Lifetime = time.Duration(s.Session.Lifetime) * time.Second
		v.Max = s.Session.MaxSessions
	}

	for _, route := range s.Routes {
		v.Routes = append(v.Routes, routeRow{Match: route.Match, Open: route.Open, Rule: ruleTexts(route)})
	}

	return v
}

// ruleTexts returns an access rule in words, a sentence each.
func ruleTexts(r serviceRoute) []Text {
	if r.Open {
		return []Text{text("admin.rule.open")}
	}

	list := allowTexts(r.Allow)
	if len(r.Accepts) > 0 {
		list = append(list, text("admin.rule.with", anyOf(kindTexts(r.Accepts))))
	}
	if len(r.Scopes) > 0 {
		list = append(list, text("admin.rule.scopes", Code(strings.Join(r.Scopes, " "))))
	}
	if r.Factors > 1 {
		list = append(list, text("phrase.two-factors"))
	}
	if r.MaxAge > 0 {
		list = append(list, text("phrase.proved-ago", time.Duration(r.MaxAge)*time.Second))
	}
	if r.MaxUses > 0 {
		list = append(list, text("admin.rule.uses", r.MaxUses))
	}

	return list
}

// allowTexts returns who is allowed, in words.
func allowTexts(a *allowed) []Text {
	if a == nil {
		return []Text{text("admin.rule.all")}
	}

	var list []Text
	if a.AnyUser {
		list = append(list, text("admin.rule.any-user"))
	}
	for _, part := range []struct {
		names []string
		text  func(names Strong) Text
	}{
		{a.Users, func(names Strong) Text { return text("admin.rule.users", names) }},
		{a.Groups, func(names Strong) Text { return text("admin.rule.groups", names) }},
		{a.Clients, func(names Strong) Text { return text("admin.rule.clients", names) }},
	} {
		if len(part.names) > 0 {
			list = append(list, part.text(Strong(strings.Join(part.names, ", "))))
		}
	}
	if list == nil {
		list = []Text{text("admin.rule.none")}
	}

	return list
}

// anyOf returns one text of several, as in a, b or c.
func anyOf(list []Text) Text {
	switch len(list) {
	case 0:
		return Text{}
	case 1:
		return list[0]
	case 2:
		return text("admin.or", list[0], list[1])
	}

	return text("admin.list", list[0], anyOf(list[1:]))
}

// kindTexts returns kinds of credential in words.
func kindTexts(kinds []string) []Text {
	var list []Text
	for _, kind := range kinds {
		switch kind {
		case "session":
			list = append(list, text("admin.kind.session"))
		case "token":
			list = append(list, text("admin.kind.token"))
		case "password", "basic":
			list = append(list, text("admin.kind.password"))
		case "client":
			list = append(list, text("admin.kind.client"))
		default:
			list = append(list, text("admin.kind.other", kind))
		}
	}

	return list
}

package pages

import (
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/config"
	"github.com/jeton-auth/jeton/internal/gate"
	"github.com/jeton-auth/jeton/internal/web"
)

// adminSessionsPath is the list of all sessions.
const adminSessionsPath = "/admin/sessions"

// adminSessionRoutes returns the routes of the pages of sessions.
func (p *Pages) adminSessionRoutes() []web.Route {
	return []web.Route{
		{Pattern: "GET /admin/sessions", Handle: p.adminSessions},
		{Pattern: "POST /admin/sessions", Handle: p.adminEndSession},
		{Pattern: "GET /admin/sessions/end", Handle: p.endSessionsPage},
		{Pattern: "POST /admin/sessions/end", Handle: p.adminEndSessions},
	}
}

// adminSessionsView is the view of admin/sessions.
type adminSessionsView struct {
	User     Field
	Service  Select
	Filtered bool
	EndAll   string // URL; "": the list is not filtered
	Action   string
	Sessions []adminSessionRow
	Pager    Pager
	Empty    Empty
}

// adminSessionRow is a session in the list.
type adminSessionRow struct {
	ID      string
	User    string
	OfUser  string // URL of the list of the user's sessions
	Tags    []Tag
	Service string // "": the pages of the authorization server
	Device  Text
	Source  string
	Created time.Time
	Used    time.Time
	Left    Meter
	Current bool
}

// adminSessions answers GET /admin/sessions?user=&service=&cursor=.
func (p *Pages) adminSessions(w *web.Reply, r *http.Request) error {
	query := r.URL.Query()
	kept := filters(query, "user", "service")
	shown := query.Get("cursor")

	var sessions []jeton.Session
	next, err := p.list(w, r, "/sessions", kept, shown, &sessions)
	if err != nil {
		return err
	}

	v := p.adminSessionsPage(kept, shown, next, sessions, gate.From(w).Principal())

	return p.show(w, r, http.StatusOK, "admin/sessions", v)
}

// adminSessionsPage returns a page of the list.
func (p *Pages) adminSessionsPage(
	kept url.Values,
	shown string,
	next string,
	sessions []jeton.Session,
	who jeton.Principal,
) adminSessionsView {
	v := adminSessionsView{
		User: Field{
			Name:         "user",
			Label:        text("admin.audit.user"),
			Value:        kept.Get("user"),
			Autocomplete: "off",
			NoCapitals:   true,
		},
		Service:  p.serviceChoice(kept.Get("service"), text("admin.audit.service")),
		Filtered: len(kept) > 0,
		Action:   pathWith(adminSessionsPath, kept),
		Pager:    pagerOf(adminSessionsPath, kept, shown, next, "cursor"),
		Empty:    Empty{Text: text("admin.sessions-of.empty")},
	}
	if v.Filtered {
		v.EndAll = pathWith(adminSessionsPath+"/end", kept)
		v.Empty = Empty{Text: text("admin.sessions-of.none")}
	}

	for _, s := range sessions {
		v.Sessions = append(v.Sessions, p.adminSessionRow(s, who))
	}

	return v
}

// adminSessionRow returns a session in the list.
func (p *Pages) adminSessionRow(s jeton.Session, who jeton.Principal) adminSessionRow {
	row := adminSessionRow{
		ID:      s.ID,
		User:    s.User,
		OfUser:  pathWith(adminSessionsPath, url.Values{"user": {s.User}}),
		Service: s.Service,
		Device:  deviceOf(s.Agent),
		Source:  s.Source,
		Created: s.Created,
		Used:    s.LastUsed,
		Left:    spanLeft(s.Created, s.Expires, p.Now()),
		Current: s.ID == who.Session,
	}
	if s.Service == config.IssuerName {
		row.Service = ""
	}

	if row.Current {
		row.Tags = append(row.Tags, Tag{Kind: Good, Text: text("admin.tag.this-browser")})
	}
	if slices.Contains(s.AMR, "link") {
		row.Tags = append(row.Tags, Tag{Kind: Warn, Text: text("admin.tag.by-link")})
	}
	if s.Parent != "" {
		row.Tags = append(row.Tags, Tag{Kind: "plain", Text: text("admin.tag.child")})
	}

	return row
}

// spanLeft shows how much of a time is left.
func spanLeft(from, to, now time.Time) Meter {
	left := max(0, to.Sub(now))
	words := text("admin.left.time", left)
	if left == 0 {
		words = text("admin.left.none")
	}

	return Meter{
		Text:  words,
		Value: int64(left / time.Second),
		Max:   max(1, int64(to.Sub(from)/time.Second)),
	}
}

// adminEndSession answers POST /admin/sessions: it ends one session.
func (p *Pages) adminEndSession(w *web.Reply, r *http.Request) error {
	form, err := adminForm(w, r)
	if err != nil {
		return err
	}
	if form.Get("id") == "" {
		return errDo // without an id, the API would end all sessions that the rest of the query chooses
	}

	err = p.call(w, r, http.MethodDelete, "/sessions", url.Values{"id": {form.Get("id")}}, nil, nil)
	if err != nil {
		return err
	}

	kept := filters(r.URL.Query(), "user", "service")

	return see(w, pathWith(adminSessionsPath, with(kept, "done", "session-ended")))
}

// endSessionsPage answers GET /admin/sessions/end?user=&service=.
func (p *Pages) endSessionsPage(w *web.Reply, r *http.Request) error {
	if err := p.provedLately(w, r); err != nil {
		return err
	}

	kept := filters(r.URL.Query(), "user", "service")
	if len(kept) == 0 {
		return see(w, adminSessionsPath)
	}

	// The first page of the largest size: more than that is said to be many.
	var sessions []jeton.Session
	next, err := p.API.Page(w, r, pathWith(apiPath+"/sessions", with(kept, "limit", "1000")), &sessions)
	if err != nil {
		return err
	}

	return p.show(w, r, http.StatusOK, "admin/confirm", endSessionsView(kept, len(sessions), next != ""))
}

// endSessionsView returns what ending the sessions of a list does.
func endSessionsView(kept url.Values, count int, more bool) confirmView {
	v := confirmView{
		Title:  text("admin.end-sessions.title"),
		Action: adminSessionsPath + "/end",
		Ends:   []Text{text("admin.ends.sessions", count)},
		Button: text("admin.end-sessions.button"),
		Cancel: pathWith(adminSessionsPath, kept),
	}
	if more {
		v.Ends = []Text{text("admin.ends.many-sessions", count)}
	}

	user, service := kept.Get("user"), kept.Get("service")
	if service == config.IssuerName {
		v.Ends = append(v.Ends, text("admin.ends.followers"))
	}

	switch {
	case user == "":
		v.Text = text("admin.end-sessions.service", Strong(service))
	case service == "":
		v.Text = text("admin.end-sessions.user", Strong(user))
	default:
		v.Text = text("admin.end-sessions.both", Strong(user), Strong(service))
	}

	for _, name := range []string{"user", "service"} {
		if kept.Has(name) {
			v.Hidden = append(v.Hidden, hidden{name, kept.Get(name)})
		}
	}

	return v
}

// adminEndSessions answers POST /admin/sessions/end: it ends the sessions of a user, of a service, or of a user at a
// service.
func (p *Pages) adminEndSessions(w *web.Reply, r *http.Request) error {
	form, err := adminForm(w, r)
	if err != nil {
		return err
	}

	kept := filters(form, "user", "service")
	if len(kept) == 0 {
		return errDo
	}

	if err := p.call(w, r, http.MethodDelete, "/sessions", kept, nil, nil); err != nil {
		return err
	}

	return see(w, pathWith(adminSessionsPath, with(kept, "done", "sessions-ended")))
}

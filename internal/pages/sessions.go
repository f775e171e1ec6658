package pages

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/config"
	"github.com/jeton-auth/jeton/internal/web"
)

// sessionRoutes returns the routes of the pages of the user's sessions.
func (p *Pages) sessionRoutes() []web.Route {
	return []web.Route{
		{Pattern: "GET /account/sessions", Handle: p.sessions},
		{Pattern: "POST /account/sessions", Handle: p.endOtherSessions},
		{Pattern: "GET /account/sessions/all", Handle: p.endAllPage},
		{Pattern: "POST /account/sessions/all", Handle: p.endAllSessions},
		{Pattern: "POST /account/sessions/{id}", Handle: p.endSession},
	}
}

// ownPageSize is how many sessions or tokens of a user a page of their list has.
const ownPageSize = 100

// maxOwn is how many sessions or tokens of a user a page reads that counts them.
const maxOwn = 500

// ownSession is a session as the API shows it to its user.
type ownSession struct {
	jeton.Session
	Current bool `json:"current"`
}

// sessionsView is the view of account/sessions.
type sessionsView struct {
	SignIns  []sessionRow // sessions here, with those at services that follow from them
	Services []sessionRow // sessions that began at a service
	Others   bool         // there is a session that does not belong to this browser
	Pager    Pager
	Idle     time.Duration
}

// sessionRow is a session.
type sessionRow struct {
	ID       string
	Service  string // "": here
	Child    bool   // shown below the sign-in session that it follows from
	Device   Text
	Current  bool
	ByLink   bool // began with a link, not with a password
	Source   string
	Created  time.Time
	LastUsed time.Time
	Left     Meter
	Children []sessionRow
}

// sessions answers GET /account/sessions.
func (p *Pages) sessions(w *web.Reply, r *http.Request) error {
	var list []ownSession
	shown := r.URL.Query().Get("cursor")
	next, err := p.listOf(w, r, ownAPI+"/sessions?limit="+strconv.Itoa(ownPageSize), shown, &list)
	if err != nil {
		return err
	}

	v := newSessions(list, w.Start)
	v.Pager = pagerOf("/account/sessions", nil, shown, next, "cursor")
	v.Idle = p.Issuer.Session.IdleTimeout.Std()

	return p.show(w, r, http.StatusOK, "account/sessions", v)
}

// ownSessions returns the sessions of the user, newest first.
func (p *Pages) ownSessions(w *web.Reply, r *http.Request) ([]ownSession, error) {
	var list []ownSession
	target := ownAPI + "/sessions?limit=" + strconv.Itoa(maxOwn)

	return list, p.API.Call(w, r, http.MethodGet, target, nil, &list)
}

// newSessions orders sessions: those at services below the sign-in that they follow from, and this browser first.
func newSessions(list []ownSession, now time.Time) sessionsView {
	v := sessionsView{}
	at := map[string]int{} // index in SignIns by id
	current := ""

	for _, s := range list {
		if s.Service != config.IssuerName {
			continue
		}
		v.SignIns = append(v.SignIns, newSessionRow(s, now))
		if s.Current {
			current = s.ID
		}
	}

	slices.SortStableFunc(v.SignIns, func(a, b sessionRow) int {
		return cmp.Compare(order(a.Current), order(b.Current))
	})
	for i, row := range v.SignIns {
		at[row.ID] = i
	}

	for _, s := range list {
		if s.ID != current && s.Parent != current || current == "" {
			v.Others = true
		}
		if s.Service == config.IssuerName {
			continue
		}

		i, ok := at[s.Parent]
		if ok {
			row := newSessionRow(s, now)
			row.Child = true
			v.SignIns[i].Children = append(v.SignIns[i].Children, row)
		} else {
			v.Services = append(v.Services, newSessionRow(s, now))
		}
	}

	return v
}

// order is 0 for what comes first.
func order(first bool) int {
	if first {
		return 0
	}
	return 1
}

// newSessionRow returns a session as it is shown.
func newSessionRow(s ownSession, now time.Time) sessionRow {
	row := sessionRow{
		ID:       s.ID,
		Device:   deviceOf(s.Agent),
		Current:  s.Current,
		ByLink:   slices.Contains(s.AMR, "link"),
		Source:   s.Source,
		Created:  s.Created,
		LastUsed: s.LastUsed,
		Left:     timeLeft(s.Created, s.Expires, now),
	}
	if s.Service != config.IssuerName {
		row.Service = s.Service
	}

	return row
}

// timeLeft returns the meter of a time that passes.
func timeLeft(from, until, now time.Time) Meter {
	left := max(0, until.Sub(now))
	return Meter{
		Text:  text("left.time", rounded(left)),
		Value: int64(left.Seconds()),
		Max:   max(1, int64(until.Sub(from).Seconds())),
	}
}

// rounded returns a time in whole days, hours or minutes: of 30 days, a minute later still 30 are left.
func rounded(d time.Duration) time.Duration {
	for _, unit := range []time.Duration{day, time.Hour, time.Minute} {
		if d >= 2*unit {
			return d.Round(unit)
		}
	}

	return d
}

// endSession answers POST /account/sessions/{id}. A sign-in session ends with those that follow from it.
func (p *Pages) endSession(w *web.Reply, r *http.Request) error {
	if err := web.SameOrigin(w, r); err != nil {
		return err
	}

	target := ownAPI + "/sessions/" + url.PathEscape(r.PathValue("id"))
	err := p.API.Call(w, r, http.MethodDelete, target, nil, nil)
	// It has ended meanwhile, which is what was wanted.
	if err != nil && jeton.Outcome(err) != jeton.ErrNotFound {
		return err
	}

	return see(w, "/account/sessions?done=session-ended")
}

// endOtherSessions answers POST /account/sessions: this browser stays signed in, here and at services.
func (p *Pages) endOtherSessions(w *web.Reply, r *http.Request) error {
	if err := web.SameOrigin(w, r); err != nil {
		return err
	}

	err := p.API.Call(w, r, http.MethodDelete, ownAPI+"/sessions", nil, nil)
	if err != nil {
		return err
	}

	return see(w, "/account/sessions?done=sessions-ended")
}

// endAllView is the view of account/sessions-all.
type endAllView struct {
	SignIns  int64
	Services int64
}

// endAllPage answers GET /account/sessions/all: what would end.
func (p *Pages) endAllPage(w *web.Reply, r *http.Request) error {
	list, err := p.ownSessions(w, r)
	if err != nil {
		return err
	}

	var v endAllView
	for _, s := range list {
		if s.Service == config.IssuerName {
			v.SignIns++
		} else {
			v.Services++
		}
	}

	return p.show(w, r, http.StatusOK, "account/sessions-all", v)
}

// endAllSessions answers POST /account/sessions/all.
func (p *Pages) endAllSessions(w *web.Reply, r *http.Request) error {
	if err := web.SameOrigin(w, r); err != nil {
		return err
	}

	err := p.API.Call(w, r, http.MethodDelete, ownAPI+"/sessions?current=true", nil, nil)
	if err != nil {
		return err
	}

	p.cookie.Clear(w)

	return see(w, "/signed-out")
}

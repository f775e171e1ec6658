package pages

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/config"
	"github.com/jeton-auth/jeton/internal/gate"
	"github.com/jeton-auth/jeton/internal/web"
)

// eventsPage is how many events a page shows.
const eventsPage = 50

// activityView is the view of account/activity.
type activityView struct {
	Events []eventRow
	Pager  Pager
	Empty  Empty
}

// eventRow is an audit event as the user reads it.
type eventRow struct {
	Time    time.Time
	What    Text
	On      string // what it was done to, beside the user
	Service string
	Source  string
	By      Text // another subject that did it
	Refused Text // zero: it succeeded
	Request string
}

// activity answers GET /account/activity?before=.
func (p *Pages) activity(w *web.Reply, r *http.Request) error {
	query := url.Values{"limit": {strconv.Itoa(eventsPage)}}
	before := r.URL.Query().Get("before")
	if before != "" {
		query.Set("before", before)
	}

	var events []jeton.Event
	err := p.API.Call(w, r, http.MethodGet, pathWith(ownAPI+"/events", query), nil, &events)
	if err != nil {
		return err
	}

	v := newActivity(events, gate.From(w).Principal().Name)
	if before != "" {
		v.Pager.First = "/account/activity"
	}

	return p.show(w, r, http.StatusOK, "account/activity", v)
}

// newActivity returns events, newest first, as they are shown to a user.
func newActivity(events []jeton.Event, user string) activityView {
	v := activityView{Empty: Empty{Text: text("activity.empty")}}
	for _, e := range events {
		v.Events = append(v.Events, newEventRow(e, user))
	}

	if len(events) == eventsPage {
		last := strconv.FormatInt(events[len(events)-1].Seq, 10)
		v.Pager.Next = pathWith("/account/activity", url.Values{"before": {last}})
	}

	return v
}

// newEventRow returns an event as it is shown.
func newEventRow(e jeton.Event, user string) eventRow {
	row := eventRow{
		Time:    e.Time,
		What:    actionText(e.Action),
		Source:  e.Source,
		Request: e.Request,
	}

	if e.Service != config.IssuerName {
		row.Service = e.Service
	}

	self := "user:" + user
	if e.Actor != "" && e.Actor != self {
		row.By = actorText(e.Actor)
	}
	switch {
	case e.Action == audit.Request:
		row.On = e.Target
	case strings.HasPrefix(e.Target, "token:"):
		row.On = strings.TrimPrefix(e.Target, "token:")
	}
	if e.Outcome != audit.OK {
		row.What = refusedText(e.Action, row.What)
		row.Refused = outcomeText(e.Action, e.Outcome)
	}

	return row
}

// refusedText returns what did not happen, so that no refusal reads like a success.
func refusedText(action string, what Text) Text {
	switch action {
	case audit.Login:
		return text("activity.login-failed")
	case audit.Request:
		return text("activity.request-refused")
	}

	return text("activity.not-done", what)
}

// actionText returns what happened, in the words of a user.
func actionText(action string) Text {
	switch action {
	case audit.Login:
		return text("event.login")
	case audit.Logout:
		return text("event.logout")
	case audit.LogoutAll:
		return text("event.logout-all")
	case audit.SessionEnd:
		return text("event.session-end")
	case audit.SessionProve:
		return text("event.session-prove")
	case audit.LoginAllowed:
		return text("event.login-allowed")
	case audit.UserAdd:
		return text("event.user-add")
	case audit.UserChange:
		return text("event.user-change")
	case audit.UserPassword:
		return text("event.user-password")
	case audit.UserEndTokens:
		return text("event.user-end-tokens")
	case audit.UserLink:
		return text("event.user-link")
	case audit.IdentityAdd:
		return text("event.user-connect")
	case audit.IdentityRemove:
		return text("event.user-disconnect")
	case audit.ConsentGive:
		return text("event.consent-give")
	case audit.ConsentEnd:
		return text("event.consent-end")
	case audit.DeviceAllow:
		return text("event.device-allow")
	case audit.DeviceDeny:
		return text("event.device-deny")
	case audit.TokenCreate:
		return text("event.token-create")
	case audit.TokenIssue:
		return text("event.token-issue")
	case audit.TokenRotate:
		return text("event.token-rotate")
	case audit.TokenRevoke:
		return text("event.token-revoke")
	case audit.TokenRequest:
		return text("event.token-request")
	case audit.TokenApprove:
		return text("event.token-approve")
	case audit.TokenDeny:
		return text("event.token-deny")
	case audit.Request:
		return text("event.request")
	}

	// What admins do, or a later version of the server.
	known := auditActionText(action)
	if known.Key != "" {
		return known
	}

	return text("event.other", Code(action))
}

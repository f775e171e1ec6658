package pages

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/config"
	"github.com/jeton-auth/jeton/internal/web"
)

// adminAuditRoutes returns the routes of the pages of the audit log.
func (p *Pages) adminAuditRoutes() []web.Route {
	return []web.Route{
		{Pattern: "GET /admin/audit", Handle: p.adminAudit},
		{Pattern: "GET /admin/explain", Handle: p.adminExplain},
	}
}

// auditView is the view of admin/audit.
type auditView struct {
	Note     *Note
	User     Field
	Request  Field
	Action   Select
	Outcome  Select
	Service  Select
	Since    Field
	Until    Field
	Filtered bool
	Events   []auditRow
	Pager    Pager
	Empty    Empty
}

// auditRow is an event of the audit log in a list.
type auditRow struct {
	What    Text   // in words, or
	Action  string // as it is in the log
	Refused *Tag
	Target  Text
	Who     Text
	Service string
	Source  string
	Why     Text   // or, if no catalogue has it,
	Reason  string // in English
	Time    time.Time
	Explain string // URL of the page with its checks, or ""
}

// auditActions are the actions that the log can be filtered by.
var auditActions = []string{
	audit.Login, audit.Logout, audit.LogoutAll, audit.LoginAllowed, audit.SessionEnd, audit.SessionProve,
	audit.Request,
	audit.UserAdd, audit.UserChange, audit.UserPassword, audit.UserRemove, audit.UserEndTokens, audit.UserExport,
	audit.UserLink, audit.UserRecover, audit.UserNotMe, audit.UserVerify,
	audit.InvitationAdd, audit.InvitationEnd, audit.InvitationUse,
	audit.FactorAdd, audit.FactorChange, audit.FactorCodes, audit.FactorUse, audit.FactorRemove, audit.FactorReset,
	audit.IdentityAdd, audit.IdentityRemove, audit.ConsentGive, audit.ConsentEnd, audit.LogoutSend, audit.MailSend,
	audit.DeviceBegin, audit.DeviceAllow, audit.DeviceDeny, audit.RequestPush,
	audit.ClientAdd, audit.ClientChange, audit.ClientSecret, audit.ClientEndTokens, audit.ClientRemove,
	audit.ClientKeyAdd, audit.ClientKeyRetire, audit.ClientDocument,
	audit.TokenIssue, audit.TokenExchange, audit.TokenCreate, audit.TokenRotate, audit.TokenInspect,
	audit.TokenRevoke, audit.TokenRequest, audit.TokenApprove, audit.TokenDeny,
	audit.KeyMake, audit.KeyRotate, audit.KeyRevoke,
	audit.Backup, audit.Restore, audit.Epoch, audit.Missing, audit.Start, audit.Reload,
}

// auditOutcomes are the outcomes that the log can be filtered by, of those that occur.
var auditOutcomes = []error{
	jeton.ErrNoCredential, jeton.ErrBadCredential, jeton.ErrAmbiguous, jeton.ErrExpired, jeton.ErrTooEarly,
	jeton.ErrSpent, jeton.ErrForbidden, jeton.ErrScope, jeton.ErrProof, jeton.ErrFactor, jeton.ErrRelogin,
	jeton.ErrSessionsFull, jeton.ErrTooMany, jeton.ErrBusy, jeton.ErrUnavailable, jeton.ErrInvalid, jeton.ErrNotFound,
	jeton.ErrConflict,
}

// auditActionText returns an action in words, or nothing for one that has none.
func auditActionText(action string) Text {
	if slices.Contains(auditActions, action) {
		return text("admin.action." + action)
	}

	return Text{}
}

// auditFilters are the parameters of the page, which are those of the API but for the days.
var auditFilters = []string{"user", "action", "service", "outcome", "request", "since", "until"}

// adminAudit answers GET /admin/audit.
func (p *Pages) adminAudit(w *web.Reply, r *http.Request) error {
	query := r.URL.Query()
	kept := filters(query, auditFilters...)
	shown := query.Get("before")

	ask, invalid := auditQuery(kept)
	ask.Set("last", strconv.Itoa(adminPageSize))
	if shown != "" {
		ask.Set("before", shown)
	}

	var events []jeton.Event
	if invalid == nil {
		err := p.call(w, r, http.MethodGet, "/audit", ask, nil, &events)
		if err != nil && !keepsForm(err) {
			return err
		}
		invalid = err
	}

	v := p.auditPage(kept, shown, events)
	if invalid != nil {
		v.Note = p.noteOf(w, invalid)
		return p.again(w, r, "admin/audit", v, invalid)
	}

	return p.show(w, r, http.StatusOK, "admin/audit", v)
}

// auditQuery returns the query of the API for the filters of the page. Days are those of UTC; the last one is included.
func auditQuery(kept url.Values) (url.Values, error) {
	ask := url.Values{}
	for name, values := range kept {
		ask[name] = values
	}

	for name, add := range map[string]int{"since": 0, "until": 1} {
		if !ask.Has(name) {
			continue
		}

		day, err := time.Parse(time.DateOnly, ask.Get(name))
		if err != nil {
			return url.Values{}, jeton.WithDetail(jeton.ErrInvalid, "invalid "+name+": want a day such as 2026-03-01")
		}
		ask.Set(name, day.AddDate(0, 0, add).Format(time.RFC3339))
	}

	return ask, nil
}

// auditPage returns a page of the audit log, the newest event first.
func (p *Pages) auditPage(kept url.Values, shown string, events []jeton.Event) auditView {
	plain := func(name, kind string, label Text) Field {
		return Field{
			Name:         name,
			Label:        label,
			Value:        kept.Get(name),
			Type:         kind,
			Autocomplete: "off",
			NoCapitals:   kind == "",
		}
	}

	v := auditView{
		User:     plain("user", "", text("admin.audit.user")),
		Request:  plain("request", "", text("admin.audit.request")),
		Since:    plain("since", "date", text("admin.audit.since")),
		Until:    plain("until", "date", text("admin.audit.until")),
		Action:   auditActionChoice(kept.Get("action")),
		Outcome:  auditOutcomeChoice(kept.Get("outcome")),
		Service:  p.serviceChoice(kept.Get("service"), text("admin.audit.service")),
		Filtered: len(kept) > 0,
		Empty:    Empty{Text: text("admin.audit.empty")},
	}
	if v.Filtered {
		v.Empty = Empty{Text: text("admin.audit.none")}
	}

	for _, e := range slices.Backward(events) {
		v.Events = append(v.Events, newAuditRow(e))
	}

	next := ""
	if len(events) == adminPageSize {
		next = strconv.FormatInt(events[0].Seq, 10)
	}
	v.Pager = pagerOf("/admin/audit", kept, shown, next, "before")

	return v
}

// newAuditRow returns an event in a list.
func newAuditRow(e jeton.Event) auditRow {
	row := auditRow{
		What:    auditActionText(e.Action),
		Action:  e.Action,
		Target:  targetText(e.Target),
		Who:     actorText(e.Actor),
		Service: e.Service,
		Source:  e.Source,
		Why:     detailText(e.Reason),
		Reason:  e.Reason,
		Time:    e.Time,
	}
	if e.Outcome != audit.OK {
		row.Refused = &Tag{Kind: Bad, Text: outcomeText(e.Action, e.Outcome)}
	}
	if e.Request != "" {
		row.Explain = pathWith("/admin/explain", url.Values{"id": {e.Request}})
	}

	return row
}

// actorText returns who did something, in words.
func actorText(actor string) Text {
	kind, name, _ := strings.Cut(actor, ":")
	switch {
	case actor == "":
		return text("admin.actor.none")
	case actor == "operator":
		return text("admin.actor.operator")
	case actor == "config":
		return text("admin.actor.file")
	case actor == "setup":
		return text("admin.actor.setup")
	case kind == string(jeton.KindUser):
		return text("admin.actor.user", Strong(name))
	case kind == string(jeton.KindClient):
		return text("admin.actor.client", Strong(name))
	}

	return text("admin.actor.other", actor)
}

// auditActionChoice returns the filter of actions.
func auditActionChoice(chosen string) Select {
	s := Select{Name: "action", Label: text("admin.audit.action"), Choices: []Choice{{Text: text("admin.filter.any")}}}
	for _, action := range auditActions {
		s.Choices = append(s.Choices, Choice{Value: action, Text: auditActionText(action), Selected: action == chosen})
	}

	return keepChoice(s, chosen)
}

// auditOutcomeChoice returns the filter of outcomes.
func auditOutcomeChoice(chosen string) Select {
	s := Select{Name: "outcome", Label: text("admin.audit.outcome"), Choices: []Choice{
		{Text: text("admin.filter.any")},
		{Value: audit.OK, Text: text("admin.audit.outcome.ok"), Selected: chosen == audit.OK},
	}}
	for _, err := range auditOutcomes {
		code := jeton.Code(err)
		s.Choices = append(s.Choices, Choice{Value: code, Text: outcomeText("", code), Selected: code == chosen})
	}

	return keepChoice(s, chosen)
}

// serviceChoice returns a filter of services.
func (p *Pages) serviceChoice(chosen string, label Text) Select {
	s := Select{Name: "service", Label: label, Choices: []Choice{
		{Text: text("admin.filter.any")},
		{Value: config.IssuerName, Text: text("admin.filter.issuer"), Selected: chosen == config.IssuerName},
	}}
	for _, service := range p.Services {
		s.Choices = append(s.Choices, Choice{
			Value:    service.Name,
			Label:    service.Name,
			Selected: service.Name == chosen,
		})
	}

	return keepChoice(s, chosen)
}

// keepChoice adds what the address asks for to the choices, so that the form shows the filter that is in use.
func keepChoice(s Select, chosen string) Select {
	known := slices.ContainsFunc(s.Choices, func(c Choice) bool { return c.Value == chosen })
	if !known {
		s.Choices = append(s.Choices, Choice{Value: chosen, Label: chosen, Selected: true})
	}

	return s
}

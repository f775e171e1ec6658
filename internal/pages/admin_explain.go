package pages

import (
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/web"
)

// explainView is the view of admin/explain.
type explainView struct {
	Note      *Note
	ID        Field
	Decisions []decisionView
}

// decisionView is a decision with every check that it took.
type decisionView struct {
	Number  int // makes ids unique
	Passed  bool
	Title   Text
	Refused Text // why, or nothing
	What    Text // in words, or
	Action  string
	Target  Text
	Who     Text
	Service string
	Source  string
	Time    time.Time
	Why     Text   // or, if no catalogue has it,
	Reason  string // in English
	Steps   []Step
}

// checkNames are the checks that have a name in every language. All others, such as claims, are shown as they are in
// the log.
var checkNames = map[string]Text{
	"route":             text("admin.check.route"),
	"credential":        text("admin.check.credential"),
	"window":            text("admin.check.window"),
	"scope":             text("admin.check.scope"),
	"factors":           text("admin.check.factors"),
	"uses":              text("admin.check.uses"),
	"terms":             text("admin.check.terms"),
	"signature":         text("admin.check.signature"),
	"claims":            text("admin.check.claims"),
	"method":            text("admin.check.method"),
	"given":             text("admin.check.given"),
	"store":             text("admin.check.store"),
	"user":              text("admin.check.user"),
	"response":          text("admin.check.response"),
	"passkey":           text("admin.check.passkey"),
	"counter":           text("admin.check.counter"),
	"use":               text("admin.check.use"),
	"challenge":         text("admin.check.challenge"),
	"browser":           text("admin.check.browser"),
	"added":             text("admin.check.added"),
	"password":          text("admin.check.password"),
	"sign-in uses":      text("admin.check.sign-in-uses"),
	"throttle":          text("admin.check.throttle"),
	"client":            text("admin.check.client"),
	"client document":   text("admin.check.client-document"),
	"secret":            text("admin.check.secret"),
	"code":              text("admin.check.code"),
	"grant":             text("admin.check.grant"),
	"consent":           text("admin.check.consent"),
	"refresh token":     text("admin.check.refresh-token"),
	"allowed users":     text("admin.check.allowed-users"),
	"replaces":          text("admin.check.replaces"),
	"link":              text("admin.check.link"),
	"client and key":    text("admin.check.client-and-key"),
	"key source":        text("admin.check.key-source"),
	"issuer and key":    text("admin.check.issuer-and-key"),
	"rule":              text("admin.check.rule"),
	"subject token":     text("admin.check.subject-token"),
	"exchange":          text("admin.check.exchange"),
	"actors":            text("admin.check.actors"),
	"owner":             text("admin.check.owner"),
	"algorithm":         text("admin.check.algorithm"),
	"issuer":            text("admin.check.issuer"),
	"type":              text("admin.check.type"),
	"shape":             text("admin.check.shape"),
	"single use":        text("admin.check.single-use"),
	"service":           text("admin.check.service"),
	"scopes":            text("admin.check.scopes"),
	"session":           text("admin.check.session"),
	"sign-in session":   text("admin.check.sign-in-session"),
	"sign-in":           text("admin.check.sign-in"),
	"second factor":     text("admin.check.second-factor"),
	"recovery code":     text("admin.check.recovery-code"),
	"life":              text("admin.check.lifetime"),
	"restored":          text("admin.check.restored"),
	"sessions ended":    text("admin.check.sessions-ended"),
	"connected":         text("admin.check.connected"),
	"request":           text("admin.check.request"),
	"requested":         text("admin.check.requested"),
	"device code":       text("admin.check.device-code"),
	"user code":         text("admin.check.user-code"),
	"answer":            text("admin.check.answer"),
	"resource":          text("admin.check.resource"),
	"proof of the user": text("admin.check.user-proof"),
	"public client":     text("admin.check.public-client"),
	"provider":          text("admin.check.provider"),
	"identity":          text("admin.check.identity"),
	"groups":            text("admin.check.groups"),
	"new app":           text("admin.check.new-app"),
	"new user":          text("admin.check.new-user"),
	"user by e-mail":    text("admin.check.user-by-email"),
}

// valueText returns the value of a check in words, as phraseText does. A name and a list of scopes are of no language.
func valueText(c jeton.Check) Text {
	words := phraseText(c.Value)
	if words.Key == "" && c.Value != "" && (c.Name == "scopes" || !strings.Contains(c.Value, " ")) {
		return text("phrase.as-is", Code(c.Value))
	}

	return words
}

// maxRequestID bounds what is looked up as the id of a request, in bytes.
const maxRequestID = 128

// adminExplain answers GET /admin/explain?id=.
func (p *Pages) adminExplain(w *web.Reply, r *http.Request) error {
	id := strings.TrimSpace(r.URL.Query().Get("id"))
	v := explainForm(id)
	if id == "" {
		return p.show(w, r, http.StatusOK, "admin/explain", v)
	}

	var events []jeton.Event
	err := error(jeton.ErrNotFound)
	if len(id) <= maxRequestID {
		err = p.call(w, r, http.MethodGet, "/explain/"+url.PathEscape(id), nil, nil, &events)
	}

	switch jeton.Outcome(err) {
	case jeton.ErrNotFound, jeton.ErrInvalid:
		v.ID.Invalid, v.ID.Focus = true, true
		v.ID.Error = text("admin.explain.unknown")

		return p.again(w, r, "admin/explain", v, err)
	}
	if err != nil {
		return err
	}

	v.Decisions = explained(events)

	return p.show(w, r, http.StatusOK, "admin/explain", v)
}

// explainForm returns the form with an id.
func explainForm(id string) explainView {
	return explainView{ID: Field{
		Name:         "id",
		Label:        text("admin.explain.id"),
		Value:        id,
		Autocomplete: "off",
		NoCapitals:   true,
		Required:     true,
		Focus:        id == "",
	}}
}

// explained returns the decisions of a request.
func explained(events []jeton.Event) []decisionView {
	var list []decisionView
	for i, e := range events {
		v := decisionView{
			Number:  i + 1,
			Passed:  e.Outcome == audit.OK,
			Title:   text("admin.explain.allowed"),
			What:    auditActionText(e.Action),
			Action:  e.Action,
			Target:  targetText(e.Target),
			Who:     actorText(e.Actor),
			Service: e.Service,
			Source:  e.Source,
			Time:    e.Time,
		}
		switch {
		case v.Passed && len(e.Checks) == 0:
			v.Title = text("admin.explain.done")
		case !v.Passed:
			v.Title = text("admin.explain.refused")
			v.Refused = outcomeText(e.Action, e.Outcome)
			v.Why, v.Reason = detailText(e.Reason), e.Reason
		}

		v.Steps = stepsOf(e.Checks)
		list = append(list, v)
	}

	return list
}

// stepsOf returns the checks of a decision, for administrators.
func stepsOf(checks []jeton.Check) []Step {
	var list []Step
	for _, c := range checks {
		list = append(list, Step{
			Label:  checkNames[c.Name],
			Name:   c.Name,
			Words:  valueText(c),
			Value:  c.Value,
			Result: c.Result,
		})
	}

	return list
}

package pages

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/web"
)

// requestsPath is the page of the requests for tokens that wait for the user.
const requestsPath = "/account/requests"

// requestRoutes returns the routes of the requests for tokens.
func (p *Pages) requestRoutes() []web.Route {
	return []web.Route{
		{Pattern: "GET " + requestsPath, Handle: p.requests},
		{Pattern: "GET " + requestsPath + "/{request}", Handle: p.requestPage},
		{Pattern: "POST " + requestsPath + "/{request}", Handle: p.answerRequest},
	}
}

// requestsView is the view of account/requests.
type requestsView struct {
	Requests []requestRow
	Empty    Empty
}

// requestRow is a request as it is shown.
type requestRow struct {
	jeton.WaitingRequest
	URL   string
	Asker Text
	Lasts Text
}

// newRequestRow returns a request as it is shown.
func newRequestRow(req jeton.WaitingRequest) requestRow {
	row := requestRow{
		WaitingRequest: req,
		URL:            requestsPath + "/" + url.PathEscape(req.ID),
		Lasts:          text("new-token.for", time.Duration(req.Seconds)*time.Second),
	}

	kind, name, _ := strings.Cut(req.By, ":")
	switch {
	case kind == string(jeton.KindClient):
		row.Asker = text("requests.by.client", Strong(name))
	case req.Token != "":
		row.Asker = text("requests.by.token", Code(req.Token))
	default:
		row.Asker = text("requests.by.session")
	}

	return row
}

// requests answers GET /account/requests.
func (p *Pages) requests(w *web.Reply, r *http.Request) error {
	list, err := p.ownRequests(w, r)
	if err != nil {
		return err
	}

	return p.show(w, r, http.StatusOK, "account/requests", newRequests(list))
}

// newRequests returns the list of requests as it is shown.
func newRequests(list []jeton.WaitingRequest) requestsView {
	v := requestsView{Empty: Empty{Text: text("requests.empty")}}
	for _, req := range list {
		v.Requests = append(v.Requests, newRequestRow(req))
	}

	return v
}

// ownRequests returns the requests that wait for the user, newest first.
func (p *Pages) ownRequests(w *web.Reply, r *http.Request) ([]jeton.WaitingRequest, error) {
	var list []jeton.WaitingRequest
	err := p.API.Call(w, r, http.MethodGet, ownAPI+"/token-requests", nil, &list)

	return list, err
}

// requestView is the view of account/request.
type requestView struct {
	Note    *Note
	Request requestRow
	Scopes  Checks
	Lasts   Select
	Uses    Field
	Allows  Area
	All     bool // it asks for every request at the service
}

// requestFields are the fields of the form.
var requestFields = []string{"scope", "lasts", "uses", "allows"}

// newRequestView returns the form of a request, with its terms or what was typed.
func newRequestView(req jeton.WaitingRequest, typed url.Values) requestView {
	if len(typed) == 0 {
		typed = url.Values{
			"scope":  req.Scopes,
			"uses":   {usesText(req.MaxUses)},
			"allows": {strings.Join(req.Allows, "\n")},
		}
	}

	v := requestView{
		Request: newRequestRow(req),
		All:     len(req.Allows) == 0 || slices.Contains(req.Allows, "* /*"),
		Scopes:  Checks{Name: "scope", Label: text("new-token.scopes"), Hint: text("new-token.scopes.hint")},
		Lasts: Select{
			Name:    "lasts",
			Label:   text("new-token.lasts"),
			Choices: shorter(req.Seconds, typed.Get("lasts")),
		},
		Uses: Field{
			Name:         "uses",
			Label:        text("new-token.uses"),
			Hint:         text("new-token.uses.hint"),
			Value:        typed.Get("uses"),
			InputMode:    "numeric",
			Autocomplete: "off",
			Pattern:      "[0-9]*",
			MaxLength:    9,
			Required:     req.MaxUses > 0,
		},
		Allows: Area{Rows: max(3, len(req.Allows)), Field: Field{
			Name:       "allows",
			Label:      text("new-token.allows"),
			Hint:       text("new-token.allows.hint", Code("GET /reports/*"), Code("* /orders/7")),
			Value:      typed.Get("allows"),
			NoCapitals: true,
		}},
	}
	if req.MaxUses > 0 {
		v.Uses.Hint = text("request.uses.hint", req.MaxUses)
	}
	if len(req.Allows) > 0 {
		v.Allows.Hint = text("request.allows.hint")
	}
	for _, scope := range req.Scopes {
		v.Scopes.Choices = append(v.Scopes.Choices, Choice{
			Value:    scope,
			Label:    scope,
			Selected: slices.Contains(typed["scope"], scope),
		})
	}

	return v
}

// usesText returns a number of uses as it is typed.
func usesText(n int64) string {
	if n == 0 {
		return ""
	}
	return strconv.FormatInt(n, 10)
}

// shorter returns the lifetimes that a user can choose: the one that is asked for, and shorter ones.
func shorter(seconds int64, chosen string) []Choice {
	asked := time.Duration(seconds) * time.Second
	list := []Choice{{Text: text("new-token.for", asked)}}
	for _, l := range slices.Backward(lifetimes) {
		if l.lasts < asked {
			list = append(list, Choice{
				Value:    l.value,
				Text:     text("new-token.for", l.lasts),
				Selected: l.value == chosen,
			})
		}
	}

	return list
}

// requestPage answers GET /account/requests/{request}. It asks for the password before the form is filled, not after.
func (p *Pages) requestPage(w *web.Reply, r *http.Request) error {
	typed, err := p.provedForm(w, r)
	if err != nil {
		return err
	}

	req, err := p.ownRequest(w, r)
	if err != nil {
		return err
	}

	return p.show(w, r, http.StatusOK, "account/request", newRequestView(req, typed))
}

// ownRequest returns the request that the path names, or jeton.ErrNotFound if it does not wait any more.
func (p *Pages) ownRequest(w *web.Reply, r *http.Request) (jeton.WaitingRequest, error) {
	list, err := p.ownRequests(w, r)
	if err != nil {
		return jeton.WaitingRequest{}, err
	}

	i := slices.IndexFunc(list, func(req jeton.WaitingRequest) bool { return req.ID == r.PathValue("request") })
	if i < 0 {
		return jeton.WaitingRequest{}, jeton.ErrNotFound
	}

	return list[i], nil
}

// read reads the terms that the user approves. If it returns false, what is wrong is marked in the view.
func (v *requestView) read(typed url.Values) (jeton.TokenApproval, bool) {
	var f formReader
	in := jeton.TokenApproval{
		MaxUses: f.uses(&v.Uses),
		Allows:  f.lines(&v.Allows.Field, isRule, text("new-token.allows.bad")),
	}

	// What is not chosen is not approved.
	if len(v.Request.Scopes) > 0 {
		in.Scopes = append([]string{}, typed["scope"]...)
	}
	if len(v.Request.Allows) > 0 && len(in.Allows) == 0 {
		f.refuse(&v.Allows.Field, text("requests.allows.missing"))
	}
	if v.Request.MaxUses > 0 && in.MaxUses == 0 && !v.Uses.Invalid {
		f.refuse(&v.Uses, text("new-token.uses.bad"))
	}

	for _, l := range lifetimes {
		if l.value == typed.Get("lasts") {
			in.Seconds = int64(l.lasts / time.Second)
		}
	}

	return in, !f.failed
}

// answerRequest answers POST /account/requests/{request}: the user approves or refuses.
func (p *Pages) answerRequest(w *web.Reply, r *http.Request) error {
	form, err := accountForm(w, r)
	if err != nil {
		return err
	}

	target := ownAPI + "/token-requests/" + url.PathEscape(r.PathValue("request"))
	if form.Get("answer") != "approve" {
		err := p.API.Call(w, r, http.MethodPost, target+"/deny", nil, nil)
		// It has ended meanwhile, which is what was wanted.
		if err != nil && jeton.Outcome(err) != jeton.ErrNotFound {
			return err
		}
		return see(w, requestsPath+"?done=request-denied")
	}

	req, err := p.ownRequest(w, r)
	if err != nil {
		return err
	}

	typed := url.Values{}
	for _, name := range requestFields {
		typed[name] = form[name]
	}
	v := newRequestView(req, typed)
	in, ok := v.read(typed)
	if !ok {
		return p.again(w, r, "account/request", v, jeton.ErrInvalid)
	}

	err = p.API.Call(w, r, http.MethodPost, target+"/approve", in, nil)
	switch jeton.Outcome(err) {
	case nil:
		if err != nil {
			return err
		}
		return see(w, requestsPath+"?done=request-approved")
	case jeton.ErrProof:
		return p.proveFirst(w, r, r.URL.Path, typed, p.unproved(w, r, []string{req.Service}, err))
	case jeton.ErrForbidden, jeton.ErrScope, jeton.ErrInvalid:
		v.Note = p.noteOf(w, err)
		return p.again(w, r, "account/request", v, err)
	default:
		return err
	}
}

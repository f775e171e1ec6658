package pages

import (
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/token"
	"github.com/jeton-auth/jeton/internal/web"
)

// tokenRoutes returns the routes of the pages of the user's tokens. Each form is sent to the page that shows it.
func (p *Pages) tokenRoutes() []web.Route {
	return []web.Route{
		{Pattern: "GET /account/tokens", Handle: p.tokens},
		{Pattern: "GET /account/tokens/new", Handle: p.newTokenPage},
		{Pattern: "POST /account/tokens/new", Handle: p.newToken},
		{Pattern: "GET /account/tokens/{accessor}", Handle: p.tokenPage},
		{Pattern: "POST /account/tokens/{accessor}", Handle: p.testToken},
		{Pattern: "GET /account/tokens/{accessor}/rotate", Handle: p.rotateTokenPage},
		{Pattern: "POST /account/tokens/{accessor}/rotate", Handle: p.rotateToken},
		{Pattern: "GET /account/tokens/{accessor}/revoke", Handle: p.revokeTokenPage},
		{Pattern: "POST /account/tokens/{accessor}/revoke", Handle: p.revokeToken},
	}
}

// tokensView is the view of account/tokens.
type tokensView struct {
	Tokens []tokenRow
	Pager  Pager
	Empty  Empty
}

// tokenRow is a token in a list.
type tokenRow struct {
	Accessor string
	Name     string // "": it has none
	URL      string
	Personal bool // made by the user; else issued to a program
	Child    bool // shown below the token that it derives from
	Derived  int64
	Services []string
	Tags     []Tag
	Allows   []string
	Networks []string
	Scopes   []string
	Created  time.Time
	LastUsed time.Time
	Uses     *Meter // nil: they are not counted
	Time     Meter
}

// tokens answers GET /account/tokens.
func (p *Pages) tokens(w *web.Reply, r *http.Request) error {
	var list []jeton.Token
	shown := r.URL.Query().Get("cursor")
	next, err := p.listOf(w, r, ownAPI+"/tokens?limit="+strconv.Itoa(ownPageSize), shown, &list)
	if err != nil {
		return err
	}

	v := newTokens(list, w.Start)
	v.Pager = pagerOf("/account/tokens", nil, shown, next, "cursor")

	return p.show(w, r, http.StatusOK, "account/tokens", v)
}

// ownTokens returns tokens of the user, newest first.
func (p *Pages) ownTokens(w *web.Reply, r *http.Request, query url.Values) ([]jeton.Token, error) {
	query.Set("limit", strconv.Itoa(maxOwn))

	var list []jeton.Token
	err := p.API.Call(w, r, http.MethodGet, pathWith(ownAPI+"/tokens", query), nil, &list)

	return list, err
}

// newTokens orders tokens: those that derive from a token below it.
func newTokens(list []jeton.Token, now time.Time) tokensView {
	v := tokensView{
		Empty: Empty{
			Text:   text("tokens.empty"),
			Action: &Link{Text: text("tokens.new"), URL: "/account/tokens/new"},
		},
	}

	shown := map[string]bool{}
	children := map[string][]jeton.Token{}
	for _, t := range list {
		shown[t.Accessor] = true
	}
	for _, t := range list {
		if shown[t.Parent] {
			children[t.Parent] = append(children[t.Parent], t)
		}
	}

	var add func(t jeton.Token, child bool) int64
	add = func(t jeton.Token, child bool) (derived int64) {
		row := newTokenRow(t, now)
		row.Child = child
		i := len(v.Tokens)
		v.Tokens = append(v.Tokens, row)

		for _, c := range children[t.Accessor] {
			derived += 1 + add(c, true)
		}
		v.Tokens[i].Derived = derived

		return derived
	}

	for _, t := range list {
		if !shown[t.Parent] {
			add(t, false)
		}
	}

	return v
}

// newTokenRow returns a token as it is shown.
func newTokenRow(t jeton.Token, now time.Time) tokenRow {
	row := tokenRow{
		Accessor: t.Accessor,
		Name:     t.Name,
		URL:      tokenPath(t.Accessor, ""),
		Personal: token.Kind(t.Kind).IsPersonal(),
		Services: t.Audience,
		Allows:   t.Allows,
		Networks: t.Networks,
		Scopes:   t.Scopes,
		Created:  t.Created,
		LastUsed: t.LastUsed,
		Time:     timeLeft(later(t.Created, t.NotBefore), t.Expires, now),
	}

	if t.UsesRemaining != nil {
		row.Uses = &Meter{
			Text:  text("left.uses", *t.UsesRemaining, t.MaxUses),
			Value: *t.UsesRemaining,
			Max:   max(1, t.MaxUses),
		}
	}
	row.Tags = tokenTags(row, t, now)

	return row
}

// later returns the later of two times.
func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

// endsSoon is the time before its end at which a token stands out: its user has to act.
const endsSoon = 7 * 24 * time.Hour

// tokenTags returns what stands out about a token.
func tokenTags(row tokenRow, t jeton.Token, now time.Time) []Tag {
	var tags []Tag
	switch {
	case t.Kind == string(token.Leased):
		tags = append(tags, Tag{Kind: "plain", Text: text("token.job")})
	case t.Kind == string(token.Approved):
		tags = append(tags, Tag{Kind: "plain", Text: text("token.requested")})
	case !row.Personal:
		tags = append(tags, Tag{Kind: "plain", Text: text("token.access")})
	}

	switch {
	case row.Uses != nil && row.Uses.Value <= 0:
		tags = append(tags, Tag{Kind: Bad, Text: text("token.spent")})
	case now.Before(t.NotBefore):
		tags = append(tags, Tag{Kind: "plain", Text: text("token.early")})
	case row.Personal && (t.Expires.Sub(now) < endsSoon && row.Time.State() == "low"),
		row.Personal && row.Uses != nil && row.Uses.State() == "low":
		tags = append(tags, Tag{Kind: Warn, Text: text("token.soon")})
	}

	return tags
}

// tokenPath returns a page of a token.
func tokenPath(accessor, page string) string {
	path := "/account/tokens/" + url.PathEscape(accessor)
	if page != "" {
		path += "/" + page
	}

	return path
}

// oneToken is a token as the API shows it alone.
type oneToken struct {
	jeton.Token
	Derived int64 `json:"derived"`
}

// ownToken returns a token of the user.
func (p *Pages) ownToken(w *web.Reply, r *http.Request) (oneToken, error) {
	var t oneToken
	err := p.API.Call(w, r, http.MethodGet, tokenAPI(r, ""), nil, &t)

	return t, err
}

// tokenAPI returns the path in the API of the token that a request is about.
func tokenAPI(r *http.Request, action string) string {
	path := ownAPI + "/tokens/" + url.PathEscape(r.PathValue("accessor"))
	if action != "" {
		path += "/" + action
	}

	return path
}

// tokenView is the view of account/token: one token, and what it would open.
type tokenView struct {
	Note    *Note
	Token   tokenRow
	Opens   time.Time // zero: it is valid from its creation
	Expires time.Time
	Parent  *Link
	Methods Select
	Address Field
	Verdict *verdictView
	Rotates bool // its secret can be replaced
}

// verdictView is the answer to what a token would open.
type verdictView struct {
	Method  string
	URL     string
	Allowed bool
	Reason  Text // of a refusal
	Service string
	Steps   []Step
	Left    Text // uses before it, if they are counted
}

// tokenPage answers GET /account/tokens/{accessor}.
func (p *Pages) tokenPage(w *web.Reply, r *http.Request) error {
	t, err := p.ownToken(w, r)
	if err != nil {
		return err
	}

	services, err := p.ownServices(w, r)
	if err != nil {
		return err
	}

	return p.show(w, r, http.StatusOK, "account/token", newTokenView(t, services, w.Start, url.Values{}))
}

// testMethods are the methods that a test offers.
var testMethods = []string{"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"}

// newTokenView returns one token as it is shown. typed is the request to test.
func newTokenView(t oneToken, services []ownService, now time.Time, typed url.Values) tokenView {
	_, example := exampleOf(t.Token, services)
	v := tokenView{
		Token:   newTokenRow(t.Token, now),
		Expires: t.Expires,
		Rotates: token.Kind(t.Kind).IsPersonal(),
		Methods: Select{Name: "method", Label: text("try.method")},
		Address: Field{
			Name:         "url",
			Label:        text("try.url"),
			Hint:         text("try.url.hint", Code(example)),
			Value:        typed.Get("url"),
			InputMode:    "url",
			Autocomplete: "off",
			NoCapitals:   true,
			Required:     true,
			MaxLength:    maxTestURL,
		},
	}
	v.Token.Derived = t.Derived

	if t.NotBefore.After(t.Created) {
		v.Opens = t.NotBefore
	}
	if t.Parent != "" {
		v.Parent = &Link{URL: tokenPath(t.Parent, "")}
	}

	for _, m := range testMethods {
		v.Methods.Choices = append(v.Methods.Choices, Choice{Value: m, Label: m, Selected: m == typed.Get("method")})
	}

	return v
}

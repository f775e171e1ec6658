package pages

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/openid"
	"github.com/jeton-auth/jeton/internal/web"
)

// adminClaimsView is the view of admin/claims.
type adminClaimsView struct {
	Client string
	Path   string // of the client
	User   Field
	Scopes Checks
	Result *claimsResult // nil: nothing was asked for
}

// claimsResult is what the client would learn.
type claimsResult struct {
	User    string
	Allowed bool
	Scopes  []grantedScope
	Subject Text // which one it is
	Claims  []claimRow
	Steps   []Step // of a refusal
}

// grantedScope is a scope, and what the page that asks for consent says of it.
type grantedScope struct {
	Name string
	consentScope
}

// claimRow is a claim of the userinfo endpoint.
type claimRow struct {
	Name    string
	Value   string // JSON, as the client gets it
	IDToken bool   // whether it is in the ID token, too
}

// claimsPreview is the answer of the API.
type claimsPreview struct {
	User     string                     `json:"user"`
	Allowed  bool                       `json:"allowed"`
	Checks   []jeton.Check              `json:"checks"`
	Scopes   []string                   `json:"scopes"`
	Subject  string                     `json:"subject_type"`
	IDToken  map[string]json.RawMessage `json:"id_token"`
	UserInfo map[string]json.RawMessage `json:"userinfo"`
}

// previewScopes are the scopes that give access to claims.
var previewScopes = []string{openid.ScopeProfile, openid.ScopeEmail, openid.ScopeGroups}

// adminClaims answers GET /admin/clients/{name}/claims?user=&scope=.
func (p *Pages) adminClaims(w *web.Reply, r *http.Request) error {
	var c jeton.Client
	path := "/clients/" + url.PathEscape(r.PathValue("name"))
	if err := p.call(w, r, http.MethodGet, path, nil, nil, &c); err != nil {
		return err
	}
	if c.OpenID == nil {
		return jeton.ErrNotFound
	}

	query := r.URL.Query()
	user := strings.TrimSpace(query.Get("user"))
	if user == "" {
		return p.show(w, r, http.StatusOK, "admin/claims", claimsForm(c, "", previewScopes))
	}

	v := claimsForm(c, user, query["scope"])
	asks := url.Values{"user": {user}, "scope": {strings.Join(query["scope"], " ")}}

	var got claimsPreview
	err := p.call(w, r, http.MethodGet, path+"/claims", asks, nil, &got)
	if jeton.Outcome(err) == jeton.ErrNotFound {
		v.User.Invalid, v.User.Focus = true, true
		v.User.Error = text("admin.claims.unknown")

		return p.again(w, r, "admin/claims", v, err)
	}
	if err != nil {
		return err
	}
	v.Result = newClaimsResult(got, c)

	return p.show(w, r, http.StatusOK, "admin/claims", v)
}

// claimsForm returns the form with what was typed.
func claimsForm(c jeton.Client, user string, scopes []string) adminClaimsView {
	v := adminClaimsView{
		Client: c.Name,
		Path:   clientPath(c.Name),
		User: Field{
			Name:         "user",
			Label:        text("admin.claims.user"),
			Value:        user,
			Autocomplete: "off",
			NoCapitals:   true,
			Required:     true,
			MaxLength:    256,
			Focus:        user == "",
		},
		Scopes: Checks{
			Name:  "scope",
			Label: text("admin.claims.scopes"),
			Hint:  text("admin.claims.scopes.hint"),
		},
	}
	for _, scope := range previewScopes {
		choice := Choice{Value: scope, Label: scope, Selected: slices.Contains(scopes, scope)}
		v.Scopes.Choices = append(v.Scopes.Choices, choice)
	}

	return v
}

// newClaimsResult returns what the API said.
func newClaimsResult(got claimsPreview, c jeton.Client) *claimsResult {
	v := &claimsResult{
		User:    got.User,
		Allowed: got.Allowed,
		Subject: text("admin.claims.public"),
	}
	if got.Subject == "pairwise" {
		v.Subject = text("admin.party.pairwise", c.OpenID.SectorIdentifier)
	}

	for _, scope := range got.Scopes {
		v.Scopes = append(v.Scopes, grantedScope{scope, consentScopes([]string{scope})[0]})
	}

	for _, name := range openid.ClaimNames() {
		value, ok := got.UserInfo[name]
		if !ok {
			continue
		}

		_, both := got.IDToken[name]
		v.Claims = append(v.Claims, claimRow{Name: name, Value: string(value), IDToken: both})
	}
	if !got.Allowed {
		v.Steps = stepsOf(got.Checks)
	}

	return v
}

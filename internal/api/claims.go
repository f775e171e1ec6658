package api

import (
	"net/http"
	"strings"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/client"
	"github.com/jeton-auth/jeton/internal/openid"
	"github.com/jeton-auth/jeton/internal/web"
)

// ClaimsPreview is what a client would learn of a user who signs in there.
type ClaimsPreview struct {
	Client  string        `json:"client"`
	User    string        `json:"user"`
	Allowed bool          `json:"allowed" jsonschema:"Whether the user may sign in at the client"`
	Code    string        `json:"code" jsonschema:"ok, or the code of the refusal"`
	Checks  []jeton.Check `json:"checks"`
	Scopes  []string      `json:"scopes" jsonschema:"Those of the request that a user can grant"`
	Subject string        `json:"subject_type" jsonschema:"public or pairwise"`

	// Of a user who may not sign in, the client learns nothing.
	IDToken  *openid.Claims `json:"id_token,omitempty" jsonschema:"Claims of the user. Absent: refused"`
	UserInfo *openid.Claims `json:"userinfo,omitempty" jsonschema:"Claims of the user. Absent: refused"`
}

// previewClaims answers GET /clients/{name}/claims?user=&scope=.
func (a *API) previewClaims(w *web.Reply, r *http.Request, _ caller) error {
	q := r.URL.Query()
	if q.Get("user") == "" {
		return jeton.WithDetail(jeton.ErrInvalid, "user is missing: want the name of a user")
	}

	scopes := []string{openid.ScopeProfile, openid.ScopeEmail, openid.ScopeGroups}
	if q.Has("scope") {
		scopes = strings.Fields(q.Get("scope"))
	}

	found, err := a.Logins.Preview(r.Context(), r.PathValue("name"), q.Get("user"), scopes)
	if err != nil {
		return err
	}

	v := ClaimsPreview{
		Client:  found.Client.Name,
		User:    found.User.Name,
		Allowed: found.Refused == nil,
		Code:    "ok",
		Checks:  found.Checks,
		Scopes:  found.Scopes,
		Subject: "public",
	}
	if client.Pairwise(found.Client.OpenID) {
		v.Subject = "pairwise"
	}
	if v.Allowed {
		v.IDToken, v.UserInfo = &found.IDToken, &found.UserInfo
	} else {
		v.Code = jeton.Code(found.Refused)
	}

	return web.JSON(w, http.StatusOK, v)
}

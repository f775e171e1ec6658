package api

import (
	"net/http"
	"slices"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/web"
)

// Service is a service of the configuration.
type Service struct {
	Name     string         `json:"name"`
	URL      string         `json:"url,omitempty" jsonschema:"Where browsers reach it"`
	Declared bool           `json:"declared" jsonschema:"Always true: services are changed in the configuration file"`
	Accepts  []string       `json:"accepts" jsonschema:"Credentials: session, token, basic"`
	Allow    *Allowed       `json:"allow,omitempty" jsonschema:"Users who may log in. Absent: all"`
	Session  *SessionTerms  `json:"session,omitempty" jsonschema:"Terms of sessions. Absent: it accepts none"`
	Tokens   bool           `json:"tokens" jsonschema:"Whether it accepts tokens"`
	Scopes   []string       `json:"scopes" jsonschema:"Scopes that users can have"`
	Routes   []ServiceRoute `json:"routes"`

	// Grants are the scopes by user.
	Grants policy.Grants `json:"-"`
	// Login says who may log in; nil: all.
	Login *policy.Allow `json:"-"`
}

// SessionTerms are the terms of the sessions of a service.
type SessionTerms struct {
	IdleTimeout int64 `json:"idle_timeout" jsonschema:"Seconds without a request after which it ends"`
	Lifetime    int64 `json:"lifetime" jsonschema:"Seconds after the login when it ends"`
	MaxSessions int   `json:"max_sessions,omitempty" jsonschema:"Of one user. Absent: any number"`
}

// ServiceRoute is a route of a service with its access rule.
type ServiceRoute struct {
	Match   string   `json:"match" jsonschema:"Method and path"`
	Access  string   `json:"access" jsonschema:"The whole rule as a text"`
	Open    bool     `json:"open" jsonschema:"Whether it needs no credential"`
	Accepts []string `json:"accepts,omitempty"`
	Scopes  []string `json:"scopes,omitempty" jsonschema:"That a token needs"`
	Allow   *Allowed `json:"allow,omitempty" jsonschema:"Absent: every authenticated subject"`
	MaxUses int64    `json:"max_uses,omitempty" jsonschema:"The smallest of its counts. Absent: not counted"`
	Factors int      `json:"factors,omitempty" jsonschema:"How many factors users have to show: 2. Absent: one"`
	MaxAge  int64    `json:"max_age,omitempty" jsonschema:"Seconds since users were proved, at most. Absent: any time"`
}

// Allowed lists subjects that are allowed.
type Allowed struct {
	AnyUser bool     `json:"any_user,omitempty"`
	Users   []string `json:"users,omitempty"`
	Groups  []string `json:"groups,omitempty"`
	Clients []string `json:"clients,omitempty"`
}

// AllowedBy returns an allow list as it is shown, or nil.
func AllowedBy(a *policy.Allow) *Allowed {
	if a == nil {
		return nil
	}
	return &Allowed{
		AnyUser: a.AnyUser,
		Users:   a.Users,
		Groups:  a.Groups,
		Clients: a.Clients,
	}
}

// RouteWith returns a route as it is shown.
func RouteWith(pattern string, a policy.Access) ServiceRoute {
	r := ServiceRoute{
		Match:  pattern,
		Access: a.String(),
		Open:   a.IsOpen(),
		Scopes: a.Scopes,
		Allow:  AllowedBy(a.Allow),
	}
	r.MaxAge = int64(a.Require.MaxAge.Seconds())
	if a.Require.Factors > 1 {
		r.Factors = a.Require.Factors
	}
	if a.NeedsCredential() {
		r.Accepts = a.Accept.Names()
	}
	for _, b := range a.SessionBudgets {
		if r.MaxUses == 0 || b.Max < r.MaxUses {
			r.MaxUses = b.Max
		}
	}

	return r
}

// listServices answers GET /services.
func (a *API) listServices(w *web.Reply, _ *http.Request, _ caller) error {
	return web.JSON(w, http.StatusOK, a.ServicesOf())
}

// readService answers GET /services/{name}.
func (a *API) readService(w *web.Reply, r *http.Request, _ caller) error {
	for _, s := range a.ServicesOf() {
		if s.Name == r.PathValue("name") {
			return web.JSON(w, http.StatusOK, s)
		}
	}

	return jeton.ErrNotFound
}

// OwnService is a service as a user sees it.
type OwnService struct {
	Name   string   `json:"name"`
	URL    string   `json:"url,omitempty" jsonschema:"Where browsers reach it"`
	Tokens bool     `json:"tokens" jsonschema:"Whether personal tokens can be for it"`
	Scopes []string `json:"scopes" jsonschema:"Scopes that the user's tokens can have there"`
}

// listOwnServices answers GET /users/me/services: those at which the user may log in.
func (a *API) listOwnServices(w *web.Reply, r *http.Request, c caller) error {
	acct, err := a.account(r.Context(), c)
	if err != nil {
		return err
	}

	list := []OwnService{}
	for _, s := range a.ServicesOf() {
		if !acct.ValidAt(s.Name) || s.Login.CheckLogin(c.Principal) != nil {
			continue
		}

		scopes := append([]string{}, s.Grants.Of(c.Principal)...)
		slices.Sort(scopes)
		list = append(list, OwnService{
			Name:   s.Name,
			URL:    s.URL,
			Tokens: s.Tokens,
			Scopes: slices.Compact(scopes),
		})
	}

	return web.JSON(w, http.StatusOK, list)
}

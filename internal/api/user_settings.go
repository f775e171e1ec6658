package api

import (
	"net/http"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/web"
)

// NewPassword is the password to set.
type NewPassword struct {
	Password string `json:"password"`
}

// setPassword answers PUT /users/{name}/password. All sessions and tokens end.
func (a *API) setPassword(w *web.Reply, r *http.Request, c caller) error {
	in, err := web.Read[NewPassword](r)
	if err != nil {
		return err
	}

	err = a.Accounts.SetPassword(r.Context(), c.actor(), r.PathValue("name"), jeton.NewSecret(in.Password))
	if err != nil {
		return err
	}

	return web.NoContent(w)
}

// Disabled says whether a user or a client is disabled.
type Disabled struct {
	Disabled bool `json:"disabled"`
}

// readDisabled reads a Disabled. There is no default: an empty request must not enable anything.
func readDisabled(r *http.Request) (bool, error) {
	in, err := web.Read[struct {
		Disabled *bool `json:"disabled"`
	}](r)
	if err != nil {
		return false, err
	}
	if in.Disabled == nil {
		return false, jeton.WithDetail(jeton.ErrInvalid, "disabled missing: want true or false")
	}

	return *in.Disabled, nil
}

// setDisabled answers PUT /users/{name}/disabled. Disabling ends all sessions and tokens.
func (a *API) setDisabled(w *web.Reply, r *http.Request, c caller) error {
	disabled, err := readDisabled(r)
	if err != nil {
		return err
	}

	err = a.Accounts.Disable(r.Context(), c.actor(), r.PathValue("name"), disabled)
	if err != nil {
		return err
	}

	return web.NoContent(w)
}

// Groups are the groups of a user.
type Groups struct {
	Groups []string `json:"groups"`
}

// setGroups answers PUT /users/{name}/groups.
func (a *API) setGroups(w *web.Reply, r *http.Request, c caller) error {
	in, err := web.Read[Groups](r)
	if err != nil {
		return err
	}

	// As with disabled: an empty request must not remove the user from all groups.
	if in.Groups == nil {
		return jeton.WithDetail(jeton.ErrInvalid, "groups missing: want a list; [] removes the user from all")
	}

	err = a.Accounts.SetGroups(r.Context(), c.actor(), r.PathValue("name"), in.Groups)
	if err != nil {
		return err
	}

	return web.NoContent(w)
}

// AllowLogin names the service at which a user's logins are forgotten.
type AllowLogin struct {
	Service string `json:"service"`
}

// allowLogin answers POST /users/{id}/allow-login: the user may log in at the service again, whatever the terms of
// re-login say.
func (a *API) allowLogin(w *web.Reply, r *http.Request, c caller) error {
	in, err := web.Read[AllowLogin](r)
	if err != nil {
		return err
	}
	if err := require("service", in.Service); err != nil {
		return err
	}

	acct, err := a.target(r, c)
	if err != nil {
		return err
	}

	ev := a.event(w, c, audit.LoginAllowed, "user:"+acct.Name)
	ev.Service = in.Service

	err = a.Sessions.AllowLogin(r.Context(), acct.Name, in.Service, ev)
	if err != nil {
		return err
	}

	return web.NoContent(w)
}

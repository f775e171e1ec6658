package api

import (
	"net/http"

	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/naming"
	"github.com/jeton-auth/jeton/internal/web"
)

// listOwnApplications answers GET /users/me/applications.
func (a *API) listOwnApplications(w *web.Reply, r *http.Request, c caller) error {
	acct, err := a.account(r.Context(), c)
	if err != nil {
		return err
	}

	list, err := a.Tokens.Connections(r.Context(), acct.ID)
	if err != nil {
		return err
	}

	return web.JSON(w, http.StatusOK, list)
}

// endOwnApplication answers DELETE /users/me/applications/{client}.
func (a *API) endOwnApplication(w *web.Reply, r *http.Request, c caller) error {
	acct, err := a.account(r.Context(), c)
	if err != nil {
		return err
	}

	name := naming.ClientOfPath(r.PathValue("client"))
	ev := a.event(w, c, audit.ConsentEnd, "client:"+name)
	if err := a.Tokens.Disconnect(r.Context(), acct.ID, name, ev); err != nil {
		return err
	}

	return web.NoContent(w)
}

package api

import (
	"net/http"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/config"
	"github.com/jeton-auth/jeton/internal/signin"
	"github.com/jeton-auth/jeton/internal/web"
)

var recoveryLinkDoc = Doc{
	Summary: "Make a link with which the user sets a password, within 30 minutes and once. Earlier ones of the user " +
		"end.",
	Out:    SignInLink{},
	Status: 201,
	Fails:  []int{404, 409},
}

// recoveryLink answers POST /users/{id}/recovery-link. The administrator passes the link on, and learns no password.
func (a *API) recoveryLink(w *web.Reply, r *http.Request, c caller) error {
	if a.RecoveryURL == nil {
		return jeton.WithDetail(jeton.ErrNotFound, "there are no pages to set a password at; see issuer.pages")
	}

	acct, err := a.target(r, c)
	if err != nil {
		return err
	}
	if acct.Declared {
		return jeton.ErrDeclared
	}
	if acct.Disabled || !acct.ValidAt(config.IssuerName) {
		return jeton.WithDetail(jeton.ErrConflict, "the user is disabled, or valid at one service only")
	}

	expires := w.Start.Add(signin.RecoveryLifetime)
	secret, err := a.Logins.GrantRecovery(r.Context(), acct, expires)
	if err != nil {
		return err
	}

	a.Audit.Record(a.event(w, c, audit.UserRecover, "user:"+acct.Name))

	return web.JSON(w, http.StatusCreated, SignInLink{a.RecoveryURL(secret), expires})
}

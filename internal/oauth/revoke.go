package oauth

import (
	"net/http"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/token"
	"github.com/jeton-auth/jeton/internal/web"
)

// revoke answers POST /oauth2/revoke (RFC 7009). What is no token, or another client's, is
// left alone and answered alike.
func (d *Door) revoke(w *web.Reply, r *http.Request) error {
	c, form, err := called(w)
	if err != nil {
		return err
	}

	text := form.Get("token")
	if text == "" {
		return jeton.WithDetail(jeton.ErrInvalid, "token is missing")
	}
	if err := d.tokens.Revoke(
		r.Context(),
		text,
		token.ClientOwner(c.client),
		d.event(w, audit.TokenRevoke, c, nil),
	); err != nil {
		return err
	}

	w.Header()["Cache-Control"] = noStore
	w.WriteHeader(http.StatusOK)

	return nil
}

package api

import (
	"net/http"

	"github.com/jeton-auth/jeton/internal/jose"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/web"
)

// keyRoutes returns the rows about the keys that the server signs with.
func (a *API) keyRoutes() []web.Route {
	return []web.Route{
		{Pattern: "GET /api/v1/keys", Access: policy.Operator, Handle: a.listKeys},
		{Pattern: "POST /api/v1/keys/rotate", Access: policy.Operator, Handle: a.rotateKeys},
		{Pattern: "DELETE /api/v1/keys/{kid}", Access: policy.Operator, Handle: a.revokeKey},
	}
}

func (a *API) listKeys(w *web.Reply, r *http.Request) error {
	list, err := a.Keys.List(r.Context())
	if err != nil {
		return err
	}
	return web.JSON(w, http.StatusOK, list)
}

// Rotation asks for the next signing keys.
type Rotation struct {
	Algorithm string `json:"alg,omitempty"` // of one algorithm only
	Now       bool   `json:"now,omitempty"` // they sign at once
}

// rotateKeys answers POST /api/v1/keys/rotate with the keys that sign next.
func (a *API) rotateKeys(w *web.Reply, r *http.Request) error {
	in, err := web.Read[Rotation](r)
	if err != nil {
		return err
	}

	list, err := a.Keys.Rotate(r.Context(), by, jose.Alg(in.Algorithm), in.Now)
	if err != nil {
		return err
	}

	return web.JSON(w, http.StatusOK, list)
}

// revokeKey answers DELETE /api/v1/keys/{kid}?reason=. Revoking twice is not an error.
func (a *API) revokeKey(w *web.Reply, r *http.Request) error {
	if err := a.Keys.Revoke(r.Context(), by, r.PathValue("kid"), r.URL.Query().Get("reason")); err != nil {
		return err
	}
	return web.NoContent(w)
}

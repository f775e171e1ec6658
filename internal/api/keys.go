package api

import (
	"net/http"

	"github.com/jeton-auth/jeton/internal/jose"
	"github.com/jeton-auth/jeton/internal/web"
)

// listKeys answers GET /keys.
func (a *API) listKeys(w *web.Reply, r *http.Request, _ caller) error {
	list, err := a.Keys.List(r.Context())
	if err != nil {
		return err
	}
	return web.JSON(w, http.StatusOK, list)
}

// Rotation describes the rotation of the signing keys.
type Rotation struct {
	Algorithm string `json:"alg,omitempty" jsonschema:"Only keys of this algorithm"`
	Now       bool   `json:"now,omitempty" jsonschema:"Whether the new keys sign at once"`
}

// rotateKeys answers POST /keys/rotate with the new keys.
func (a *API) rotateKeys(w *web.Reply, r *http.Request, c caller) error {
	in, err := web.Read[Rotation](r)
	if err != nil {
		return err
	}

	list, err := a.Keys.Rotate(r.Context(), c.actor(), jose.Alg(in.Algorithm), in.Now)
	if err != nil {
		return err
	}

	return web.JSON(w, http.StatusOK, list)
}

// revokeKey answers DELETE /keys/{kid}?reason=. Revoking twice is not an error.
func (a *API) revokeKey(w *web.Reply, r *http.Request, c caller) error {
	err := a.Keys.Revoke(r.Context(), c.actor(), r.PathValue("kid"), r.URL.Query().Get("reason"))
	if err != nil {
		return err
	}
	return web.NoContent(w)
}

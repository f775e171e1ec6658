package oauth

import (
	"encoding/base64"
	"net/http"
	"strconv"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/web"
)

// revocations answers GET /oauth2/revocations?after=N: the SHA-256 of every jti and
// generation that is revoked although its signature is valid, in the order of revocation.
// The hashes reveal nothing without the token.
func (s *Server) revocations(w *web.Reply, r *http.Request) error {
	// A page is then about 46 KB, which the guard reads as a whole.
	const limit = 1000
	var after int64

	text := r.URL.Query().Get("after")
	if text != "" {
		var err error
		after, err = strconv.ParseInt(text, 10, 64)
		if err != nil || after < 0 {
			return jeton.WithDetail(jeton.ErrInvalid, "after must be a whole number, 0 or greater")
		}
	}

	list, err := s.tokens.Voided(r.Context(), after, limit)
	if err != nil {
		return err
	}

	// An empty list is [], not null: a guard takes null for a broken answer and would stop serving.
	out := jeton.Revocations{Next: after, Void: []string{}, More: len(list) == limit}
	for _, v := range list {
		out.Next = v.Seq
		out.Void = append(out.Void, base64.RawURLEncoding.EncodeToString(v.Hash[:]))
	}

	return web.JSON(w, http.StatusOK, out)
}

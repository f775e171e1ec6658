package oauth

import (
	"encoding/base64"
	"net/http"
	"strconv"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/web"
)

// void answers GET /oauth2/revocations?after=N: the SHA-256 of every jti and generation
// that is void although a signature may be right, in the order in which they became so.
// Hashes tell nothing to whoever does not hold the token.
func (d *Door) void(w *web.Reply, r *http.Request) error {
	const most = 1000
	var after int64

	text := r.URL.Query().Get("after")
	if text != "" {
		var err error
		if after, err = strconv.ParseInt(text, 10, 64); err != nil || after < 0 {
			return jeton.WithDetail(jeton.ErrInvalid, "after must be a whole number, 0 or greater")
		}
	}

	list, err := d.tokens.Voided(r.Context(), after, most)
	if err != nil {
		return err
	}

	out := jeton.Revocations{Next: after, Void: []string{}, More: len(list) == most}
	for _, v := range list {
		out.Next = v.Seq
		out.Void = append(out.Void, base64.RawURLEncoding.EncodeToString(v.Hash[:]))
	}

	return web.JSON(w, http.StatusOK, out)
}

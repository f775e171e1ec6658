package oauth

import (
	"net/http"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/jose"
	"github.com/jeton-auth/jeton/internal/signin"
	"github.com/jeton-auth/jeton/internal/web"
)

// addKey answers POST /oauth2/keys: a client registers another public key of its own. It has
// authenticated with an older key, and proves that it holds the new one by a JWT that the
// new one has signed.
func (s *Server) addKey(w *web.Reply, r *http.Request) error {
	c, form, err := caller(w)
	if err != nil {
		return err
	}

	// A leaked secret must not become a key of the thief's, which outlives the secret.
	if !c.byKey {
		return jeton.WithDetail(
			jeton.ErrInvalid,
			"prove the client by an assertion that an older key has signed; a secret does not do",
		)
	}

	k, err := jose.ParseKey([]byte(form.Get("key")), jose.Alg(form.Get("alg")), form.Get("kid"))
	if err != nil {
		return jeton.WithDetail(jeton.ErrInvalid, "key is no public key that is taken here, PEM or JWK")
	}

	proof := signin.ClientCredential{
		ClientID:  c.client.Name,
		Assertion: form.Get("proof"),
		Purpose:   signin.Possession,
		Issuer:    s.conf.URL,
	}

	// The audit event is stored with the key, in one transaction.
	if err := s.logins.AddKey(r.Context(), c.client, k, proof, s.event(w, audit.ClientKeyAdd, c, nil)); err != nil {
		return err
	}

	return web.JSON(w, http.StatusCreated, map[string]string{"kid": k.ID})
}

package oauth

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/client"
	"github.com/jeton-auth/jeton/internal/jose"
	"github.com/jeton-auth/jeton/internal/web"
)

// jwks answers GET /.well-known/jwks.json: the public keys that our tokens are signed with.
func (s *Server) jwks(w *web.Reply, r *http.Request) error {
	// Without the store the cached keys are served, as verifiers cache them for longer: hence no error.
	_ = s.ring.Fresh(r.Context())
	body, etag := s.ring.JWKS()
	w.Header()["Access-Control-Allow-Origin"] = anyOrigin

	return s.publish(w, r, "application/jwk-set+json", body, etag)
}

// clientJWKS answers GET /oauth2/clients/{client}/jwks.json: the public keys that the client
// authenticates with now.
func (s *Server) clientJWKS(w *web.Reply, r *http.Request) error {
	list, err := s.keysOf(r, r.PathValue("client"), w.Start)
	if err != nil {
		return err
	}
	return s.publish(w, r, "application/jwk-set+json", jose.MarshalSet(list), "")
}

// getKey answers GET on the keyserver's path, ?identity=NAME: the newest public key of that
// client, PEM.
func (s *Server) getKey(w *web.Reply, r *http.Request) error {
	names := r.URL.Query()["identity"]
	if len(names) != 1 || names[0] == "" {
		return jeton.WithDetail(jeton.ErrInvalid, "name one identity: ?identity=NAME")
	}

	list, err := s.keysOf(r, names[0], w.Start)
	if err != nil {
		return err
	}

	return s.publish(w, r, "application/x-pem-file", list[0].PEM(), "")
}

// keysOf returns the keys that a client authenticates with now, the newest first.
func (s *Server) keysOf(r *http.Request, name string, now time.Time) ([]jose.Key, error) {
	// An unknown client is answered as one without keys.
	c, err := s.clients.FindForLogin(r.Context(), name)
	if err != nil {
		return nil, err
	}

	list, err := s.clients.Keys(r.Context(), c, "", now)
	// The same answer for a disabled client: it says only that there is no key to trust.
	if errors.Is(err, jeton.ErrBadCredential) {
		return nil, jeton.ErrNotFound // an unknown client, or one without a valid key
	}
	if err != nil {
		return nil, err
	}

	return newest(c, list), nil
}

// publish writes a public document that may be cached.
func (s *Server) publish(w *web.Reply, r *http.Request, kind string, body []byte, etag string) error {
	// It changes exactly when the document does, and 96 bits do not collide by chance.
	if etag == "" {
		sum := sha256.Sum256(body)
		etag = `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`
	}

	h := w.Header()
	h.Set("Content-Type", kind)
	h.Set("Cache-Control", s.maxAge)
	h.Set("ETag", etag)
	h.Set("X-Content-Type-Options", "nosniff")

	if r.Header.Get("If-None-Match") == etag {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}

	h.Set("Content-Length", strconv.Itoa(len(body)))
	// RFC 9110, section 9.3.2: the same headers as GET, with the length of the body that is not sent.
	if r.Method == http.MethodHead {
		return nil
	}

	_, _ = w.Write(body)

	return nil
}

// refusePlain writes a refusal as text, which teaching clients expect.
func refusePlain(w *web.Reply, _ *http.Request, err error) {
	p := web.Mark(w, err)
	text := p.Title
	if p.Detail != "" {
		text = p.Detail
	}

	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(p.Status)
	_, _ = w.Write([]byte(text + "\n"))
}

// newest sorts keys by the time when the client added them, the last first.
func newest(c client.Client, list []jose.Key) []jose.Key {
	at := map[string]time.Time{}
	for _, k := range c.Keys {
		at[k.ID] = k.Created
	}

	list = slices.Clone(list)
	slices.SortStableFunc(list, func(a, b jose.Key) int { return at[b.ID].Compare(at[a.ID]) })

	return list
}

package oauth

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/client"
	"github.com/jeton-auth/jeton/internal/openid"
	"github.com/jeton-auth/jeton/internal/signin"
	"github.com/jeton-auth/jeton/internal/web"
)

const (
	pathPush = "/oauth2/par"
	// pushedPrefix is what the request_uri of a request that was pushed here begins with (RFC 9126, section 2.2).
	pushedPrefix = "urn:ietf:params:oauth:request_uri:"
)

// requestRefused is an authorization request that is refused before a browser has come with it.
type requestRefused struct {
	error
	code string // that the redirect would have
}

// Unwrap returns the outcome.
func (r *requestRefused) Unwrap() error { return r.error }

// pushAnswer is the answer to a pushed request (RFC 9126, section 2.2).
type pushAnswer struct {
	RequestURI string `json:"request_uri"`
	Expires    int64  `json:"expires_in"` // seconds
}

// push answers POST /oauth2/par (RFC 9126): a client sends an authorization request itself, and the browser comes with
// a reference to it. So no one can read or change it on the way.
func (s *Server) push(w *web.Reply, r *http.Request) error {
	form, credential, err := s.readClient(w, r, audit.RequestPush)
	if err != nil {
		return err
	}
	// Before anything is refused: the script reads why.
	if err := s.readable(w, r, credential.ClientID); err != nil {
		return err
	}

	if err := s.introduce(w, r, credential.ClientID); err != nil {
		return err
	}

	reference, err := s.logins.Push(r.Context(), signin.PushRequest{
		Credential: credential,
		Read: func(ctx context.Context, c client.Client) ([]byte, error) {
			return s.readPush(ctx, c, form)
		},
		Source:  w.Source,
		Request: w.ID,
	})
	if err != nil {
		return err
	}

	w.Header()["Cache-Control"] = noStore

	return web.JSON(w, http.StatusCreated, pushAnswer{
		RequestURI: pushedPrefix + reference.Reveal(),
		Expires:    int64(signin.PushLifetime / time.Second),
	})
}

// readPush returns what is kept of a pushed request: the parameters that are read later, without the credential.
func (s *Server) readPush(ctx context.Context, c client.Client, form url.Values) ([]byte, error) {
	refuse := func(code, text string) error {
		return &requestRefused{jeton.WithDetail(jeton.ErrInvalid, text), code}
	}

	switch {
	case form.Has("request_uri"):
		return nil, refuse(codeInvalid, "request_uri: a pushed request refers to no other")
	case form.Has("request"):
		return nil, refuse(codeRequest, "request: send the parameters of the request themselves")
	case len(form["resource"]) > 1:
		return nil, refuse(codeTarget, "a token is for one service: request one resource")
	}

	query := url.Values{"client_id": {c.Name}}
	for _, name := range openid.RequestParams() {
		if name != "client_id" && name != openid.PushedParam && form.Has(name) {
			query.Set(name, form.Get(name))
		}
	}

	a, err := s.checkAuthorization(ctx, query)
	if err != nil {
		return nil, err
	}

	code := a.fault()
	if code != "" {
		return nil, refuse(code, "the authorization request is invalid: "+code)
	}

	return []byte(query.Encode()), nil
}

// refusePush writes a refusal of a pushed request (RFC 9126, section 2.3).
func (s *Server) refusePush(w *web.Reply, r *http.Request, err error) {
	var refused *requestRefused
	if errors.As(err, &refused) {
		refuse(w, err, http.StatusBadRequest, refused.code)
		return
	}

	s.refuse(w, r, err)
}

// pushed replaces the parameters of a request that refers to one that was pushed by those of that one: what else the
// browser brings does not count (RFC 9101, section 6.3). It marks the request as pushed.
func (s *Server) pushed(ctx context.Context, query url.Values) (url.Values, error) {
	reference, ok := strings.CutPrefix(query.Get("request_uri"), pushedPrefix)
	if !ok {
		return query, nil // of another place, which is refused later
	}

	data, err := s.logins.Pushed(ctx, query.Get("client_id"), reference)
	if err != nil {
		return nil, err
	}

	kept, err := url.ParseQuery(string(data))
	if err != nil {
		return nil, err
	}
	kept.Set(openid.PushedParam, "1")

	return kept, nil
}

// mustPush reports whether an authorization request of a party has to be pushed.
func (s *Server) mustPush(p party) bool {
	return p.client != nil && (s.conf.RequirePAR || p.client.OpenID.RequirePAR)
}

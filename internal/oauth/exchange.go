package oauth

import (
	"net/http"
	"net/url"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/signin"
	"github.com/jeton-auth/jeton/internal/web"
)

// The types of tokens (RFC 8693, section 3).
const (
	typeAccessToken = "urn:ietf:params:oauth:token-type:access_token"
	typeIDToken     = "urn:ietf:params:oauth:token-type:id_token"
	typeJWT         = "urn:ietf:params:oauth:token-type:jwt"
)

// exchange answers a token exchange (RFC 8693). The token of another issuer becomes an access token of the client that
// a rule names; one of this server becomes one with which the client acts for its owner at another service.
func (s *Server) exchange(w *web.Reply, r *http.Request, credential signin.ClientCredential, form url.Values) error {
	switch {
	case form.Has("actor_token") || form.Has("actor_token_type"):
		return jeton.WithDetail(jeton.ErrInvalid, "actor_token is not supported")
	case form.Has("requested_token_type") && form.Get("requested_token_type") != typeAccessToken:
		return jeton.WithDetail(jeton.ErrInvalid, "requested_token_type must be "+typeAccessToken+", or absent")
	case form.Get("subject_token_type") == typeAccessToken:
		return s.exchangeAccessToken(w, r, credential, form)
	case form.Get("subject_token_type") == typeJWT || form.Get("subject_token_type") == typeIDToken:
		return s.exchangeWorkloadToken(w, r, credential, form)
	}

	return jeton.WithDetail(
		jeton.ErrInvalid,
		"subject_token_type must be "+typeAccessToken+", or of a token of another issuer "+typeJWT+" or "+typeIDToken,
	)
}

// exchangeWorkloadToken exchanges the token of another issuer for one of a client.
func (s *Server) exchangeWorkloadToken(
	w *web.Reply,
	r *http.Request,
	credential signin.ClientCredential,
	form url.Values,
) error {
	if err := s.useGrant(&credential, form, "subject_token"); err != nil {
		return err
	}

	minted, err := s.logins.Token(r.Context(), s.tokenRequest(w, credential, form))
	if err != nil {
		return &grantRefused{err, codeInvalid} // RFC 8693, section 2.2.2
	}
	writeToken(w, minted, typeAccessToken)

	return nil
}

// exchangeAccessToken exchanges an access token of this server for the next service.
func (s *Server) exchangeAccessToken(
	w *web.Reply,
	r *http.Request,
	credential signin.ClientCredential,
	form url.Values,
) error {
	named := audience(form)
	switch {
	case !form.Has("subject_token"):
		return jeton.WithDetail(jeton.ErrInvalid, "subject_token is missing")
	case len(named) != 1:
		return jeton.WithDetail(
			jeton.ErrInvalid, "name the one service that the token is for: audience=NAME or resource=NAME",
		)
	}

	minted, err := s.logins.Exchange(r.Context(), signin.ExchangeRequest{
		Credential: credential,
		Subject:    form.Get("subject_token"),
		Audience:   named,
		Scopes:     scopes(form),
		Targets:    s.targets,
		Rules:      s.exchanges,
		Source:     w.Source,
		Request:    w.ID,
	})
	if err != nil {
		return err
	}
	writeToken(w, minted, typeAccessToken)

	return nil
}

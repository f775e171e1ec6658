package oauth

import (
	"math"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/policy"
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

	wish, err := exchangeWish(form)
	if err != nil {
		return err
	}

	minted, err := s.logins.Exchange(r.Context(), signin.ExchangeRequest{
		Credential: credential,
		Subject:    form.Get("subject_token"),
		Audience:   named,
		Scopes:     scopes(form),
		Wish:       wish,
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

// exchangeWish returns the narrower terms that the parameters max_uses, expires_in and shared_uses ask for. The first
// two are named as in the answer.
func exchangeWish(form url.Values) (policy.ExchangeWish, error) {
	var w policy.ExchangeWish
	var err error
	if w.MaxUses, err = atLeastOne(form, "max_uses", math.MaxInt64); err != nil {
		return w, err
	}

	const longest = math.MaxInt64 / int64(time.Second)
	seconds, err := atLeastOne(form, "expires_in", longest)
	if err != nil {
		return w, err
	}
	w.Lifetime = time.Duration(seconds) * time.Second

	switch form.Get("shared_uses") {
	case "true":
		w.SharedUses = true
	case "", "false":
	default:
		return w, jeton.WithDetail(jeton.ErrInvalid, "invalid shared_uses: want true or false")
	}

	return w, nil
}

// atLeastOne returns a parameter with a whole number, 0 if it is absent or empty (RFC 6749, section 3.2). A client that
// has computed 0 is to get no token without the limit.
func atLeastOne(form url.Values, name string, limit int64) (int64, error) {
	if !form.Has(name) {
		return 0, nil
	}

	n, err := strconv.ParseInt(form.Get(name), 10, 64)
	if err != nil || n < 1 || n > limit {
		return 0, jeton.WithDetail(jeton.ErrInvalid, "invalid "+name+": want a whole number of at least 1")
	}

	return n, nil
}

package jetontest

import (
	"net/http"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/api"
)

// NewToken is the terms of a personal access token. Its owner is a user or a client.
type NewToken struct {
	User      string
	Client    string
	Name      string
	Services  []string
	Scopes    []string
	Allows    []string  // methods and paths, as in GET /reports/*; none: all
	Networks  []string  // none: all
	MaxUses   int64     // 0: not counted
	NotBefore time.Time // zero: now
	Expires   time.Time // zero: in an hour
}

// MadeToken is a token with its secret.
type MadeToken struct {
	jeton.Token
	Secret string
}

// AddToken makes a personal access token, as an operator would.
func (s *Server) AddToken(terms NewToken) MadeToken {
	s.t.Helper()

	if terms.Expires.IsZero() {
		terms.Expires = s.now().Add(time.Hour)
	}

	var made api.MadeToken
	s.MustControl(http.MethodPost, "/api/v1/tokens", api.NewToken{
		User:      terms.User,
		Client:    terms.Client,
		Name:      terms.Name,
		Services:  terms.Services,
		Scopes:    terms.Scopes,
		Allows:    terms.Allows,
		Networks:  terms.Networks,
		MaxUses:   terms.MaxUses,
		NotBefore: terms.NotBefore,
		Expires:   terms.Expires,
	}, &made)

	return MadeToken{Token: made.Token, Secret: made.Secret}
}

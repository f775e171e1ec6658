package wallet

import (
	"crypto/rand"
	"time"
)

// issued is the current token of an identity that gets its tokens from an issuer, and where it gets them.
type issued struct {
	Scope     []string  `json:"scope,omitempty"` // requested; empty: every scope that the client is allowed
	Issuer    string    `json:"issuer"`
	TokenURL  string    `json:"token_endpoint"`
	RevokeURL string    `json:"revocation_endpoint,omitempty"`
	Audience  string    `json:"audience,omitempty"` // of the service
	Token     string    `json:"token,omitempty"`
	Got       time.Time `json:"got,omitzero"`
	Opens     time.Time `json:"opens,omitzero"` // zero: valid since Got
	Ends      time.Time `json:"ends,omitzero"`  // zero: unknown
}

// issued returns the token of e, by a key or a sign-in; nil: it gets none from an issuer.
func (e *entry) issued() *issued {
	switch {
	case e.Key != nil:
		return &e.Key.issued
	case e.SignIn != nil:
		return &e.SignIn.issued
	}

	return nil
}

// take makes a token the current one.
func (s *issued) take(got granted) {
	s.Token = got.text
	s.Got = got.at
	s.Opens = got.opens
	s.Ends = got.ends
}

// forget removes the token.
func (s *issued) forget() { s.take(granted{}) }

// renewed begins a new login of e, with a token.
func (e *entry) renewed(got granted) {
	e.Uses = got.uses
	e.Held = nil
	e.Cookies = nil
	// A response to a request with the old token must not change the new one (see learn).
	e.Epoch = rand.Text()
	e.LoggedIn = got.at
}

// live reports whether there is a token that has not expired. It may not be valid yet.
func (s *issued) live(now time.Time) bool {
	return s.Token != "" && (s.Ends.IsZero() || now.Before(s.Ends))
}

// due reports whether the token is to be renewed: there is none, or less than a tenth of its
// lifetime or less than renewBefore is left, but never in the first half of its lifetime. A
// token that is counted, or was not valid at once, is used until it expires: its successor
// would lose the remaining uses, or have to be waited for.
func (e *entry) due(now time.Time) bool {
	s := e.issued()
	if !s.live(now) {
		return true
	}
	// Without an expiry, only a refusal by the server shows that the token has ended.
	if s.Ends.IsZero() || s.Opens.After(s.Got) || e.Uses != nil {
		return false
	}

	life := s.Ends.Sub(s.Got)
	return s.Ends.Sub(now) < min(max(life/10, renewBefore), life/2)
}

// expiring reports whether the wallet's clock alone says that e needs another login: its
// token is due. For a session, expired cookies or the server say so.
func (e *entry) expiring(now time.Time) bool { return e.issued() != nil && e.due(now) }

// live reports whether the identity has a credential that has not expired.
func (e *entry) live(now time.Time) bool {
	if text, ok := e.bearer(now); ok {
		return text != ""
	}
	return e.Cookies.live(now)
}

package token

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/cache"
	"github.com/jeton-auth/jeton/internal/jose"
	"github.com/jeton-auth/jeton/internal/keys"
	"github.com/jeton-auth/jeton/internal/secret"
)

const (
	// assertionLifetime is how long a service may accept an assertion. Guards accept no longer one.
	assertionLifetime = time.Minute
	// assertionReuse is how long one is given to further requests: a slow request must not arrive with an expired one.
	assertionReuse = assertionLifetime / 2
	// maxAssertions is how many are kept, in about a kilobyte each.
	maxAssertions = 8192
)

// Asserted is what an assertion says to a service: which request was admitted, and whose it is.
type Asserted struct {
	Audience string // of the service
	Method   string
	Path     string          // as the service gets it, encoded, without the query
	Caller   jeton.Principal // zero on an open route
	Name     string          // of a user, first and last
	Email    string

	// How and when the user of a session was last proved (RFC 8176, RFC 9470). Other callers have none.
	AMR      []string
	ACR      string
	AuthTime time.Time
}

// Assertions signs the JWT that proves to a service behind another proxy that a request was admitted. It keeps
// them for a while, so that a request that repeats costs no signature. It is safe for concurrent use.
type Assertions struct {
	ring   *keys.Ring
	now    func() time.Time
	given  *cache.Cache[given]
	issuer string
	alg    jose.Alg
}

// given is an assertion that may be given to further requests of the same content.
type given struct {
	text    string
	signing *keys.Signing
	from    time.Time
}

// NewAssertions returns assertions that the keys of a server sign. Of gives them an issuer.
func NewAssertions(ring *keys.Ring, now func() time.Time) *Assertions {
	return &Assertions{ring: ring, now: now, given: cache.New[given](maxAssertions, nil)}
}

// Of returns the assertions of an issuer, which share what is kept.
func (s *Assertions) Of(issuer string, alg jose.Alg) *Assertions {
	of := *s
	of.issuer, of.alg = issuer, alg

	return &of
}

// Sign returns an assertion, valid for more than half a minute and at most for one. It returns jeton.ErrUnavailable
// if the store could not be asked whether the key has been revoked.
func (s *Assertions) Sign(ctx context.Context, a Asserted) (string, error) {
	if err := s.ring.Fresh(ctx); err != nil {
		return "", fmt.Errorf("sign assertion: %w", err)
	}

	signing, err := s.ring.Signer(keys.Assertion, s.alg)
	if err != nil {
		return "", fmt.Errorf("sign assertion: %w", err)
	}

	now := s.now()
	key := s.key(a)

	old := s.given.Get(key)
	if old != nil && old.signing == signing && !now.Before(old.from) && now.Before(old.from.Add(assertionReuse)) {
		return old.text, nil
	}

	generation := s.given.Generation(key)
	text, err := signing.Sign(s.claims(a, now))
	if err != nil {
		return "", fmt.Errorf("sign assertion: %w", err)
	}
	s.given.Renew(key, &given{text, signing, now}, generation)

	return text, nil
}

// key returns what an assertion is kept under. Every text has its length before it, so that no two contents have the
// same key. The proof is part of it: after a step-up, an older assertion would deny what the user has shown.
func (s *Assertions) key(a Asserted) secret.Hash {
	b := make([]byte, 0, 512)
	for _, list := range [][]string{
		{s.issuer, a.Audience, a.Method, a.Path, string(a.Caller.Kind), a.Caller.Name, a.Name, a.Email, a.ACR},
		a.Caller.Groups,
		a.Caller.Scopes,
		a.Caller.Actors,
		a.AMR,
	} {
		b = binary.AppendUvarint(b, uint64(len(list)))
		for _, text := range list {
			b = append(binary.AppendUvarint(b, uint64(len(text))), text...)
		}
	}

	return sha256.Sum256(binary.AppendVarint(b, unixOrZero(a.AuthTime)))
}

// claims returns the claims as JSON.
func (s *Assertions) claims(a Asserted, now time.Time) []byte {
	issued := now.Unix()
	b, err := json.Marshal(struct {
		Issuer   string     `json:"iss"`
		Audience string     `json:"aud"`
		Issued   int64      `json:"iat"`
		Expires  int64      `json:"exp"`
		Request  string     `json:"req"`
		Subject  string     `json:"sub,omitempty"`
		Kind     jeton.Kind `json:"kind,omitempty"`
		Groups   []string   `json:"groups,omitempty"`
		Scope    string     `json:"scope,omitempty"`
		Name     string     `json:"name,omitempty"`
		Email    string     `json:"email,omitempty"`
		AMR      []string   `json:"amr,omitempty"`
		ACR      string     `json:"acr,omitempty"`
		AuthTime int64      `json:"auth_time,omitempty"`

		Act *jeton.Actor `json:"act,omitempty"`
	}{
		Issuer:   s.issuer,
		Audience: a.Audience,
		Issued:   issued,
		Expires:  issued + int64(assertionLifetime/time.Second),
		Request:  requestHash(a.Method, a.Path),
		Subject:  a.Caller.Name,
		Kind:     a.Caller.Kind,
		Groups:   a.Caller.Groups,
		Scope:    strings.Join(a.Caller.Scopes, " "),
		Name:     a.Name,
		Email:    a.Email,
		AMR:      a.AMR,
		ACR:      a.ACR,
		AuthTime: unixOrZero(a.AuthTime),

		Act: jeton.NewActor(a.Caller.Actors),
	})
	if err != nil {
		return []byte("{}") // texts and numbers always encode
	}

	return b
}

// unixOrZero returns a time in seconds since 1970, or 0 for the zero time.
func unixOrZero(at time.Time) int64 {
	if at.IsZero() {
		return 0
	}
	return at.Unix()
}

// requestHash returns the hash of a method and a path, as the claim req has it. A method has no space (RFC 9110,
// section 9.1), so no two requests have the same text.
func requestHash(method, path string) string {
	sum := sha256.Sum256([]byte(method + " " + path))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

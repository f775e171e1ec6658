package gateway

import (
	"time"

	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/secret"
)

// pendingLifetime is how long a sign-in may take, from the page that needs it to the return.
const pendingLifetime = 10 * time.Minute

// pending is a sign-in that has begun. It travels with the browser as the parameter state, sealed, so that the
// server stores nothing for a stranger.
type pending struct {
	Path     string    `json:"path"`     // where the browser goes in the end
	Verifier string    `json:"verifier"` // code_verifier (RFC 7636, section 4.1)
	Browser  []byte    `json:"browser"`  // SHA-256 of the cookie of the browser that began
	Round    int       `json:"round"`    // how many sign-ins have come back without success
	Expires  time.Time `json:"expires"`

	Require policy.Require `json:"require,omitzero"` // of the page
}

// again returns the goal of the sign-in that follows one without success.
func (p pending) again() goal { return goal{path: p.Path, rule: p.Require, round: p.Round + 1} }

// newSeal returns the seal of the pending sign-ins of a service: the state of one does not open at another. key has 32
// bytes.
func newSeal(key []byte, service string) (secret.Seal, error) {
	return secret.NewSeal(key, "pending sign-in\x00"+service)
}

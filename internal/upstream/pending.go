package upstream

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"time"

	"github.com/jeton-auth/jeton/internal/secret"
)

// Purpose is what a sign-in at a provider is for.
type Purpose string

// The purposes.
const (
	SignIn  Purpose = "sign-in" // starts a session
	Connect Purpose = "connect" // connects the identity to the user of a session
	Prove   Purpose = "prove"   // proves the user of a session again
)

// Lifetime is how long a sign-in may take at a provider.
const Lifetime = 10 * time.Minute

// Pending is a sign-in that has begun. It travels with the browser as the parameter state, sealed.
type Pending struct {
	Purpose Purpose `json:"purpose"`
	Query   string  `json:"query"`           // of the page where it began, which says where it leads
	Login   int64   `json:"login,omitempty"` // of the session of Connect and Prove
	Fresh   bool    `json:"fresh,omitempty"` // the provider has to prove the user again

	// Authorize sets the rest.
	Verifier string    `json:"verifier"` // code_verifier (RFC 7636, section 4.1)
	Nonce    string    `json:"nonce"`    // OpenID Connect Core 1.0, section 3.1.2.1
	Browser  []byte    `json:"browser"`  // SHA-256 of the cookie of the browser
	Began    time.Time `json:"began"`
}

// begin makes the secrets of a sign-in.
func (p *Pending) begin(browser string, now time.Time) {
	sum := sha256.Sum256([]byte(browser))
	p.Verifier, p.Nonce = secret.Random(), secret.Random()
	p.Browser, p.Began = sum[:], now
}

// ErrPending is a sign-in that this browser has not begun at this provider, or too long ago.
var ErrPending = errors.New("the sign-in did not begin in this browser, or too long ago")

// Open returns the sign-in of a state that a provider gave back, if it began in the browser with this cookie and has
// not expired. It returns ErrPending otherwise.
func (p *Provider) Open(state, browser string) (Pending, error) {
	var in Pending
	if p.seal.Open(state, &in) != nil {
		return Pending{}, ErrPending
	}

	// Another browser's state would sign this one in as its user.
	sum := sha256.Sum256([]byte(browser))
	if browser == "" || subtle.ConstantTimeCompare(sum[:], in.Browser) != 1 {
		return Pending{}, ErrPending
	}
	if p.Now().Sub(in.Began).Abs() >= Lifetime {
		return Pending{}, ErrPending
	}

	return in, nil
}

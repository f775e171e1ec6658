package client

import (
	"errors"

	"github.com/jeton-auth/jeton"
)

// Reason tells the operator, and nobody else, why a key or a client was not good.
type Reason string

// The reasons.
const (
	UnknownClient  Reason = "unknown client"
	Disabled       Reason = "client is disabled"
	UnknownKey     Reason = "the client has no key of this kid"
	KeyRetired     Reason = "key is retired"
	KeyNotYetValid Reason = "key is not valid yet"
	KeyExpired     Reason = "key is no longer valid"
	NoKey          Reason = "the client has no key that is valid now"
)

// refused is jeton.ErrBadCredential with its reason.
type refused struct{ reason Reason }

func (r *refused) Error() string { return jeton.ErrBadCredential.Error() }
func (r *refused) Unwrap() error { return jeton.ErrBadCredential }

func refuse(r Reason) error { return &refused{r} }

// ReasonOf returns the reason that an error of Keys or Check carries, or "". Showing it to a
// caller tells a stranger which clients and keys exist.
func ReasonOf(err error) Reason {
	var r *refused
	if errors.As(err, &r) {
		return r.reason
	}
	return ""
}

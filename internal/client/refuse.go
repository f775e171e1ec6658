package client

import (
	"errors"

	"github.com/jeton-auth/jeton"
)

// Reason is why a client or a key was refused. It is for the audit log, not for the caller.
type Reason string

// The reasons.
const (
	UnknownClient  Reason = "unknown client"
	Disabled       Reason = "client is disabled"
	UnknownKey     Reason = "the client has no key with this kid"
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

// ReasonOf returns the reason of an error of Keys or Check, or "". A caller that sees it
// learns which clients and keys exist.
func ReasonOf(err error) Reason {
	var r *refused
	if errors.As(err, &r) {
		return r.reason
	}
	return ""
}

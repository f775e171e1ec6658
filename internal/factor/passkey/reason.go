package passkey

import (
	"errors"

	"github.com/jeton-auth/jeton"
)

// Reason is why a response is refused. It is for the operator only.
type Reason string

// The reasons.
const (
	TooLong        Reason = "the response is too long"
	Malformed      Reason = "the response is not one of an authenticator"
	WrongType      Reason = "the response is for another ceremony (type)"
	WrongChallenge Reason = "the challenge is not that of the ceremony"
	WrongOrigin    Reason = "the origin is not that of the sign-in page"
	CrossOrigin    Reason = "the ceremony ran in a frame of another site"
	WrongParty     Reason = "the key was asked for another relying party"
	NotPresent     Reason = "the user was not present"
	NotVerified    Reason = "the authenticator did not verify the user"
	WrongBackup    Reason = "the key is backed up and cannot be backed up"
	WrongAlgorithm Reason = "the key is not valid, or its algorithm was not asked for"
	WeakKey        Reason = "the RSA key is shorter than 2048 bits"
	Attested       Reason = "the response has an attestation that was not asked for"
	NoHandle       Reason = "the response has no user handle"
	OtherHandle    Reason = "the user handle is not that of the owner of the key"
	OtherKey       Reason = "the response is of another key"
	ChangedBackup  Reason = "the key was made as one that can be backed up, and says otherwise now, or the reverse"
	WrongSignature Reason = "the signature is wrong"
	Cloned         Reason = "the counter of the key did not grow: it may have been copied"
)

// refused is jeton.ErrBadCredential with its reason.
type refused struct{ reason Reason }

func (r *refused) Error() string { return jeton.ErrBadCredential.Error() }
func (r *refused) Unwrap() error { return jeton.ErrBadCredential }

// Refuse returns jeton.ErrBadCredential with a reason.
func Refuse(reason Reason) error { return &refused{reason} }

// ReasonOf returns why a response was refused, or "".
func ReasonOf(err error) Reason {
	var r *refused
	if errors.As(err, &r) {
		return r.reason
	}

	return ""
}

// rule is something that a response must not violate.
type rule struct {
	violated bool
	reason   Reason
}

// check returns the refusal of the first rule that is violated.
func check(rules []rule) error {
	for _, r := range rules {
		if r.violated {
			return Refuse(r.reason)
		}
	}

	return nil
}

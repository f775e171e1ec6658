package signin

import (
	"errors"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/client"
	"github.com/jeton-auth/jeton/internal/factor/passkey"
	"github.com/jeton-auth/jeton/internal/upstream"
)

// Reason is why a credential was refused. It is for the operator only.
type Reason string

// The reasons for a user's password.
const (
	UnknownUser   Reason = "unknown user"
	WrongPassword Reason = "wrong password"
	Disabled      Reason = "account is disabled"
)

// The reasons for an authorization code.
const (
	CodeUsed      Reason = "the code has been used before; the sessions and tokens of its first use are revoked"
	OtherService  Reason = "the code is for another service"
	OtherRedirect Reason = "the code was sent to another address"
	WrongVerifier Reason = "code_verifier is not that of the code (PKCE)"
	SignInEnded   Reason = "the sign-in session has ended"
)

// The reasons for a sign-in at another provider. Package upstream has those for an answer that is not for the sign-in.
const (
	NotAllowed    Reason = "the configuration of the provider does not allow this user"
	NotConnected  Reason = "the account of the provider is not connected to a user"
	OtherUser     Reason = "the account of the provider is connected to another user, or the session has ended"
	NoNewUser     Reason = "no user can be made: the name or the e-mail address is taken, or not valid"
	ReservedName  Reason = "no user can be made: the configuration names this user; add the user first"
	AlreadyHasOne Reason = "the user or the account of the provider is connected already"
)

// The reasons for a client's credential. Package client has those of its keys.
const (
	UnknownClient       Reason = Reason(client.UnknownClient)
	WrongSecret         Reason = "wrong secret"
	Replayed            Reason = "the assertion has been used before"
	Malformed           Reason = "not a signed JWT"
	WrongType           Reason = "typ is not that of an assertion for this purpose"
	EmbeddedKey         Reason = "the assertion contains or links to a key"
	NoIssuer            Reason = "the assertion has no iss"
	OtherClient         Reason = "client_id and the assertion name different clients"
	WrongAlgorithm      Reason = "the algorithm is not that of the key"
	WrongSignature      Reason = "the signature is wrong"
	NoSubject           Reason = "the assertion has no sub"
	OtherSubject        Reason = "sub is not iss"
	NoAudience          Reason = "the assertion has no aud"
	OtherAudience       Reason = "aud is not exactly our issuer"
	NoExpiry            Reason = "the assertion has no exp"
	AssertionExpired    Reason = "the assertion has expired"
	NoIssueTime         Reason = "the assertion has no iat"
	IssuedInFuture      Reason = "iat is in the future"
	LifetimeTooLong     Reason = "exp is too long after iat"
	NotYetValid         Reason = "the assertion is not valid yet (nbf)"
	NoID                Reason = "the assertion has no jti"
	IDTooLong           Reason = "jti is too long"
	IssuedBeforeRestore Reason = "the assertion is from before the database was restored and may have been used"
)

// The reasons for a token of a workload.
const (
	OtherWorkloadAudience Reason = "aud is not exactly the audience that the issuer has in the configuration"
	OtherAlgorithm        Reason = "the configuration does not allow this algorithm for the issuer"
	UnknownIssuerKey      Reason = "the issuer has no key with this kid"
	NoRule                Reason = "no rule of the issuer is for these claims"
)

// The reasons for a token that a client exchanges for the next service.
const (
	NoExchange           Reason = "no rule of the client is for this service (exchanges)"
	OtherSubjectAudience Reason = "the token is for another service than the rules of the client are (exchanges)"
	NoLogin              Reason = "the owner of the token may not log in at one of the two services"
	LessProved           Reason = "the service requires more of its users than the one that the token is for"
)

// refused is jeton.ErrBadCredential with its reason.
type refused struct{ reason Reason }

func (r *refused) Error() string { return jeton.ErrBadCredential.Error() }
func (r *refused) Unwrap() error { return jeton.ErrBadCredential }

// denied is jeton.ErrForbidden with its reason: the user is proved, and may not sign in.
type denied struct{ reason Reason }

func (d *denied) Error() string { return jeton.ErrForbidden.Error() }
func (d *denied) Unwrap() error { return jeton.ErrForbidden }

// ReasonOf returns why a credential was refused, or "". The reason reveals which names
// exist, so only a teaching service shows it.
func ReasonOf(err error) Reason {
	if err == nil {
		return ""
	}

	var r *refused
	if errors.As(err, &r) {
		return r.reason
	}
	var d *denied
	if errors.As(err, &d) {
		return d.reason
	}

	reason := passkey.ReasonOf(err)
	if reason != "" {
		return Reason(reason)
	}

	described := client.ReasonOf(err)
	if described != "" {
		return Reason(described)
	}

	return Reason(upstream.ReasonOf(err))
}

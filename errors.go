package jeton

import (
	"errors"
	"time"
)

// The outcomes that callers act on. Servers return them (wrapped with what they were doing),
// clients test them with errors.Is. These texts are for logs and the audit log; package
// internal/web gives each its HTTP status and the text that a caller reads. Any other error
// reaches a caller as a bare 500.
var (
	// ErrNoCredential means that the request carries no credential.
	ErrNoCredential = errors.New("no credential")
	// ErrBadCredential means that the credential is not valid: it is unknown, wrong or revoked,
	// or its owner is disabled. The answer does not say which.
	ErrBadCredential = errors.New("credential is not valid")
	// ErrAmbiguous means that a request carries more than one credential. None is picked.
	ErrAmbiguous = errors.New("more than one credential")
	// ErrExpired means that the credential was valid and has expired.
	ErrExpired = errors.New("credential has expired")
	// ErrTooEarly means that the credential is not valid yet. Waiting helps.
	ErrTooEarly = errors.New("credential is not valid yet")
	// ErrSpent means the last use is gone. Waiting does not help; a new login may.
	ErrSpent = errors.New("no uses are left")
	// ErrForbidden means that the caller is known and may not do this.
	ErrForbidden = errors.New("not allowed")
	// ErrScope means that the token is valid and lacks a scope that the route needs.
	ErrScope = errors.New("the scopes of the token are not enough")
	// ErrProof means that the request needs a recent proof of the user: a login not older than
	// 10 minutes, or current_password in the request. A token alone is none.
	ErrProof = errors.New("a recent proof of the user is required")
	// ErrFactor means that the user is not proved by what this needs, such as a second factor (RFC 9470). A password
	// alone is refused so where the user has a second factor: sign in with a browser, or use a token.
	ErrFactor = errors.New("a second factor or a newer proof of the user is required")
	// ErrRelogin means that the service's terms do not permit this subject to log
	// in again now. RetryAfter returns when, unless only an operator can allow it.
	ErrRelogin = errors.New("the terms do not permit another login now")
	// ErrSessionsFull means that the subject holds as many sessions as the terms permit.
	ErrSessionsFull = errors.New("as many sessions as permitted are open")
	// ErrTokensFull means that the user has as many personal tokens, or the owner as many tokens of jobs, as permitted.
	ErrTokensFull = errors.New("as many tokens as permitted exist")
	// ErrTooMany means that attempts come too fast. RetryAfter returns how long to wait.
	ErrTooMany = errors.New("too many attempts")
	// ErrBusy means that a queue of the server is full. Waiting helps.
	ErrBusy = errors.New("busy")
	// ErrUnavailable means that the store did not answer, so the server cannot decide. It ends
	// no session and admits no request.
	ErrUnavailable = errors.New("store is unavailable")
	// ErrNotFound means that there is no such resource, or none that the caller may know of.
	ErrNotFound = errors.New("not found")
	// ErrMethod means that the path exists and does not answer this method.
	ErrMethod = errors.New("method not allowed")
	// ErrConflict means that the resource exists already, or changed meanwhile.
	ErrConflict = errors.New("conflict")
	// ErrChanged means that the resource is no longer in the state that the caller named (If-Match;
	// RFC 9110, section 13.1.1).
	ErrChanged = errors.New("changed meanwhile")
	// ErrDeclared means that the resource is declared in the configuration file and
	// can be changed only there.
	ErrDeclared = errors.New("declared in the configuration file; change it there")
	// ErrInvalid means that the request cannot be understood as it stands.
	ErrInvalid = errors.New("invalid request")
	// ErrTooLarge means that the request, or a part of it, is over its limit.
	ErrTooLarge = errors.New("too large")
	// ErrMisdirected means that no service of this address has the host name of the request
	// (RFC 9110, section 15.5.20).
	ErrMisdirected = errors.New("misdirected request")
	// ErrMediaType means that the body is of a type that this route does not read.
	ErrMediaType = errors.New("unsupported media type")
	// ErrUpstream means that the service behind the gateway did not answer.
	ErrUpstream = errors.New("the service behind the gateway did not answer")
)

// codes gives each outcome its name on the wire: the member "code" of a Problem
// and the header Jeton-Error. Names are never reused for another meaning.
var codes = []struct {
	err  error
	code string
}{
	{ErrNoCredential, "no_credential"},
	{ErrBadCredential, "bad_credential"},
	{ErrAmbiguous, "ambiguous_credential"},
	{ErrExpired, "expired"},
	{ErrTooEarly, "too_early"},
	{ErrSpent, "spent"},
	{ErrForbidden, "forbidden"},
	{ErrScope, "insufficient_scope"},
	{ErrProof, "recent_proof_required"},
	{ErrFactor, "insufficient_user_authentication"},
	{ErrRelogin, "relogin_refused"},
	{ErrSessionsFull, "sessions_full"},
	{ErrTokensFull, "tokens_full"},
	{ErrTooMany, "too_many_attempts"},
	{ErrBusy, "busy"},
	{ErrUnavailable, "unavailable"},
	{ErrNotFound, "not_found"},
	{ErrMethod, "method_not_allowed"},
	{ErrConflict, "conflict"},
	{ErrChanged, "changed"},
	{ErrDeclared, "declared"},
	{ErrInvalid, "invalid_request"},
	{ErrTooLarge, "too_large"},
	{ErrMediaType, "unsupported_media_type"},
	{ErrMisdirected, "misdirected_request"},
	{ErrUpstream, "upstream_failed"},
}

// CodeInternal is the code of every error that is not one of the outcomes above.
const CodeInternal = "internal"

// Codes returns the wire names of all outcomes.
func Codes() []string {
	var list []string
	for _, c := range codes {
		list = append(list, c.code)
	}

	return list
}

// Outcome returns which of the outcomes above err is, or nil when it is none.
func Outcome(err error) error {
	for _, c := range codes {
		if errors.Is(err, c.err) {
			return c.err
		}
	}

	return nil
}

// Code returns the wire name of the outcome that err is, CodeInternal when it is
// none, and "" for nil.
func Code(err error) string {
	if err == nil {
		return ""
	}

	for _, c := range codes {
		if errors.Is(err, c.err) {
			return c.code
		}
	}

	return CodeInternal
}

// FromCode returns the outcome whose wire name is code, or nil. With it a client
// gets back the value that the server returned.
func FromCode(code string) error {
	for _, c := range codes {
		if c.code == code {
			return c.err
		}
	}

	return nil
}

// WithDetail returns an error that is kind and carries a text that is safe to show to
// the caller. It must hold no secret and nothing the caller may not know.
func WithDetail(kind error, text string) error { return &detailed{kind: kind, text: text} }

// Detail returns the text that WithDetail gave err, or "". Of several, it is the outermost.
func Detail(err error) string {
	var d *detailed
	if errors.As(err, &d) {
		return d.text
	}
	return ""
}

// detailed is an outcome with a text for the caller.
type detailed struct {
	kind error
	text string
}

func (d *detailed) Error() string { return d.kind.Error() + ": " + d.text }
func (d *detailed) Unwrap() error { return d.kind }

// WithRetryAfter returns err with the time that the caller should wait before it tries again. It
// becomes the header Retry-After, in seconds, rounded up (RFC 9110, section 10.2.3).
func WithRetryAfter(err error, wait time.Duration) error { return &after{err: err, wait: wait} }

// RetryAfter returns how long the caller should wait, and whether err says so.
func RetryAfter(err error) (time.Duration, bool) {
	var a *after
	if errors.As(err, &a) {
		return a.wait, true
	}
	return 0, false
}

// after is an error with a time after which to try again. Its text is that of the error.
type after struct {
	err  error
	wait time.Duration
}

func (a *after) Error() string { return a.err.Error() }
func (a *after) Unwrap() error { return a.err }

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

// The reasons for the document of a client.
const (
	DocumentUnread    Reason = "the document of the client cannot be fetched"
	DocumentNotJSON   Reason = "the document of the client is not valid JSON"
	DocumentOfOther   Reason = "client_id in the document of the client is not its address"
	DocumentSecret    Reason = "the document of the client has a secret, which anyone can read"
	DocumentMethod    Reason = "the document of the client has a token_endpoint_auth_method other than none"
	DocumentGrant     Reason = "the document of the client is not for the authorization code grant"
	DocumentAddresses Reason = "the document of the client has no redirect_uris of its own host or the user's machine"
	TooManyDocuments  Reason = "there are 1000 clients with documents; remove some"
)

// refused is an outcome with its reason.
type refused struct {
	outcome error
	reason  Reason
	value   string // what was looked at, for operators
}

func (r *refused) Error() string { return r.outcome.Error() }
func (r *refused) Unwrap() error { return r.outcome }

func refuse(r Reason) error { return &refused{outcome: jeton.ErrBadCredential, reason: r} }

var (
	errUnread = jeton.WithDetail(
		jeton.ErrUnavailable, "the address that is client_id does not answer with the document of the client",
	)
	errDocument = jeton.WithDetail(
		jeton.ErrInvalid, "the document of the client, at the address that is client_id, is not accepted here",
	)
)

// refuseDocument returns the refusal of a document. The value is for operators: a caller must learn no more of the
// network.
func refuseDocument(r Reason, value string) error {
	if r == DocumentUnread {
		return &refused{errUnread, r, value}
	}
	return &refused{errDocument, r, value}
}

// ReasonOf returns the reason of an error of Keys, Check or ReadDocument, or "". A caller that sees it learns which
// clients and keys exist.
func ReasonOf(err error) Reason {
	var r *refused
	if errors.As(err, &r) {
		return r.reason
	}
	return ""
}

// ValueOf returns what was looked at when a document was refused, or "".
func ValueOf(err error) string {
	var r *refused
	if errors.As(err, &r) {
		return r.value
	}
	return ""
}

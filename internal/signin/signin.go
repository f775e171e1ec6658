// Package signin proves a user or a client, and starts a session or issues a token.
//
// A user's password is throttled, checked with the same work for unknown names, and
// then judged by the terms of the service. A client is proved by a secret or a signed
// assertion, and gets at most what it was registered for.
//
// The last step is atomic: it stores the session or token with its audit event, and
// uses the assertion up. Each failure becomes an audit event with every check; the
// caller learns only that it failed.
//
// Limits on guessing are in package limit, sessions in package session, tokens in
// package token. The package never sees an HTTP request.
//
// # Files
//
//	password.go        a login with a password
//	code.go            a sign-in at the issuer that continues at a service
//	link.go            a sign-in with a one-time link
//	recover.go         a link that sets a password
//	address.go         a link that confirms a new e-mail address
//	letter.go          what a mail says, and to whom
//	notme.go           the link of a notice, which ends everything of its user
//	upstream.go        a sign-in at another provider
//	connect.go         the account of a user at another provider
//	device.go          a sign-in at a device without a browser (RFC 8628)
//	device_answer.go   the answer of its user
//	preview.go         what a relying party would learn of a user
//	consent.go         what a user allows a relying party
//	relying.go         a relying party's request for tokens
//	redeem.go          an authorization code, for tokens
//	exchange.go        a token, for one of the next service (RFC 8693)
//	uses.go            how often a sign-in session may be used at a relying party
//	passkey.go         a passkey, alone or as a new proof
//	passkey_own.go     the passkeys of a user
//	document.go        a client that a document describes
//	push.go            a pushed authorization request (RFC 9126)
//	factor.go          a sign-in that awaits its second factor
//	passkey_factor.go  a passkey as the second factor
//	prove.go           a new proof of the user of a session
//	verify.go          a password, within the limits on guessing
//	open.go            the last step of each: the session
//	require.go         how a user has to be proved
//	managers.go        the same of users who manage others
//	basic.go           a password in every request (RFC 7617)
//	passwordcache.go   passwords that were right a moment ago, by HMAC
//	client.go          a client, by its secret or its assertion
//	assertion.go       the rules for assertions (RFC 7523, RFC 10070)
//	workload.go        a token of another issuer, in place of an assertion
//	issue.go           a token for a client that has proved itself
//	audittrail.go      the checks of one attempt, as an audit event; a success gets it before the last step
//	reasons.go         why a credential was refused, for operators only
package signin

import (
	"log/slog"
	"time"

	"github.com/jeton-auth/jeton/internal/account"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/client"
	"github.com/jeton-auth/jeton/internal/count"
	"github.com/jeton-auth/jeton/internal/factor"
	"github.com/jeton-auth/jeton/internal/limit"
	"github.com/jeton-auth/jeton/internal/openid"
	"github.com/jeton-auth/jeton/internal/session"
	"github.com/jeton-auth/jeton/internal/store/change"
	"github.com/jeton-auth/jeton/internal/ticket"
	"github.com/jeton-auth/jeton/internal/token"
)

// Logins proves users and clients.
type Logins struct {
	accounts  *account.Accounts
	sessions  *session.Sessions
	clients   *client.Clients
	tokens    *token.Tokens
	tickets   *ticket.Tickets
	factors   *factor.Factors
	mails     Mails
	limiter   *limit.Limiter
	failures  *limit.Failures
	counts    *count.Counts
	subjects  *openid.Subjects
	requests  RequestLimits
	passwords *passwordCache
	feed      change.Feed
	audit     *audit.Log
	log       *slog.Logger
	now       func() time.Time
	restored  time.Time
}

// Config is what New needs.
type Config struct {
	Accounts *account.Accounts
	Sessions *session.Sessions
	Clients  *client.Clients
	Tokens   *token.Tokens
	Tickets  *ticket.Tickets
	Factors  *factor.Factors
	Mails    Mails
	Limiter  *limit.Limiter
	Failures *limit.Failures  // of accounts, on all nodes
	Counts   *count.Counts    // of sign-ins at relying parties
	Subjects *openid.Subjects // of users there
	Requests RequestLimits
	Feed     change.Feed // of the store behind Accounts
	Audit    *audit.Log
	Log      *slog.Logger
	Now      func() time.Time
	// Restored is when the store was last restored from a backup, or zero. The store does not
	// know of assertions that were used shortly before.
	Restored time.Time
}

// New returns the logins of a server.
func New(c Config) *Logins {
	l := &Logins{
		accounts:  c.Accounts,
		sessions:  c.Sessions,
		clients:   c.Clients,
		tokens:    c.Tokens,
		tickets:   c.Tickets,
		factors:   c.Factors,
		mails:     c.Mails,
		limiter:   c.Limiter,
		failures:  c.Failures,
		counts:    c.Counts,
		subjects:  c.Subjects,
		requests:  c.Requests,
		passwords: newPasswordCache(),
		feed:      c.Feed,
		audit:     c.Audit,
		log:       c.Log,
		now:       c.Now,
		restored:  c.Restored,
	}

	c.Feed.Subscribe(l.invalidate)

	return l
}

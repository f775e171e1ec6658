// Package ticket issues and takes one-time secrets.
//
// A ticket is for one purpose and a short time: an authorization code, a sign-in link, the setup of
// the first administrator. Of any number of concurrent callers on all nodes, exactly one takes it,
// durably before the call returns. Only the SHA-256 of its secret is stored. A ticket for a user
// ends with a change of the user's credential, except NotMe, and one that is bound to a session with the session.
// A backup and a copy of a database have no tickets: no restore makes a used one valid again.
//
// What a ticket permits is for its callers, in packages oauth, gateway, pages and api, which also
// write the audit events. The package never sees an HTTP request.
//
// # Example
//
//	text, err := tickets.Issue(ctx, ticket.Ticket{
//		Purpose: ticket.Code,
//		Subject: user,
//		Login:   signIn.Login,
//		Service: "shop",
//		Data:    data,
//		Expires: now.Add(time.Minute),
//	})
//
//	// Later, perhaps on another node.
//	t, err := tickets.Take(ctx, ticket.Code, text.Reveal())
package ticket

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/secret"
	"github.com/jeton-auth/jeton/internal/sweep"
)

// Purpose is what a ticket is for. A ticket of one purpose is unknown for every other.
type Purpose string

// The purposes.
const (
	Code   Purpose = "code"    // authorization code (RFC 6749, section 4.1)
	Setup  Purpose = "setup"   // to add the first administrator
	SignIn Purpose = "sign-in" // link that signs a user in
	Device Purpose = "device"  // device code that no user has answered (RFC 8628)
	User   Purpose = "user"    // user code of a device
	Push   Purpose = "push"    // authorization request that waits for its browser (RFC 9126)
	Factor Purpose = "factor"  // sign-in that awaits the second factor; it opens nothing else
	Form   Purpose = "form"    // what was typed into a form that waits for a proof of the user

	Passkey       Purpose = "passkey"        // challenge of a sign-in with a passkey alone
	PasskeyFactor Purpose = "passkey-factor" // challenge for a passkey after the password
	PasskeyProof  Purpose = "passkey-proof"  // challenge for a new proof of the user of a session
	PasskeyAdd    Purpose = "passkey-add"    // challenge for a new passkey
	Recover       Purpose = "recover"        // link that sets a password, passed on by an administrator
	RecoverMail   Purpose = "recover-mail"   // the same by mail, which strangers can have sent
	Verify        Purpose = "verify"         // link that makes an e-mail address that of the user
	NotMe         Purpose = "not-me"         // link of a notice, which ends all sessions and tokens of the user

	Request  Purpose = "request"  // request for a token that its user has not answered
	Answered Purpose = "answered" // the answer, for the one that asked
)

// Replaceable reports whether a browser that waits gets a new ticket by itself, or by the same click, when one is lost.
func (p Purpose) Replaceable() bool {
	switch p {
	case Code, Passkey, PasskeyFactor, PasskeyProof, PasskeyAdd:
		return true
	}

	return false
}

const (
	// MaxData limits the data of a ticket, in bytes.
	MaxData = 4 << 10
	// MaxLifetime limits how long a ticket is valid.
	MaxLifetime = 30 * 24 * time.Hour

	// MaxPerUser limits the tickets of one purpose for one user. A new one ends the oldest; one of NotMe is refused.
	MaxPerUser = 100

	// sweepGrace is how long an expired ticket is kept, for nodes whose clocks differ.
	sweepGrace = time.Hour
)

// Ticket is a ticket as stored, without its secret.
type Ticket struct {
	Purpose Purpose
	Subject int64  // number of the user that it is for; 0: none
	Login   int64  // number of the login of the session that it is bound to; 0: none
	Service string // that it is for; "": none
	Data    []byte // of the caller, at most MaxData bytes
	Expires time.Time
}

// Store keeps tickets. Methods are safe for concurrent use, on many nodes.
type Store interface {
	// AddTicket stores a ticket under the hash of its secret. Of the tickets of one purpose for a user
	// it keeps the MaxPerUser that expire last, taken or not. A power failure may lose a ticket whose purpose
	// is Replaceable, until it is taken.
	AddTicket(ctx context.Context, h secret.Hash, t Ticket) error
	// FindTicket returns a ticket that is valid at a time. It returns jeton.ErrSpent with the
	// ticket if it was taken, and jeton.ErrNotFound if it is unknown, has another purpose, has
	// expired, or if its user or session no longer exists or is disabled.
	FindTicket(ctx context.Context, p Purpose, h secret.Hash, now time.Time) (Ticket, error)
	// TakeTicket is FindTicket, and marks the ticket as taken: of concurrent callers, one
	// succeeds.
	TakeTicket(ctx context.Context, p Purpose, h secret.Hash, now time.Time) (Ticket, error)
	// SwapTicket is TakeTicket and AddTicket in one step: with an error, neither has happened.
	SwapTicket(ctx context.Context, p Purpose, h secret.Hash, now time.Time, next secret.Hash, t Ticket) error
	// ListTickets returns the tickets of a purpose for a user that are valid at a time and were not taken, the one that
	// expires last first.
	ListTickets(ctx context.Context, p Purpose, subject int64, now time.Time) ([]Ticket, error)
	// EndTickets deletes the tickets of a purpose for a user that were not taken, with 0 those
	// for no user.
	EndTickets(ctx context.Context, p Purpose, subject int64) error
	// RevokeTicket deletes a ticket, taken or not. It waits for a step that starts a session for it.
	RevokeTicket(ctx context.Context, p Purpose, h secret.Hash) error
	// SweepTickets deletes at most limit tickets that expired before the given time, and returns
	// how many it deleted.
	SweepTickets(ctx context.Context, before time.Time, limit int) (int, error)
}

// Tickets issues and takes the tickets of a server. It is safe for concurrent use.
type Tickets struct {
	store Store
	now   func() time.Time
	rand  io.Reader
	log   *slog.Logger
	clock *sweep.Clock
}

// Config is what New needs.
type Config struct {
	Store Store
	Now   func() time.Time
	Log   *slog.Logger
	Rand  io.Reader    // nil: crypto/rand
	Clock *sweep.Clock // that expired tickets are deleted by; nil: Now
}

// New returns the tickets of a server. Run deletes expired ones.
func New(c Config) *Tickets {
	if c.Rand == nil {
		c.Rand = rand.Reader
	}

	return &Tickets{
		store: c.Store,
		now:   c.Now,
		rand:  c.Rand,
		log:   c.Log,
		clock: c.Clock,
	}
}

// Issue stores a new ticket and returns its secret, which only the caller has. It returns
// jeton.ErrTooLarge for more than MaxData bytes of data.
func (t *Tickets) Issue(ctx context.Context, in Ticket) (jeton.Secret, error) {
	text, err := secret.New(secret.Ticket, t.rand)
	if err != nil {
		return jeton.Secret{}, err
	}
	if err := t.Add(ctx, secret.HashOf(text.Reveal()), in); err != nil {
		return jeton.Secret{}, err
	}

	return text, nil
}

// Add is Issue for a secret that the caller knows or has derived, by its hash. There must be no ticket of that hash.
func (t *Tickets) Add(ctx context.Context, h secret.Hash, in Ticket) error {
	if err := t.check(in); err != nil {
		return err
	}
	if err := t.store.AddTicket(ctx, h, in); err != nil {
		return fmt.Errorf("issue ticket: %w", err)
	}

	return nil
}

// check returns why a ticket cannot be issued.
func (t *Tickets) check(in Ticket) error {
	if len(in.Data) > MaxData {
		return jeton.WithDetail(
			jeton.ErrTooLarge,
			fmt.Sprintf("data of a ticket has %d bytes, want at most %d", len(in.Data), MaxData),
		)
	}

	valid := in.Expires.Sub(t.now())
	if in.Purpose == "" || valid <= 0 || valid > MaxLifetime {
		return fmt.Errorf(
			"invalid ticket: purpose %q for %v, want a purpose and at most %v", in.Purpose, valid, MaxLifetime,
		)
	}

	return nil
}

// Derive returns the secret of a ticket that follows from a text: from another secret, or from a handle where the
// caller checks who may use it. Different kinds of the same text have nothing in common.
func Derive(kind, text string) string {
	sum := sha256.Sum256([]byte("jeton " + kind + " " + text))
	out, err := secret.New(secret.Ticket, bytes.NewReader(sum[:]))
	if err != nil {
		panic(err) // 32 bytes are enough
	}

	return out.Reveal()
}

// Look returns the ticket of a secret and does not use it up: for a page that asks before it acts.
// The errors are those of Take.
func (t *Tickets) Look(ctx context.Context, p Purpose, text string) (Ticket, error) {
	return t.find(ctx, p, text, t.store.FindTicket)
}

// Take uses a ticket up and returns it. A second call returns jeton.ErrSpent with the ticket, so
// that the caller can end what came of the first. An unknown or expired ticket, one of another
// purpose, and one whose user or session has ended is jeton.ErrBadCredential, also if it was taken.
func (t *Tickets) Take(ctx context.Context, p Purpose, text string) (Ticket, error) {
	return t.find(ctx, p, text, t.store.TakeTicket)
}

// Taken reports whether the ticket of the hash of a secret was taken and has not expired.
func (t *Tickets) Taken(ctx context.Context, p Purpose, h secret.Hash) (bool, error) {
	_, err := t.store.FindTicket(ctx, p, h, t.now())
	switch {
	case errors.Is(err, jeton.ErrSpent):
		return true, nil
	case errors.Is(err, jeton.ErrNotFound):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("%s ticket: %w", p, err)
	}

	return false, nil
}

// List returns the tickets of a purpose for a user that are valid and were not taken, the one that expires last first.
func (t *Tickets) List(ctx context.Context, p Purpose, subject int64) ([]Ticket, error) {
	list, err := t.store.ListTickets(ctx, p, subject, t.now())
	if err != nil {
		return nil, fmt.Errorf("list tickets: %w", err)
	}
	return list, nil
}

// Swap uses a ticket up and stores another one by the hash of its secret, in one step: no crash leaves one without the
// other. The errors are those of Take and Add.
func (t *Tickets) Swap(ctx context.Context, p Purpose, text string, next secret.Hash, in Ticket) error {
	if err := t.check(in); err != nil {
		return err
	}

	_, err := t.find(ctx, p, text, func(
		ctx context.Context,
		p Purpose,
		h secret.Hash,
		now time.Time,
	) (Ticket, error) {
		return Ticket{}, t.store.SwapTicket(ctx, p, h, now, next, in)
	})

	return err
}

// find calls a method of the store with the hash of a secret.
func (t *Tickets) find(
	ctx context.Context,
	p Purpose,
	text string,
	method func(context.Context, Purpose, secret.Hash, time.Time) (Ticket, error),
) (Ticket, error) {
	// What cannot be a secret of a ticket costs no query.
	if !secret.Is(secret.Ticket, text) {
		return Ticket{}, jeton.ErrBadCredential
	}

	found, err := method(ctx, p, secret.HashOf(text), t.now())
	switch {
	case errors.Is(err, jeton.ErrNotFound):
		return Ticket{}, jeton.ErrBadCredential
	case err != nil:
		return found, fmt.Errorf("%s ticket: %w", p, err)
	}

	return found, nil
}

// End deletes the tickets of a purpose for a user that were not taken, such as before a new one is
// issued. With subject 0 it deletes those for no user. Deleting none is not an error.
func (t *Tickets) End(ctx context.Context, p Purpose, subject int64) error {
	if err := t.store.EndTickets(ctx, p, subject); err != nil {
		return fmt.Errorf("end tickets: %w", err)
	}
	return nil
}

// Revoke deletes a ticket, taken or not. A session that is about to start for it (session.Owner.Ticket) has either
// started when Revoke returns, or does not start.
func (t *Tickets) Revoke(ctx context.Context, p Purpose, text string) error {
	if err := t.store.RevokeTicket(ctx, p, secret.HashOf(text)); err != nil {
		return fmt.Errorf("revoke ticket: %w", err)
	}
	return nil
}

// Run deletes expired tickets until ctx ends.
func (t *Tickets) Run(ctx context.Context) error {
	sweep.Loop(ctx, sweep.Interval, t.sweep)
	return nil
}

// sweep deletes tickets that expired more than sweepGrace ago. A deleted ticket is unknown, so a
// sweep makes none valid.
func (t *Tickets) sweep(ctx context.Context) {
	err := sweep.Run(ctx, func(ctx context.Context, limit int) (int, error) {
		before, err := t.clock.Before(ctx, t.now(), sweepGrace)
		if err != nil {
			return 0, err
		}

		return t.store.SweepTickets(ctx, before, limit)
	})
	if err != nil {
		t.log.Warn("delete expired tickets", "error", err)
	}
}

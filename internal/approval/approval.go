// Package approval gives software a token of a user who approves it.
//
// A program asks with a credential of its own, and gets a secret that it polls with. The user sees which program asks
// for what, and approves it, perhaps narrower, or refuses. Of any number of concurrent approvals on all nodes one
// counts, and of any number of concurrent polls one gets the token, which exists only from then on. A request that is
// not answered ends after Lifetime. A change of the user's credential ends all requests of the user. The end of the
// session that approved ends only what was approved and not yet collected.
//
// Package gateway proves the program, api proves who approves and that the user has the scopes, token makes the token.
// The package never sees an HTTP request.
package approval

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/account"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/limit"
	"github.com/jeton-auth/jeton/internal/naming"
	"github.com/jeton-auth/jeton/internal/secret"
	"github.com/jeton-auth/jeton/internal/ticket"
	"github.com/jeton-auth/jeton/internal/token"
)

const (
	// Lifetime is how long a request waits for the user.
	Lifetime = 10 * time.Minute
	// Interval is how often a program asks whether the user has approved.
	Interval = 5 * time.Second
	// MaxWaiting bounds the requests that wait for one user.
	MaxWaiting = 20
	// maxOfOne bounds those among them that one program has made, on all nodes.
	maxOfOne = 5

	// MinToken is the shortest lifetime of a token. The longest is token.MaxPersonal.
	MinToken = time.Minute

	// maxReason bounds the reason, in bytes.
	maxReason = 300
	// maxScopes and maxRules bound what a user has to read before it answers.
	maxScopes = 50
	maxRules  = 20
	// collect is how long an approved request keeps for the program at least, which asks every few seconds.
	collect = time.Minute
	// pollEvery is the shortest time between two questions: networks delay some and not others.
	pollEvery = Interval - time.Second
	// maxKeys bounds the budgets in memory.
	maxKeys = 10_000

	idPrefix = "r_"

	// What the secrets of the two tickets derive from: the public id, and the secret of the program.
	requestOf = "token request"
	answerOf  = "token answer"
)

// The answers to a program that gets no token.
var (
	// ErrWaiting means that the user has not answered yet.
	ErrWaiting = jeton.WithDetail(jeton.ErrTooEarly, "the user has not answered yet")

	errDenied  = jeton.WithDetail(jeton.ErrForbidden, "the user has refused")
	errTaken   = jeton.WithDetail(jeton.ErrConflict, "the token of this request was handed out before")
	errEnded   = jeton.WithDetail(jeton.ErrNotFound, "the request has ended, or there is none; ask again")
	errUnknown = jeton.WithDetail(jeton.ErrNotFound, "no such request waits; it may be answered, or have expired")
)

// Config is what New needs.
type Config struct {
	Tickets  *ticket.Tickets
	Accounts *account.Accounts
	Tokens   *token.Tokens
	Audit    *audit.Log
	Now      func() time.Time
	Rand     io.Reader
}

// Approvals is the requests for tokens of a server. It is safe for concurrent use.
type Approvals struct {
	conf Config
	asks *limit.Limiter // of one program to one user
	all  *limit.Limiter // of one program
	poll *limit.Limiter // of one request
}

// New returns the requests of a server.
func New(c Config) (*Approvals, error) {
	asks, err1 := budget(maxOfOne, 2*time.Minute)
	all, err2 := budget(20, 10*time.Second)
	poll, err3 := budget(1, pollEvery)

	return &Approvals{c, asks, all, poll}, errors.Join(err1, err2, err3)
}

// budget returns a limiter by the name of an account alone.
func budget(burst int, every time.Duration) (*limit.Limiter, error) {
	none := limit.Rate{Burst: 1 << 20, Every: time.Microsecond}

	return limit.New(limit.Config{
		Pair:    limit.Rate{Burst: burst, Every: every},
		Account: none,
		Source:  none,
		MaxKeys: maxKeys,
	})
}

// Caller is the program that asks, as the gate has proved it.
type Caller struct {
	jeton.Principal
	Service  string      // at which it asks
	Audience string      // of tokens for that
	Shown    *token.Live // token that it shows; nil: a session
}

// actor returns the caller as in the audit log.
func (c Caller) actor() string { return string(c.Kind) + ":" + c.Name }

// waiting is what the ticket of a request holds.
type waiting struct {
	jeton.WaitingRequest
	Audience string      `json:"audience"`
	Answer   secret.Hash `json:"answer"` // of the ticket that the answer becomes
}

// Ask makes a request that waits for a user. For a name that no user has it does the same, so that a client does not
// learn which there are, and for a user of whom too many wait already. It returns jeton.ErrInvalid, jeton.ErrForbidden
// for a user that asks another one, jeton.ErrTooMany, for a user itself also if too many wait, and the errors of
// token.CheckAsker. ev is the event without actor and target.
func (a *Approvals) Ask(
	ctx context.Context,
	by Caller,
	in jeton.TokenRequest,
	ev jeton.Event,
) (jeton.TokenRequested, error) {
	if by.Kind == jeton.KindUser && in.User == "" {
		in.User = by.Name
	}

	now := a.conf.Now()
	if err := a.mayAsk(ctx, now, by, in); err != nil {
		return jeton.TokenRequested{}, err
	}

	text, err := secret.New(secret.Ticket, a.conf.Rand)
	if err != nil {
		return jeton.TokenRequested{}, err
	}
	id, err := secret.ID(idPrefix, now, a.conf.Rand)
	if err != nil {
		return jeton.TokenRequested{}, err
	}

	err = a.add(ctx, waiting{
		WaitingRequest: jeton.WaitingRequest{
			ID:           id,
			Service:      by.Service,
			By:           by.actor(),
			Token:        by.Token,
			Source:       ev.Source,
			TokenRequest: in,
			Created:      now,
			Expires:      now.Add(Lifetime),
		},
		Audience: by.Audience,
		Answer:   secret.HashOf(ticket.Derive(answerOf, text.Reveal())),
	})
	if err != nil {
		return jeton.TokenRequested{}, fmt.Errorf("request token: %w", err)
	}

	ev.Actor = by.actor()
	ev.Target = "user:" + in.User
	ev.Reason = describe(id, in)
	a.conf.Audit.Record(ev)

	return jeton.TokenRequested{
		ID:       id,
		Secret:   text.Reveal(),
		Seconds:  int64(Lifetime / time.Second),
		Interval: int64(Interval / time.Second),
	}, nil
}

// mayAsk checks a request and its caller.
func (a *Approvals) mayAsk(ctx context.Context, now time.Time, by Caller, in jeton.TokenRequest) error {
	if err := check(in); err != nil {
		return err
	}
	if by.Kind == jeton.KindUser && in.User != by.Name {
		return jeton.WithDetail(jeton.ErrForbidden, "a user asks for tokens of its own only")
	}
	if by.Shown != nil {
		if err := a.conf.Tokens.CheckAsker(ctx, by.Shown); err != nil {
			return err
		}
	}

	// They are not given back: each request costs a row, and the attention of a user.
	if _, err := a.all.Begin(now, by.actor(), netip.Addr{}, false); err != nil {
		return err
	}

	// A name has one budget, however it is spelled.
	name, _, err := naming.User(in.User)
	if err != nil {
		return err
	}
	_, err = a.asks.Begin(now, by.actor()+" asks "+name, netip.Addr{}, false)

	return err
}

// subject returns the number of a user who can be asked, or 0, whose requests no page shows.
func (a *Approvals) subject(ctx context.Context, name, service string) (int64, error) {
	acct, err := a.conf.Accounts.Find(ctx, name)
	if errors.Is(err, jeton.ErrNotFound) || err == nil && (acct.Disabled || !acct.ValidAt(service)) {
		return 0, nil
	}

	return acct.ID, err
}

// full reports whether too many requests wait for a user, or too many of one that asks.
func (a *Approvals) full(ctx context.Context, subject int64, by string) (bool, error) {
	list, err := a.List(ctx, subject)
	mine := 0
	for _, w := range list {
		if w.By == by {
			mine++
		}
	}

	return len(list) >= MaxWaiting || mine >= maxOfOne, err
}

// add stores a request for a user.
func (a *Approvals) add(ctx context.Context, w waiting) error {
	subject, err := a.subject(ctx, w.User, w.Service)
	if err != nil {
		return err
	}

	if subject != 0 {
		full, err := a.full(ctx, subject, w.By)
		switch {
		case err != nil:
			return err
		case full && w.By == string(jeton.KindUser)+":"+w.User:
			return jeton.WithDetail(jeton.ErrTooMany, "many requests wait for you; ask again when some are answered")
		case full:
			// As for a name that no user has: a refusal would show that there is this user.
			subject = 0
		}
	}

	data, err := json.Marshal(w)
	if err != nil {
		return err
	}

	return a.conf.Tickets.Add(ctx, secret.HashOf(ticket.Derive(requestOf, w.ID)), ticket.Ticket{
		Purpose: ticket.Request,
		Subject: subject,
		Service: w.Service,
		Data:    data,
		Expires: w.Expires,
	})
}

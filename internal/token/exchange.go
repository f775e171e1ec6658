package token

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/client"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/secret"
)

// ExchangeRequest is a request of a client to act for the owner of a token at another service (RFC 8693). The client
// has been proved, a rule allows the exchange, and the scopes are granted.
type ExchangeRequest struct {
	Subject *Live // the token that is exchanged
	By      client.Client
	Key     string // thumbprint of the registered key that proved the client; "": none did
	Rule    policy.ExchangeRule
	Wish    policy.ExchangeWish
	Terms   policy.TokenTerms // of the service that the new token is for
	Scopes  []string          // sorted
	Once    Once              // the assertion that proved the client, if one did
	Source  string            // address that requests it
}

// Errors of a token that may not be exchanged. Each is jeton.ErrForbidden.
var (
	errLoop  = fmt.Errorf("%w: a loop: the client or the service is in the chain already", jeton.ErrForbidden)
	errDepth = fmt.Errorf("%w: %d clients act for the owner already", jeton.ErrForbidden, policy.MaxActors)
)

// UsesLeft returns how many uses a token has, policy.Unlimited if it is not counted, or jeton.ErrSpent. It takes none.
func (t *Tokens) UsesLeft(ctx context.Context, l *Live) (int64, error) {
	if len(l.own) == 0 {
		return policy.Unlimited, nil
	}
	return t.counts.Left(ctx, &l.Key, l.own)
}

// CheckActors returns jeton.ErrForbidden if a client may not act for the owner of a token at a service: too many others
// do already, or it would be a loop.
func (l *Live) CheckActors(by client.Client, to string) error {
	if len(l.Actors) >= policy.MaxActors {
		return errDepth
	}

	again := func(a Actor) bool { return a.ID == by.ID || a.Client == by.Name || a.From == to }
	if l.Owner.Kind == jeton.KindClient && l.Owner.ID == by.ID || slices.ContainsFunc(l.Actors, again) {
		return errLoop
	}

	return nil
}

// Exchange makes the token. It ends with the exchanged one, is revoked with it, and has no more rights. It has no more
// uses than that has left; with shared uses, each is one of both. Exchange returns jeton.ErrSpent for a token without
// uses, jeton.ErrForbidden for a chain that is too long or a loop, and jeton.ErrBadCredential if the token or its owner
// has changed meanwhile.
func (t *Tokens) Exchange(ctx context.Context, x ExchangeRequest, ev jeton.Event) (Minted, error) {
	left, err := t.UsesLeft(ctx, x.Subject)
	if err != nil {
		return Minted{}, err
	}

	now := t.now()
	r, err := x.record(now, left)
	if err != nil {
		return Minted{}, err
	}
	if r.Accessor, err = secret.ID("t_", now, t.rand); err != nil {
		return Minted{}, err
	}

	text, err := secret.New(secret.Access, t.rand)
	if err != nil {
		return Minted{}, err
	}
	r.Hash = secret.HashOf(text.Reveal())

	ev.Checks = append(slices.Clone(ev.Checks), jeton.Check{Name: "token", Value: r.Accessor, Result: "pass"})
	m := Mint{
		Record: r,
		Keep:   true,
		Shown:  x.Subject.Hash,
		Once:   x.Once,
		Event:  ev,
	}
	if r.Parent == 0 {
		m.Subject = &x.Subject.Record
	}
	if err := t.store.MintToken(ctx, m); err != nil {
		return Minted{}, fmt.Errorf("exchange token: %w", err)
	}

	return Minted{
		Text:     text,
		Accessor: r.Accessor,
		Window:   r.Window,
		Created:  now,
		Scopes:   r.Scopes,
		MaxUses:  r.MaxUses,
		Recorded: true,
	}, nil
}

// record returns the token to store, still without accessor and secret. left is how many uses the exchanged token has,
// or policy.Unlimited.
func (x ExchangeRequest) record(now time.Time, left int64) (Record, error) {
	s := x.Subject
	if err := s.Check(now); err != nil {
		return Record{}, err
	}
	if err := s.CheckActors(x.By, x.Rule.To); err != nil {
		return Record{}, err
	}
	if left != policy.Unlimited && left < 1 {
		return Record{}, jeton.ErrSpent
	}
	if err := policy.CheckScopes(x.Rule.Granted(s.Scopes), x.Scopes); err != nil {
		return Record{}, err
	}

	limits, err := s.Limits.Narrowed(x.Rule.Allows)
	if err != nil {
		return Record{}, err
	}

	rule := x.Rule.Narrowed(x.Wish)
	terms := rule.Terms(x.Terms)
	r := Record{
		Format:   policy.Opaque,
		Kind:     Exchanged,
		Name:     x.By.Name,
		Parent:   s.Record.Number,
		Owner:    s.Owner,
		Audience: []string{terms.Audience},
		Scopes:   sorted(x.Scopes),
		Limits:   limits,
		MaxUses:  terms.MaxUses,
		Window:   terms.Window(now),
		Created:  now,
		Source:   x.Source,
		Actors:   append([]Actor{x.actor()}, s.Actors...),
	}
	r.Window.Closes = earlier(r.Window.Closes, s.Window.Closes)
	if r.Window.Opens.Before(s.Window.Opens) {
		r.Window.Opens = s.Window.Opens
	}
	if !r.Window.Opens.Before(r.Window.Closes) {
		return Record{}, jeton.ErrExpired // before the service accepts new tokens (activation_delay)
	}

	if left != policy.Unlimited {
		if r.MaxUses == policy.Unlimited || r.MaxUses > left {
			r.MaxUses = left
		}

		// What the token shares itself is shared further, whatever the rule says.
		r.Shares = s.Shares
		if rule.SharedUses {
			r.Shares = s.shares()
		}
	}

	return r, nil
}

// actor returns the client that acts.
func (x ExchangeRequest) actor() Actor {
	return Actor{
		Client:  x.By.Name,
		ID:      x.By.ID,
		Version: x.By.Version,
		From:    x.Rule.From,
		Rule:    x.Rule.ID(x.By.Name),
		Origin:  x.Subject.rule(),
		Key:     x.Key,
		Signed:  x.Subject.signedBy,
	}
}

// shares returns the counts that a use of a token is taken from, for one that shares them.
func (r *Record) shares() []Share {
	if r.MaxUses == policy.Unlimited {
		return r.Shares
	}
	return append([]Share{{Token: r.Number, Max: r.MaxUses}}, r.Shares...)
}

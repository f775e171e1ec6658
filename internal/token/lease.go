package token

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/secret"
)

// The shortest and the longest lease. A shorter one would end between two renewals on a slow
// network; a longer one would outlive a killed job for long.
const (
	MinLease = 10 * time.Second
	MaxLease = 10 * time.Minute
)

// How much a lease is at most, and how many an owner has: a job that asks in a loop must not fill the database.
const (
	maxLeaseRules = 100
	maxLeases     = 300
)

// Maker is the credential that makes or renews a leased token at a service: a token, or a session there.
type Maker struct {
	Owner   Owner
	Service string // audience of the tokens
	Token   *Live  // nil: a session

	// Of the session: its number and end, and what the service grants the user now.
	Login   int64
	Ends    time.Time
	Scopes  []string
	MaxUses int64 // that a token has at most; policy.Unlimited: it need not be counted
}

// ends returns when the credential ends.
func (m Maker) ends() time.Time {
	if m.Token != nil {
		return m.Token.Window.Closes
	}
	return m.Ends
}

// covers returns jeton.ErrForbidden for a token that exceeds the credential.
func (m Maker) covers(r Record) error {
	if m.Token != nil {
		return within(r, m.Token)
	}

	lacking := policy.Lacking(m.Scopes, r.Scopes)
	if lacking != "" {
		return jeton.WithDetail(
			jeton.ErrForbidden, fmt.Sprintf("%s does not have the scope %.60q here", m.Owner.Name, lacking),
		)
	}

	if m.MaxUses != policy.Unlimited && (r.MaxUses == policy.Unlimited || r.MaxUses > m.MaxUses) {
		return jeton.WithDetail(
			jeton.ErrForbidden,
			fmt.Sprintf("tokens of this service have at most %d uses: max_uses must not be more, or absent", m.MaxUses),
		)
	}

	return nil
}

// LeaseDraft is a token for one job to create.
type LeaseDraft struct {
	Name    string
	Scopes  []string
	Allows  []policy.Rule
	MaxUses int64 // 0: not counted
	Shared  bool  // a use of the token is one of its maker, too, if that is counted
	For     time.Duration
	Source  string // address that creates it
}

// Lease creates a token for one job. It ends after d.For unless RenewLease renews it, with the
// token that made it, or when the owner's credential changes. It never has more rights than its
// maker, nor a later end. Lease returns jeton.ErrInvalid for an invalid draft, jeton.ErrForbidden
// for one that exceeds its maker, and jeton.ErrTokensFull when the owner has 300 that have not ended.
// ev is the event without actor and target.
func (t *Tokens) Lease(ctx context.Context, by Maker, d LeaseDraft, ev jeton.Event) (jeton.Lease, error) {
	now := t.now()
	if err := checkLease(d.For); err != nil {
		return jeton.Lease{}, err
	}
	if len(d.Allows) > maxLeaseRules {
		return jeton.Lease{}, jeton.WithDetail(
			jeton.ErrInvalid, fmt.Sprintf("invalid allows: %d rules, want at most %d", len(d.Allows), maxLeaseRules),
		)
	}

	limits := policy.Limits{Allows: d.Allows}
	if by.Token != nil {
		// A job comes from where its maker may come from, and does what that may do unless it asks for less.
		limits.Networks = by.Token.Limits.Networks
		if len(limits.Allows) == 0 {
			limits.Allows = by.Token.Limits.Allows
		}
	}

	draft := Draft{
		Name:     d.Name,
		Audience: []string{by.Service},
		Scopes:   d.Scopes,
		Limits:   limits,
		MaxUses:  d.MaxUses,
		Expires:  earlier(now.Add(d.For), by.ends()),
		Parent:   by.Token,
		Login:    by.Login,
		Source:   d.Source,
		leased:   true,
	}
	if err := t.share(ctx, by.Token, d, &draft); err != nil {
		return jeton.Lease{}, err
	}

	if err := by.covers(draft.record(by.Owner, now)); err != nil {
		return jeton.Lease{}, err
	}

	ev.Actor = by.Owner.actor()
	tok, text, err := t.Create(ctx, by.Owner, draft, ev)
	if err != nil {
		return jeton.Lease{}, err
	}

	return leased(tok, text.Reveal(), now), nil
}

// share lets a draft take its uses from a counted token: each of them is one of the token, and it has no more than that
// has left.
func (t *Tokens) share(ctx context.Context, by *Live, d LeaseDraft, draft *Draft) error {
	if by == nil || !d.Shared {
		return nil
	}

	left, err := t.UsesLeft(ctx, by)
	switch {
	case err != nil:
		return err
	case left == policy.Unlimited:
		return nil
	case left < 1:
		return jeton.ErrSpent
	case draft.MaxUses < 0:
		return nil // refused as invalid
	}

	draft.shared = true
	if draft.MaxUses == 0 || draft.MaxUses > left {
		draft.MaxUses = left
	}

	return nil
}

// leased returns a token for the one that asked for it.
func leased(tok jeton.Token, secret string, now time.Time) jeton.Lease {
	return jeton.Lease{Token: tok, Secret: secret, Seconds: int64(tok.Expires.Sub(now) / time.Second)}
}

func checkLease(d time.Duration) error {
	if d >= MinLease && d <= MaxLease {
		return nil
	}
	return jeton.WithDetail(
		jeton.ErrInvalid,
		fmt.Sprintf("invalid lease_seconds: want %.0f to %.0f", MinLease.Seconds(), MaxLease.Seconds()),
	)
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// LeaseRenewal moves the end of a leased token.
type LeaseRenewal struct {
	Accessor string
	Audience string // the only one of the token
	Owner    Owner
	Login    int64       // of the session that renews it, or 0
	Parent   int64       // number of the token that renews it, or 0
	Shown    secret.Hash // of that token
	// Adopt lets an access token or a session renew what another one made for the same audience: a login or an issuer
	// replaces them. What derives from a personal or a leased token stays with that.
	Adopt  bool
	Now    time.Time
	Closes time.Time
}

// RenewLease lets a leased token end d from now, and not later than the credential that renews
// it. That is the token that made it; or, of one that an access token or a session made,
// another one of its owner at the same service with as many rights. It returns jeton.ErrNotFound for
// a token that has ended, is for another service, or that the credential may not renew, and
// jeton.ErrForbidden for one that exceeds the credential.
func (t *Tokens) RenewLease(ctx context.Context, by Maker, accessor string, d time.Duration) (jeton.Lease, error) {
	if err := checkLease(d); err != nil {
		return jeton.Lease{}, err
	}

	which := Which{Accessor: accessor}
	if by.Owner.Kind == jeton.KindUser {
		which.User = by.Owner.Name
	} else {
		which.Client = by.Owner.Name
	}

	live, err := t.FindAccessor(ctx, which)
	if err != nil {
		return jeton.Lease{}, err
	}
	if !slices.Equal(live.Audience, []string{by.Service}) {
		// Another service has other terms: its sessions end, and it requires other factors, by itself.
		return jeton.Lease{}, jeton.ErrNotFound
	}

	now := t.now()
	next := live.Record
	next.Window = policy.Window{Opens: now, Closes: earlier(now.Add(d), by.ends()).Truncate(time.Millisecond)}

	r := LeaseRenewal{
		Accessor: accessor,
		Audience: by.Service,
		Owner:    by.Owner,
		Login:    by.Login,
		Adopt:    true,
		Now:      now,
		Closes:   next.Window.Closes,
	}
	if err := by.covers(next); err != nil {
		return jeton.Lease{}, err
	}
	if by.Token != nil {
		r.Parent = by.Token.Number
		r.Shown = by.Token.Hash
		r.Adopt = by.Token.Kind == Access
	}

	if err := t.store.RenewLease(ctx, r); err != nil {
		return jeton.Lease{}, fmt.Errorf("renew token: %w", err)
	}

	next.Window.Opens = live.Window.Opens

	return leased(public(next), "", now), nil
}

// CheckAsker returns nil if a program may ask with a token for another one, which outlives it. It returns
// jeton.ErrSpent for a counted token without uses left, of which it takes none, and jeton.ErrForbidden for a token of
// an application or one that derives from it: the user has let the application have no more, and ends that with it.
func (t *Tokens) CheckAsker(ctx context.Context, l *Live) error {
	if len(l.own) > 0 {
		if _, err := t.counts.Left(ctx, &l.Key, l.own); err != nil {
			return err
		}
	}

	for l.Parent != 0 {
		if l.Kind == Exchanged {
			return jeton.WithDetail(
				jeton.ErrForbidden, "a token that was exchanged for another one asks for no other token",
			)
		}
		if l.Kind == Access {
			return jeton.WithDetail(
				jeton.ErrForbidden,
				"a token of an application asks for no other token; its scopes are those of its client",
			)
		}

		parent, err := t.FindAccessor(ctx, Which{Accessor: l.ParentAccessor})
		if err != nil {
			return err
		}
		l = parent
	}

	return nil
}

// EndShown revokes a token that was found, as its own credential (compare RFC 7009). A nil one, which
// Find refused, is no error: it has ended already.
func (t *Tokens) EndShown(ctx context.Context, l *Live, ev jeton.Event) error {
	if l == nil {
		// Another caller may have revoked it a moment ago: answer no earlier than that one.
		return t.store.Settle(ctx)
	}

	ev.Actor = l.Owner.actor()
	ev.Target = "token:" + l.Accessor

	return t.end(ctx, Which{Hash: l.Hash}, l.Hash, ev)
}

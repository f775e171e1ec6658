package token

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/jose"
	"github.com/jeton-auth/jeton/internal/keys"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/secret"
	"github.com/jeton-auth/jeton/internal/sweep"
)

// RequestID asks for a token. The owner has been proved, and may have what is asked.
type Request struct {
	Owner  Owner
	Scopes []string // sorted
	Terms  policy.TokenTerms
	Once   Once   // the assertion that proved the owner, if one did
	Source string // address that asks
}

// Minted is a new token. Its text is in nobody's hands but the caller's.
type Minted struct {
	Text     jeton.Secret
	Accessor string
	Window   policy.Window
	Created  time.Time
	Scopes   []string
	MaxUses  int64 // or policy.Unlimited
	// Recorded reports whether the event was added in the same step. A signed token that
	// nobody counts takes no step in the store unless an assertion is used up by it.
	Recorded bool
}

// Mint makes a token under the terms. The event is completed with the token's accessor.
// It returns jeton.ErrBadCredential when the owner's credential has changed meanwhile, and
// ErrUsed when the assertion has been used before: then there is no token.
func (t *Tokens) Mint(ctx context.Context, r Request, ev *jeton.Event) (Minted, error) {
	now := t.now()
	accessor, err := secret.ID("t_", now, t.rand)
	if err != nil {
		return Minted{}, err
	}

	ev.Target = "token:" + accessor
	m := Mint{
		Record: Record{
			Accessor: accessor,
			Format:   r.Terms.Format,
			Kind:     Access,
			Owner:    r.Owner,
			Audience: []string{r.Terms.Audience},
			Scopes:   r.Scopes,
			MaxUses:  r.Terms.MaxUses,
			Window:   window(now, r.Terms),
			Created:  now,
			Source:   r.Source,
		},
		Keep: r.Terms.Format == policy.Opaque || r.Terms.MaxUses != policy.Unlimited || r.Terms.Counted,
		Once: r.Once,
	}

	if err := t.ring.Fresh(ctx); err != nil {
		return Minted{}, fmt.Errorf("sign token: %w", err)
	}

	text, err := t.text(&m.Record, r.Terms)
	if err != nil {
		return Minted{}, err
	}

	out := Minted{
		Text:     text,
		Accessor: accessor,
		Window:   m.Window,
		Created:  now,
		Scopes:   r.Scopes,
		MaxUses:  m.MaxUses,
	}

	out.Recorded = m.Keep || m.Once != (Once{})
	if !out.Recorded {
		return out, nil
	}

	m.Event = *ev
	if err := t.store.MintToken(ctx, m); err != nil {
		return Minted{}, fmt.Errorf("mint token: %w", err)
	}

	return out, nil
}

// window is when a token is good. The times of a signed token are whole seconds (RFC 7519,
// section 2), and those of an opaque one are no different.
func window(now time.Time, terms policy.TokenTerms) policy.Window {
	at := now.Truncate(time.Second)
	return policy.Window{Opens: at.Add(terms.Delay), Closes: at.Add(terms.Lifetime)}
}

// text makes the text of a token and sets what it is looked up by.
func (t *Tokens) text(r *Record, terms policy.TokenTerms) (jeton.Secret, error) {
	if r.Format == policy.Opaque {
		text, err := secret.New(secret.Access, t.rand)
		if err != nil {
			return jeton.Secret{}, err
		}

		r.Hash = secret.HashOf(text.Reveal())
		return text, nil
	}

	signing, err := t.ring.Signer(keys.Access, jose.Alg(terms.Alg))
	if err != nil {
		return jeton.Secret{}, fmt.Errorf("sign token: %w", err)
	}

	r.Hash = signedHash(r.Accessor)
	text, err := signing.Sign(t.claims(r))
	if err != nil {
		return jeton.Secret{}, fmt.Errorf("sign token: %w", err)
	}

	return jeton.NewSecret(text), nil
}

// claims writes the claims of a signed token (RFC 9068, section 2.2).
func (t *Tokens) claims(r *Record) []byte {
	b := make([]byte, 0, 384)
	b = appendText(append(b, `{"iss":`...), t.iss())
	b = appendText(append(b, `,"sub":`...), r.Owner.Name)
	b = appendText(append(b, `,"aud":`...), r.Audience[0])
	if r.Owner.Kind == jeton.KindClient {
		b = appendText(append(b, `,"client_id":`...), r.Owner.Name)
	}

	b = strconv.AppendInt(append(b, `,"iat":`...), r.Created.Unix(), 10)
	b = strconv.AppendInt(append(b, `,"nbf":`...), r.Window.Opens.Unix(), 10)
	b = strconv.AppendInt(append(b, `,"exp":`...), r.Window.Closes.Unix(), 10)
	b = appendText(append(b, `,"jti":`...), r.Accessor)
	b = appendText(append(b, `,"gen":`...), r.Owner.Generation)
	if len(r.Scopes) > 0 {
		b = appendText(append(b, `,"scope":`...), strings.Join(r.Scopes, " "))
	}

	if r.MaxUses != policy.Unlimited {
		b = strconv.AppendInt(append(b, `,"max_uses":`...), r.MaxUses, 10)
	}

	return append(b, '}')
}

// appendText writes a text as JSON.
func appendText(b []byte, s string) []byte {
	plain := !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' || r == '"' || r == '\\' })
	if plain {
		return append(append(append(b, '"'), s...), '"')
	}

	quoted, err := json.Marshal(s)
	if err != nil {
		return append(b, `""`...) // a text always encodes
	}

	return append(b, quoted...)
}

// UseOnce uses up an assertion that was shown for something else than a token.
func (t *Tokens) UseOnce(ctx context.Context, o Once) error {
	if o == (Once{}) {
		return nil
	}
	if err := t.store.UseOnce(ctx, o); err != nil {
		return fmt.Errorf("use assertion: %w", err)
	}

	return nil
}

// LastUsed is what a look at a token tells.
type Seen struct {
	*Live
	Left    int64 // uses
	Counted bool
}

// Inspect returns a token that is good now, and what is left of it. may says whether the
// caller may look it up: it is asked before anything is taken. Nothing is, unless consume
// is set: then one use is. A token that is limited to methods, paths or networks is not
// good here: only a door that sees the request can judge those. It returns
// jeton.ErrBadCredential, jeton.ErrTooEarly, jeton.ErrExpired or jeton.ErrSpent for what is not good.
func (t *Tokens) Inspect(
	ctx context.Context,
	text string,
	may func(*Live) bool,
	consume bool,
	now time.Time,
) (Seen, error) {
	l, err := t.Lookup(ctx, text, now)
	if err != nil {
		return Seen{}, err
	}

	if !may(l) {
		return Seen{
				Live: l,
			}, refused(
				"token %s of %s is for %v: not what the caller may look up, or not where its owner may log in",
				l.Accessor,
				l.Owner.Name,
				l.Audience,
			)
	}

	if len(l.Limits.Allows) > 0 || len(l.Limits.Networks) > 0 {
		return Seen{
			Live: l,
		}, refused("token %s is limited to methods, paths or networks, which cannot be judged here", l.Accessor)
	}

	if err := l.Check(now); err != nil {
		return Seen{Live: l}, err
	}

	s := Seen{Live: l}
	if len(l.own) == 0 {
		return s, nil
	}

	s.Counted = true
	if consume {
		s.Left, err = t.counts.Spend(ctx, &l.Key, l.own)
	} else {
		s.Left, err = t.counts.Left(ctx, &l.Key, l.own)
	}

	return s, err
}

// Revoke ends the token that a text is, if it was issued to the client (RFC 7009). What is
// no token, or somebody else's, is left alone, and that is not an error.
func (t *Tokens) Revoke(ctx context.Context, text string, of Owner, ev jeton.Event) error {
	now := t.now()
	l, err := t.Lookup(ctx, text, now)
	if err != nil {
		if jeton.Outcome(err) == jeton.ErrBadCredential {
			// Another may have revoked it a moment ago, whose answer waits for the same.
			err = t.store.Settle(ctx)
		}
		return err
	}

	if l.Owner.Kind != of.Kind || l.Owner.ID != of.ID {
		return nil
	}

	ev.Target = "token:" + l.Accessor

	return t.end(ctx, Which{Hash: l.Hash}, l.Hash, ev)
}

// RevokeAccessor ends the token of an accessor, which is also the jti of a signed token:
// of that it need not be known whether there ever was one.
func (t *Tokens) RevokeAccessor(ctx context.Context, accessor string, ev jeton.Event) error {
	if !strings.HasPrefix(accessor, "t_") || len(accessor) > 64 {
		return jeton.WithDetail(
			jeton.ErrInvalid,
			"an accessor begins with t_; 'jeton token list' shows those of tokens that are kept, and a signed token has it as its jti",
		)
	}

	return t.end(ctx, Which{Accessor: accessor}, signedHash(accessor), ev)
}

func (t *Tokens) end(ctx context.Context, w Which, void secret.Hash, ev jeton.Event) error {
	err := t.store.EndTokens(ctx, w, &Void{Hash: void, Until: t.now().Add(policy.KeepRevocations)}, ev)
	if err != nil {
		return fmt.Errorf("end token: %w", err)
	}
	return nil
}

// List returns the tokens that are kept, newest first, at most limit. Signed tokens that
// nobody counts are not kept.
func (t *Tokens) List(ctx context.Context, w Which, limit int) ([]jeton.Token, error) {
	records, err := t.store.ListTokens(ctx, w, limit)
	if err != nil {
		return nil, fmt.Errorf("list tokens: %w", err)
	}

	now, list := t.now(), []jeton.Token{}
	for _, r := range records {
		if !now.Before(r.Window.Closes) {
			continue
		}

		tok := tell(r)
		if r.MaxUses != policy.Unlimited {
			l := t.newLive(r)
			left, err := t.counts.Left(ctx, &l.Key, l.own)
			if errors.Is(err, jeton.ErrBadCredential) {
				continue // it has ended since it was read
			}

			if err != nil && jeton.Outcome(err) != jeton.ErrSpent {
				return nil, err
			}

			tok.UsesRemaining = &left
		}

		list = append(list, tok)
	}

	return list, nil
}

// Voided returns what became void after a line of the list: what a service that checks
// tokens by itself must know.
func (t *Tokens) Voided(ctx context.Context, after int64, limit int) ([]Voided, error) {
	list, err := t.store.ListVoid(ctx, after, t.now(), limit)
	if err != nil {
		return nil, fmt.Errorf("list void tokens: %w", err)
	}
	return list, nil
}

// sweepGrace is how long what is over stays: a clock that jumps back by less brings
// no assertion back.
const sweepGrace = 24 * time.Hour

// Run sweeps what is over away until ctx ends.
func (t *Tokens) Run(ctx context.Context) error {
	sweep.Loop(ctx, sweep.Interval, t.sweep)
	return nil
}

func (t *Tokens) sweep(ctx context.Context) {
	err := sweep.Run(ctx, func(ctx context.Context, most int) (int, error) {
		return t.store.SweepTokens(ctx, t.now().Add(-sweepGrace), most)
	})
	if err != nil {
		t.log.Warn("tokens that are over were not swept away", "error", err)
	}
}

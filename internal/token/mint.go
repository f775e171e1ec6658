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

// Request is a request for a token. The owner has been proved and is allowed the scopes.
type Request struct {
	Owner  Owner
	Scopes []string // sorted
	Terms  policy.TokenTerms
	Limits policy.Limits // need the format opaque
	Rule   string        // of a workload issuer by which the owner gets it; "": none
	Once   Once          // the assertion that proved the owner, if one did
	SignIn *Login        // the token stands for a login of the owner; nil: it does not
	Source string        // address that requests it
}

// Login is a login at a service that ends in a token, by the terms of its logins.
type Login struct {
	Service string
	Relogin policy.Relogin
}

// signIn returns the login as the store is to judge it.
func (l *Login) signIn(now time.Time) *SignIn {
	if l == nil {
		return nil
	}

	s := &SignIn{Service: l.Service, Remember: now, Judge: func(h policy.History) error {
		// No session begins, so no limit on sessions applies.
		_, err := policy.Terms{MaxSessions: policy.Unlimited, Relogin: l.Relogin}.CheckLogin(h, now)
		return err
	}}
	if l.Relogin.NeedsHistory() {
		s.Remember = l.Relogin.HistoryFrom(now)
	}

	return s
}

// Minted is a new token. Only the caller has its text.
type Minted struct {
	Text     jeton.Secret
	Accessor string
	Window   policy.Window
	Created  time.Time
	Scopes   []string
	MaxUses  int64 // or policy.Unlimited
	// Recorded reports whether the event was added with the token. A signed token that is not
	// counted needs no transaction, unless it uses an assertion, is a login, or its owner showed one factor.
	Recorded bool
}

// Mint mints a token under the terms and sets the target of the event. It returns jeton.ErrRelogin if the owner may not
// log in again yet, jeton.ErrBadCredential if the owner's credential has changed meanwhile, jeton.ErrFactor as
// Owner.OneFactor says, and ErrUsed if the assertion was used before.
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
			Name:     r.Rule,
			Owner:    r.Owner,
			Audience: []string{r.Terms.Audience},
			Scopes:   r.Scopes,
			Limits:   r.Limits,
			MaxUses:  r.Terms.MaxUses,
			Window:   r.Terms.Window(now),
			Created:  now,
			Source:   r.Source,
		},
		Keep:   r.Terms.Format == policy.Opaque || r.Terms.MaxUses != policy.Unlimited || r.Terms.Counted,
		Once:   r.Once,
		SignIn: r.SignIn.signIn(now),
	}

	// Keys that were revoked on another node must not sign any more.
	if err := t.ring.Fresh(ctx); err != nil {
		return Minted{}, fmt.Errorf("sign token: %w", err)
	}

	// Before it is stored: a failure to sign uses up no assertion.
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

	out.Recorded = m.Keep || m.Once != (Once{}) || m.SignIn != nil || m.Owner.OneFactor
	if !out.Recorded {
		return out, nil
	}

	m.Event = *ev
	if err := t.store.MintToken(ctx, m); err != nil {
		return Minted{}, fmt.Errorf("mint token: %w", err)
	}

	return out, nil
}

// text makes the text of a token and sets the hash of its record.
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
	rule := r.rule()
	if rule != "" {
		b = appendText(append(b, `,"jeton_rule":`...), rule)
	}

	return append(b, '}')
}

// appendText appends a string as JSON.
func appendText(b []byte, s string) []byte {
	plain := !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' || r == '"' || r == '\\' })
	if plain {
		return append(append(append(b, '"'), s...), '"')
	}

	quoted, err := json.Marshal(s)
	if err != nil {
		return append(b, `""`...) // a string always encodes
	}

	return append(b, quoted...)
}

// UseOnce marks an assertion as used that was accepted for something other than a token.
func (t *Tokens) UseOnce(ctx context.Context, o Once) error {
	if o == (Once{}) {
		return nil
	}
	if err := t.store.UseOnce(ctx, o); err != nil {
		return fmt.Errorf("use assertion: %w", err)
	}

	return nil
}

// Inspection is the result of Inspect.
type Inspection struct {
	*Live
	Left    int64 // uses left
	Counted bool
}

// Inspect returns a token that is valid now, and its remaining uses. may reports whether the
// caller may look it up; it is called before a use is taken. Only consume takes a use. A
// token limited to methods, paths or networks is refused: only an endpoint that sees the
// request can check those. Inspect returns jeton.ErrBadCredential, jeton.ErrTooEarly,
// jeton.ErrExpired or jeton.ErrSpent for a token that is not valid.
func (t *Tokens) Inspect(
	ctx context.Context,
	text string,
	may func(*Live) bool,
	consume bool,
) (Inspection, error) {
	l, err := t.Lookup(ctx, text)
	if err != nil {
		return Inspection{}, err
	}

	// Before its terms are looked at: to a caller that may not look it up, it is as any bad
	// token (RFC 7662, section 2.3).
	if !may(l) {
		return Inspection{Live: l}, refused(
			"token %s of %s is for %v: the caller may not look it up, or its owner may not log in there",
			l.Accessor, l.Owner.Name, l.Audience,
		)
	}

	if len(l.Limits.Allows) > 0 || len(l.Limits.Networks) > 0 {
		return Inspection{Live: l}, refused(
			"token %s is limited to methods, paths or networks, which only a gateway can check",
			l.Accessor,
		)
	}

	// Looking up may have taken a while since the request came.
	if err := l.Check(t.now()); err != nil {
		return Inspection{Live: l}, err
	}

	s := Inspection{Live: l, Counted: len(l.own) > 0}
	switch {
	case s.Counted && consume:
		s.Left, err = t.counts.Spend(ctx, &l.Key, l.own)
	case s.Counted:
		s.Left, err = t.counts.Left(ctx, &l.Key, l.own)
	}

	if err == nil && consume {
		l.Used(t.now())
	}

	return s, err
}

// Revoke revokes the token of a text, if it belongs to the owner (RFC 7009). To a relying party belong the tokens of
// its grants, and to a client those that it has exchanged others for; a refresh token ends its grant. An unknown
// token, or one of another owner, is left alone, which is not an error.
func (t *Tokens) Revoke(ctx context.Context, text string, of Owner, ev jeton.Event) error {
	if b, ok := secret.Bytes(secret.Refresh, text); ok {
		return t.revokeGrant(ctx, [16]byte(b[:16]), text, of, ev)
	}

	l, err := t.Lookup(ctx, text)
	if err != nil {
		if jeton.Outcome(err) == jeton.ErrBadCredential {
			// Another caller may have revoked it a moment ago: answer no earlier than that one.
			err = t.store.Settle(ctx)
		}
		return err
	}

	// As for an unknown token: the answer does not show that it exists (RFC 7009, section 2.2).
	own := l.Owner.Kind == of.Kind && l.Owner.ID == of.ID
	granted := l.Kind == Access && l.Parent != 0 && of.Kind == jeton.KindClient && l.Name == of.Name
	acts := of.Kind == jeton.KindClient && len(l.Actors) > 0 && l.Actors[0].ID == of.ID
	if !own && !granted && !acts {
		return nil
	}

	ev.Target = "token:" + l.Accessor

	return t.end(ctx, Which{Hash: l.Hash}, l.Hash, ev)
}

// RevokeAccessor revokes the token of an accessor, which is also the jti of a signed token. A
// signed token need not be stored. It returns jeton.ErrNotFound for an accessor that no token
// can have.
func (t *Tokens) RevokeAccessor(ctx context.Context, accessor string, ev jeton.Event) error {
	if !t.mayExist(accessor) {
		return jeton.WithDetail(
			jeton.ErrNotFound,
			"no such token: want an accessor t_…, as 'jeton token list' prints it, or the jti of a signed token",
		)
	}

	return t.end(ctx, Which{Accessor: accessor}, signedHash(accessor), ev)
}

// mayExist reports whether a token that has not expired can have this accessor, which contains
// the time at which it was made.
func (t *Tokens) mayExist(accessor string) bool {
	h, ok := secret.ReadID("t_", accessor)
	if !ok {
		return false
	}

	age := t.now().Sub(h.Time())

	// The clock of another node may be ahead.
	return age < max(MaxPersonal, policy.MaxTokenLifetime)+24*time.Hour && age > -24*time.Hour
}

// end ends stored tokens and puts a hash on the revocation list, in one step.
func (t *Tokens) end(ctx context.Context, w Which, void secret.Hash, ev jeton.Event) error {
	// On the revocation list whether it is stored or not: services that check tokens themselves
	// read it.
	err := t.store.EndTokens(ctx, w, &Void{Hash: void, Until: t.now().Add(policy.KeepRevocations)}, ev)
	if err != nil {
		return fmt.Errorf("revoke token: %w", err)
	}
	return nil
}

// List returns at most limit stored tokens, newest first. Signed tokens that are not counted
// are not stored. next is Which.Before of the next page, 0 if this is the last. A page may have
// fewer tokens than limit: those that have expired are left out.
func (t *Tokens) List(ctx context.Context, w Which, limit int) (page []jeton.Token, next int64, err error) {
	records, err := t.store.ListTokens(ctx, w, limit+1)
	if err != nil {
		return nil, 0, fmt.Errorf("list tokens: %w", err)
	}

	// One more than the page has shows that there is another page.
	if len(records) > limit {
		records = records[:limit]
		next = records[limit-1].Number
	}

	page, err = t.listed(ctx, records)

	return page, next, err
}

// Derived returns how many stored tokens derive from the one with this accessor, directly or not: revoking it revokes
// them.
func (t *Tokens) Derived(ctx context.Context, accessor string) (int64, error) {
	n, err := t.store.CountDerived(ctx, accessor)
	if err != nil {
		return 0, fmt.Errorf("count derived tokens: %w", err)
	}
	return n, nil
}

// Count returns how many stored tokens of a user have not expired; "": of all users and clients.
func (t *Tokens) Count(ctx context.Context, user string) (int64, error) {
	n, err := t.store.CountTokens(ctx, user, t.now())
	if err != nil {
		return 0, fmt.Errorf("count tokens: %w", err)
	}
	return n, nil
}

// listed returns the tokens of records that have not expired, and whose rules the configuration has.
func (t *Tokens) listed(ctx context.Context, records []Record) ([]jeton.Token, error) {
	now := t.now()
	list := []jeton.Token{}
	for _, r := range records {
		// Expired tokens stay in the store for sweepGrace.
		if !now.Before(r.Window.Closes) || t.hasRules(r) != nil {
			continue
		}

		r.LastUsed = t.latest(r)
		tok := public(r)
		if r.MaxUses != policy.Unlimited {
			l := t.newLive(r)
			left, err := t.counts.Left(ctx, &l.Key, l.own)
			if errors.Is(err, jeton.ErrBadCredential) {
				continue // it was revoked since it was read
			}

			// A spent token is listed, with no use left.
			if err != nil && jeton.Outcome(err) != jeton.ErrSpent {
				return nil, err
			}

			tok.UsesRemaining = &left
		}

		list = append(list, tok)
	}

	return list, nil
}

// Voided returns the entries of the revocation list after a sequence number, for services that
// check tokens themselves.
func (t *Tokens) Voided(ctx context.Context, after int64, limit int) ([]Voided, error) {
	list, err := t.store.ListVoid(ctx, after, t.now(), limit)
	if err != nil {
		return nil, fmt.Errorf("list revocations: %w", err)
	}
	return list, nil
}

// sweepGrace is how long expired records are kept: setting the clock back by less makes no
// assertion usable again.
const sweepGrace = 24 * time.Hour

// Run writes last uses and deletes expired records until ctx ends.
func (t *Tokens) Run(ctx context.Context) error {
	sweep.FlushLoop(ctx, flushEvery, t.flush, t.sweep)
	return nil
}

// sweep deletes tokens that expired more than sweepGrace ago.
func (t *Tokens) sweep(ctx context.Context) {
	err := sweep.Run(ctx, func(ctx context.Context, limit int) (int, error) {
		before, err := t.clock.Before(ctx, t.now(), sweepGrace)
		if err != nil {
			return 0, err
		}

		return t.store.SweepTokens(ctx, before, limit)
	})
	if err != nil {
		t.log.Warn("delete expired tokens", "error", err)
	}
}

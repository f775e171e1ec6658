package token

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/secret"
)

// Granted is the kind of a grant: what one authorization code gave to a client. Its hash is that of a secret which only
// its refresh tokens have. Its access tokens derive from it, and end with it.
const Granted Kind = "grant"

// Grant is a grant as stored. Its Record has the name of the client as its name.
type Grant struct {
	Record
	Client    int64       // number of the client
	Login     int64       // of the sign-in session
	SessionID string      // the session, as the client knows it
	Subject   string      // the user, as the client knows it, for logout tokens; not set by FindGrant
	Code      secret.Hash // of the code that it came from
	TakeCode  bool        // AddGrant takes the code; false: it was taken before. Not set by FindGrant
	Offline   bool        // it has refresh tokens, and outlives the sign-in session
	SignedIn  time.Time   // when the user was proved
	Methods   string      // how: values of RFC 8176, separated by spaces
	Level     string      // acr of the first ID token; "": none
	Turn      int64       // number of refreshes
	Turned    time.Time   // of the last one; zero: none
}

// GrantStore keeps grants. Methods are safe for concurrent use, on many nodes.
type GrantStore interface {
	// AddGrant is one atomic step. It returns jeton.ErrBadCredential unless the owner stands as in MintToken, the
	// client exists and is enabled, the session exists and is the owner's, and the code was taken and not deleted. With
	// TakeCode, it takes the code, as ticket.Store does: it returns jeton.ErrSpent if that was taken before.
	// Otherwise it stores the grant with an access token, and adds the event. It ends the oldest grants of the user and
	// the client beyond MaxGrants, with an event of audit.TokenRevoke for each.
	AddGrant(ctx context.Context, g Grant, access Record, ev jeton.Event) error
	// FindGrant returns the grant of a hash, or jeton.ErrNotFound if there is none, its owner is disabled or has
	// another version.
	FindGrant(ctx context.Context, h secret.Hash) (Grant, error)
	// TurnGrant is one atomic step. It returns jeton.ErrConflict if the grant no longer has the turn, and
	// jeton.ErrBadCredential if it has ended, or its owner does not stand. Otherwise it stores an access token of the
	// grant and adds the event; with advance, it also adds 1 to the turn, at the time at which the token was made.
	TurnGrant(ctx context.Context, g Grant, advance bool, access Record, ev jeton.Event) error
	// CodeUsed reports whether a code has a grant that has not ended.
	CodeUsed(ctx context.Context, code secret.Hash) (bool, error)
	// RevokeByCode deletes a code that was taken, revokes the tokens of its grant, and adds the event. It waits for a
	// grant that is being added; a later one is refused.
	RevokeByCode(ctx context.Context, code secret.Hash, ev jeton.Event) error
}

// MaxGrants is how many grants a user and a client have at most: one for each sign-in that has not ended, as there is
// for each browser and device. The oldest ends when there are more, so that no client that signs its users in without
// need fills the database.
const MaxGrants = 100

// AccessLifetime is how long an access token of a grant is valid.
const AccessLifetime = 10 * time.Minute

// refreshGrace is how long the refresh token before the current one gets the same successor: the answer may have been
// lost, or two requests may have been sent at once.
const refreshGrace = 10 * time.Second

// Issued is what the token endpoint answers for a grant.
type Issued struct {
	Access  Minted
	Refresh jeton.Secret // zero: none
}

// GrantRequest is a grant to add. The owner and the client have been proved.
type GrantRequest struct {
	Grant                  // without Record, but its Owner, Scopes and Name
	Lifetime time.Duration // of the refresh tokens
	Ends     time.Time     // of the sign-in session
	// Service is what the access tokens are for, under Terms; "": the issuer.
	Service string
	Terms   *policy.TokenTerms
}

// GrantTerms are the terms of a refresh.
type GrantTerms struct {
	Access  *policy.TokenTerms
	MaxUses int64 // refreshes of the grant, or policy.Unlimited
}

// Grant adds a grant and returns its first tokens. It sets the target of the event. It returns jeton.ErrBadCredential
// if the code was deleted, or if the user, the client or the session has ended meanwhile, and jeton.ErrSpent if the
// grant takes its code and another has taken it.
func (t *Tokens) Grant(ctx context.Context, in GrantRequest, ev jeton.Event) (Issued, error) {
	now := t.now()

	in.Audience = []string{t.iss()}
	if in.Service != "" {
		in.Audience = []string{forService + in.Service}
	}

	g, err := t.newRecord(now, in.Record, Granted)
	if err != nil {
		return Issued{}, err
	}

	var family [16]byte
	if _, err := t.rand.Read(family[:]); err != nil {
		return Issued{}, fmt.Errorf("read randomness: %w", err)
	}

	in.Grant.Record = g
	in.Hash = familyHash(family)
	in.Window.Closes = in.Ends
	if in.Offline {
		in.Window.Closes = in.SignedIn.Add(in.Lifetime)
	}
	in.Window.Closes = in.Window.Closes.Truncate(time.Millisecond)

	access, out, err := t.accessOf(in.Grant, in.Terms, now)
	if err != nil {
		return Issued{}, err
	}

	ev.Target = "token:" + in.Accessor
	if err := t.store.AddGrant(ctx, in.Grant, access, ev); err != nil {
		return Issued{}, fmt.Errorf("add grant: %w", err)
	}

	if in.Offline {
		out.Refresh, err = t.refreshToken(family, 0)
	}

	return out, err
}

// forService begins the audience of a grant whose tokens are for a service. The audience of others is the URL that the
// issuer had: no grant is accepted anywhere, and each of its tokens gets the current audience.
const forService = "service:"

// ForService returns the service that the access tokens of a grant are for, or "" for the issuer.
func (g *Grant) ForService() string {
	if len(g.Audience) == 0 {
		return ""
	}
	name, ok := strings.CutPrefix(g.Audience[0], forService)
	if !ok {
		return ""
	}

	return name
}

// newRecord completes an opaque token, without its hash.
func (t *Tokens) newRecord(now time.Time, r Record, k Kind) (Record, error) {
	accessor, err := secret.ID("t_", now, t.rand)
	if err != nil {
		return Record{}, err
	}

	r.Accessor = accessor
	r.Kind = k
	r.Format = policy.Opaque
	r.MaxUses = policy.Unlimited
	r.Created = now
	r.Window.Opens = now.Truncate(time.Millisecond)

	return r, nil
}

// accessOf makes an access token of a grant, under the terms of what it is for. It ends no later than the grant, and is
// always opaque, so that it ends with it.
func (t *Tokens) accessOf(g Grant, terms *policy.TokenTerms, now time.Time) (Record, Issued, error) {
	r, err := t.newRecord(now, Record{
		Name:     g.Name,
		Owner:    g.Owner,
		Audience: []string{terms.Audience},
		Scopes:   g.Scopes,
		Source:   g.Source,
	}, Access)
	if err != nil {
		return Record{}, Issued{}, err
	}

	text, err := secret.New(secret.Access, t.rand)
	if err != nil {
		return Record{}, Issued{}, err
	}

	r.Hash = secret.HashOf(text.Reveal())
	r.Window = terms.Window(now)
	r.MaxUses = terms.MaxUses
	if g.Window.Closes.Before(r.Window.Closes) {
		r.Window.Closes = g.Window.Closes
	}

	return r, Issued{Access: Minted{
		Text:     text,
		Accessor: r.Accessor,
		Window:   r.Window,
		Created:  now,
		Scopes:   g.Scopes,
		MaxUses:  r.MaxUses,
		Recorded: true,
	}}, nil
}

// familyHash is what a grant is found by. No other secret begins with "grant:".
func familyHash(family [16]byte) secret.Hash { return secret.HashOf("grant:" + string(family[:])) }

// refreshToken returns the refresh token of a grant after some refreshes: the secret of the grant, and half of an HMAC.
// So each token can be made again by any node, and nothing that is stored reveals one.
func (t *Tokens) refreshToken(family [16]byte, turn int64) (jeton.Secret, error) {
	m := hmac.New(sha256.New, t.refreshKey)
	m.Write(family[:])
	m.Write(binary.BigEndian.AppendUint64(nil, uint64(turn)))

	return secret.New(secret.Refresh, bytes.NewReader(append(family[:], m.Sum(nil)[:16]...)))
}

// Refresh returns the next tokens of a grant. may judges the grant before anything changes: it returns the terms, or
// the error of a grant that may not go on. A grant that was refreshed as often as it may is jeton.ErrSpent. The refresh
// token before the current one gets the same successor for refreshGrace. An older one ends the grant: one of its two
// users has stolen it (RFC 9700, section 4.14.2). All others are jeton.ErrBadCredential with a reason for the operator.
func (t *Tokens) Refresh(
	ctx context.Context,
	text string,
	may func(*Grant) (GrantTerms, error),
	ev jeton.Event,
) (Issued, Grant, error) {
	b, ok := secret.Bytes(secret.Refresh, text)
	if !ok {
		return Issued{}, Grant{}, refused("not the form of a refresh token")
	}

	// Each round that ends in a conflict is a refresh of another caller; the next one sees it, and decides.
	const rounds = 3
	for range rounds {
		issued, g, err := t.refresh(ctx, [16]byte(b[:16]), text, may, ev)
		if !errors.Is(err, jeton.ErrConflict) {
			return issued, g, err
		}
	}

	return Issued{}, Grant{}, fmt.Errorf("%w: the grant is refreshed by others at the same time", jeton.ErrBusy)
}

// refresh is one round of Refresh.
func (t *Tokens) refresh(
	ctx context.Context,
	family [16]byte,
	text string,
	may func(*Grant) (GrantTerms, error),
	ev jeton.Event,
) (Issued, Grant, error) {
	g, err := t.store.FindGrant(ctx, familyHash(family))
	switch {
	case errors.Is(err, jeton.ErrNotFound):
		return Issued{}, Grant{}, refused("its grant has ended, or its user is disabled or has changed the password")
	case err != nil:
		return Issued{}, Grant{}, fmt.Errorf("find grant: %w", err)
	case !g.Offline:
		return Issued{}, g, refused("grant %s has no refresh tokens", g.Accessor)
	}

	now := t.now()
	if err := g.Window.Check(now); err != nil {
		return Issued{}, g, refused("grant %s has expired", g.Accessor)
	}

	terms, err := may(&g)
	if err != nil {
		return Issued{}, g, err
	}

	ev.Target = "token:" + g.Accessor

	advance, err := t.turnOf(ctx, g, family, text, now, ev)
	if err != nil {
		return Issued{}, g, err
	}

	// Each refresh moves the turn on by one, in one step: it is the number of uses over all nodes. The same answer to
	// a token in its grace costs none.
	if advance && terms.MaxUses != policy.Unlimited && g.Turn >= terms.MaxUses {
		return Issued{}, g, jeton.ErrSpent
	}

	access, out, err := t.accessOf(g, terms.Access, now)
	if err != nil {
		return Issued{}, g, err
	}
	if err := t.store.TurnGrant(ctx, g, advance, access, ev); err != nil {
		return Issued{}, g, fmt.Errorf("refresh: %w", err)
	}

	turn := g.Turn
	if advance {
		turn++
	}
	out.Refresh, err = t.refreshToken(family, turn)

	return out, g, err
}

// revokeGrant ends the grant of a refresh token, the current one or the one before it, if it is the client's.
func (t *Tokens) revokeGrant(ctx context.Context, family [16]byte, text string, of Owner, ev jeton.Event) error {
	g, err := t.store.FindGrant(ctx, familyHash(family))
	if errors.Is(err, jeton.ErrNotFound) {
		return t.store.Settle(ctx) // as for any token that is not known
	}
	if err != nil {
		return fmt.Errorf("find grant: %w", err)
	}
	if of.Kind != jeton.KindClient || g.Client != of.ID {
		return nil
	}

	for back := int64(0); back <= min(1, g.Turn); back++ {
		own, err := t.refreshToken(family, g.Turn-back)
		if err != nil {
			return err
		}
		if hmac.Equal([]byte(own.Reveal()), []byte(text)) {
			ev.Target = "token:" + g.Accessor
			return t.store.EndTokens(ctx, Which{Accessor: g.Accessor}, nil, ev)
		}
	}

	return nil
}

// turnOf reports whether a refresh token is the current one, and not the one before it. Any other one ends the grant.
func (t *Tokens) turnOf(
	ctx context.Context,
	g Grant,
	family [16]byte,
	text string,
	now time.Time,
	ev jeton.Event,
) (current bool, err error) {
	for back := int64(0); back <= min(1, g.Turn); back++ {
		want, err := t.refreshToken(family, g.Turn-back)
		if err != nil {
			return false, err
		}
		if !hmac.Equal([]byte(want.Reveal()), []byte(text)) {
			continue
		}
		if back == 0 || now.Sub(g.Turned) <= refreshGrace {
			return back == 0, nil
		}
	}

	ev.Action = RefreshReuse
	ev.Reason = "a refresh token was used again: all tokens of the grant ended"
	if err := t.store.EndTokens(ctx, Which{Accessor: g.Accessor}, nil, ev); err != nil {
		return false, fmt.Errorf("end grant: %w", err)
	}

	return false, refused("grant %s ended: one of its refresh tokens was used again", g.Accessor)
}

// RefreshReuse is the action of the audit event of a refresh token that was used again.
const RefreshReuse = "token.reuse"

// CodeUsed reports whether an authorization code has a grant, also once the code has expired.
func (t *Tokens) CodeUsed(ctx context.Context, code secret.Hash) (bool, error) {
	used, err := t.store.CodeUsed(ctx, code)
	if err != nil {
		return false, fmt.Errorf("find grant of code: %w", err)
	}

	return used, nil
}

// RevokeByCode revokes the tokens of the first use of an authorization code, also of one still in progress.
func (t *Tokens) RevokeByCode(ctx context.Context, code secret.Hash, ev jeton.Event) error {
	if err := t.store.RevokeByCode(ctx, code, ev); err != nil {
		return fmt.Errorf("revoke tokens of code: %w", err)
	}

	return nil
}

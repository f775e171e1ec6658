package token

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/naming"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/secret"
)

// Draft is a personal token to create. Audience and Expires are required.
type Draft struct {
	Name      string
	Audience  []string // services that accept it
	Scopes    []string
	Limits    policy.Limits
	MaxUses   int64 // 0: not counted
	NotBefore time.Time
	Expires   time.Time
	Parent    *Live  // that it derives from; nil: created with the owner's password or session
	Login     int64  // number of the session that creates it, or 0
	Source    string // address that creates it

	Requested bool // by a program, which the owner has approved

	leased bool // see Tokens.Lease
	shared bool // takes its uses from Parent, too
}

// MaxPersonal is the longest lifetime of a personal token.
const MaxPersonal = 366 * 24 * time.Hour

// MaxName bounds the name of a personal token, in bytes.
const MaxName = 128

// Create creates a personal token of the owner. A token never has more rights or a later end
// than its parent, and is revoked with it. Create returns jeton.ErrInvalid for an invalid
// draft, jeton.ErrForbidden for one that exceeds its parent, and jeton.ErrTokensFull when the
// user has as many as SetMaxPerUser permits.
func (t *Tokens) Create(ctx context.Context, owner Owner, d Draft, ev jeton.Event) (jeton.Token, jeton.Secret, error) {
	now := t.now()
	if err := d.check(now); err != nil {
		return jeton.Token{}, jeton.Secret{}, err
	}

	accessor, err := secret.ID("t_", now, t.rand)
	if err != nil {
		return jeton.Token{}, jeton.Secret{}, err
	}

	prefix, most := secret.Personal, t.most.Load()
	if d.leased {
		prefix, most = secret.Access, maxLeases
	}

	text, err := secret.New(prefix, t.rand)
	if err != nil {
		return jeton.Token{}, jeton.Secret{}, err
	}

	m := Mint{
		Record: d.record(owner, now),
		Keep:   true,
		Login:  d.Login,
		Most:   most,
		Event:  ev,
	}
	m.Accessor = accessor
	m.Hash = secret.HashOf(text.Reveal())
	m.Event.Target = "token:" + accessor
	m.Event.Reason = m.note()

	if d.Parent != nil {
		if err := within(m.Record, d.Parent); err != nil {
			return jeton.Token{}, jeton.Secret{}, err
		}

		// The store refuses the child if the parent was rotated or revoked since it was read.
		m.Shown = d.Parent.Hash
	}

	free, err := t.turns.take(ctx, string(m.Owner.Kind)+" "+m.Owner.Name)
	if err != nil {
		return jeton.Token{}, jeton.Secret{}, fmt.Errorf("create token: %w", err)
	}
	defer free()
	if err := t.store.MintToken(ctx, m); err != nil {
		return jeton.Token{}, jeton.Secret{}, fmt.Errorf("create token: %w", err)
	}

	return public(m.Record), text, nil
}

// record returns the token to store, still without accessor and secret.
func (d Draft) record(owner Owner, now time.Time) Record {
	r := Record{
		Format:   policy.Opaque,
		Kind:     Personal,
		Name:     d.Name,
		Owner:    owner,
		Audience: sorted(d.Audience),
		Scopes:   sorted(d.Scopes),
		Limits:   d.Limits,
		MaxUses:  policy.Unlimited,
		// The store keeps milliseconds. Rounding must not open the token early or close it late.
		Window: policy.Window{
			Opens:  policy.RoundUp(d.NotBefore, time.Millisecond),
			Closes: d.Expires.Truncate(time.Millisecond),
		},
		Created: now,
		Source:  d.Source,
	}
	switch {
	case d.leased:
		r.Kind = Leased
	case d.Requested:
		r.Kind = Approved
	}
	if d.MaxUses > 0 {
		r.MaxUses = d.MaxUses
	}
	if d.NotBefore.IsZero() {
		r.Window.Opens = now
	}
	if d.Parent != nil {
		r.Parent = d.Parent.Record.Number
		r.Owner = d.Parent.Owner
		if d.shared {
			r.Shares = d.Parent.shares()
		}
	}

	return r
}

// note returns owner, name and limits of a token for the audit log. The name is its user's text,
// who may have put a secret into it.
func (r *Record) note() string {
	parts := []string{
		fmt.Sprintf("%q of %s %s", secret.Mask(r.Name), r.Owner.Kind, r.Owner.Name),
		fmt.Sprintf("for %v, scopes %v", r.Audience, r.Scopes),
	}

	if r.MaxUses != policy.Unlimited {
		parts = append(parts, fmt.Sprintf("at most %d uses", r.MaxUses))
	}

	for _, rule := range r.Limits.Allows {
		parts = append(parts, "only "+rule.String())
	}

	for _, network := range r.Limits.Networks {
		parts = append(parts, "from "+network.String())
	}

	if r.Parent != 0 {
		parts = append(parts, "derived from another token")
	}

	return clip(strings.Join(append(
		parts, "valid from "+r.Window.Opens.UTC().Format(policy.TimeFormat),
		"expires "+r.Window.Closes.UTC().Format(policy.TimeFormat),
	), ", "))
}

// clip bounds a text for the audit log to 1000 bytes.
func clip(text string) string {
	const limit = 1000

	if len(text) <= limit {
		return text
	}

	return strings.ToValidUTF8(text[:limit], "") + "…"
}

// check returns jeton.ErrInvalid with the member of the API that is wrong. A lifetime is
// required: a token without an end is forgotten, not revoked.
func (d Draft) check(now time.Time) error {
	text := ""
	switch {
	case d.Name != "" && !validName(d.Name):
		text = fmt.Sprintf("invalid name %.60q: want 1 to %d bytes of printable characters", d.Name, MaxName)
	case d.Name == "":
		text = fmt.Sprintf("name is required: want 1 to %d bytes of printable characters", MaxName)
	case len(d.Audience) == 0:
		text = "services is required"
	case d.Expires.IsZero():
		text = "expires_at is required"
	case !d.Expires.After(now):
		text = "expires_at must be in the future"
	case !d.Expires.After(d.NotBefore):
		text = "expires_at must be after not_before"
	case d.Expires.After(now.Add(MaxPersonal)):
		text = "expires_at must be within 366 days"
	case d.MaxUses < 0:
		text = "max_uses must be 1 or more, or absent"
	// A lease has those of its maker, which may be of an older version.
	case len(d.Limits.Allows) > policy.MaxRules && !d.leased:
		text = fmt.Sprintf("invalid allows: %d rules, want at most %d", len(d.Limits.Allows), policy.MaxRules)
	default:
		return nil
	}

	return jeton.WithDetail(jeton.ErrInvalid, text)
}

// validName accepts what can be shown on one line, and shows as what it is.
func validName(name string) bool {
	return name != "" && len(name) <= MaxName && naming.Printable(name)
}

// within checks that a token does not exceed its parent.
func within(r Record, p *Live) error {
	exceeds := func(what string) error {
		return jeton.WithDetail(jeton.ErrForbidden, "a token cannot exceed its parent: "+what)
	}

	switch {
	case p.Kind == Exchanged:
		// Its client acts for the owner at one service, as a rule says, and makes nothing that outlives that.
		return jeton.WithDetail(jeton.ErrForbidden, "a token that was exchanged for another one cannot create tokens")
	case p.Kind == Access && r.Kind != Leased, p.Kind == Leased && r.Kind != Leased:
		// It is short-lived; a child would outlive it. A lease ends with it.
		return jeton.WithDetail(
			jeton.ErrForbidden,
			"an access token cannot create tokens; use a personal token, a password or a session",
		)
	case p.MaxUses != policy.Unlimited && (r.Kind != Leased || r.MaxUses == policy.Unlimited || !sharesAll(r, p)):
		return jeton.WithDetail(
			jeton.ErrForbidden,
			"a token with max_uses cannot create tokens; with shared_uses, it creates those of jobs",
		)
	case slices.ContainsFunc(r.Audience, func(a string) bool { return !slices.Contains(p.Audience, a) }):
		return exceeds("services")
	case policy.CheckScopes(p.Scopes, r.Scopes) != nil:
		return exceeds("scopes")
	case !r.Limits.Within(p.Limits):
		return exceeds("methods, paths or networks")
	case r.Window.Opens.Before(p.Window.Opens):
		return exceeds("not_before")
	case r.Window.Closes.After(p.Window.Closes):
		return exceeds("expires_at")
	}

	return nil
}

// sharesAll reports whether each use of a token is one of a counted other token, and of all that this one shares.
func sharesAll(r Record, p *Live) bool { return p.Number != 0 && slices.Equal(r.Shares, p.shares()) }

// sorted returns a sorted copy without duplicates, never nil.
func sorted(list []string) []string {
	list = slices.Clone(list)
	slices.Sort(list)
	list = slices.Compact(list)
	if list == nil {
		list = []string{}
	}

	return list
}

// public returns a token without its secret.
func public(r Record) jeton.Token {
	tok := jeton.Token{
		Accessor:  r.Accessor,
		Format:    string(r.Format),
		Kind:      string(r.Kind),
		Name:      r.Name,
		Parent:    r.ParentAccessor,
		Audience:  r.Audience,
		Scopes:    r.Scopes,
		Created:   r.Created,
		NotBefore: r.Window.Opens,
		Expires:   r.Window.Closes,
		LastUsed:  r.LastUsed,
		Source:    r.Source,
	}

	for _, rule := range r.Limits.Allows {
		tok.Allows = append(tok.Allows, rule.String())
	}

	for _, n := range r.Limits.Networks {
		tok.Networks = append(tok.Networks, n.String())
	}

	if r.Owner.Kind == jeton.KindClient {
		tok.Client = r.Owner.Name
	} else {
		tok.User = r.Owner.Name
	}

	for _, a := range r.Actors {
		tok.Actors = append(tok.Actors, a.Client)
	}

	if r.MaxUses != policy.Unlimited {
		tok.MaxUses = r.MaxUses
	}

	return tok
}

// Rotate replaces the secret of a personal token. Once it returns, the old secret is refused.
// Uses that were taken stay taken, and tokens that derive from it are revoked. shown is the
// token itself if it rotates itself, else nil.
func (t *Tokens) Rotate(
	ctx context.Context,
	accessor string,
	owner *Owner,
	shown *Live,
	ev jeton.Event,
) (jeton.Token, jeton.Secret, error) {
	text, err := secret.New(secret.Personal, t.rand)
	if err != nil {
		return jeton.Token{}, jeton.Secret{}, err
	}

	ev.Target = "token:" + accessor
	change := Rotation{Accessor: accessor, Owner: owner, Fresh: secret.HashOf(text.Reveal())}
	if shown != nil {
		change.Shown = shown.Hash
	}

	r, err := t.store.RotateToken(ctx, change, ev)
	if err != nil {
		return jeton.Token{}, jeton.Secret{}, fmt.Errorf("rotate token: %w", err)
	}

	return public(r), text, nil
}

// FindParent returns the valid token with this accessor, to derive another one from. It returns
// jeton.ErrNotFound if there is none.
func (t *Tokens) FindParent(ctx context.Context, accessor string) (*Live, error) {
	l, err := t.FindAccessor(ctx, Which{Accessor: accessor})
	if err == nil && l.Check(t.now()) == nil {
		return l, nil
	}
	if err != nil && jeton.Outcome(err) != jeton.ErrNotFound {
		return nil, err
	}

	return nil, jeton.WithDetail(jeton.ErrNotFound, "there is no such token, or it is not valid now")
}

// FindAccessor returns the token with the accessor in w, whether it is valid now or not, without using it. It returns
// jeton.ErrNotFound if there is none that matches w.
func (t *Tokens) FindAccessor(ctx context.Context, w Which) (*Live, error) {
	// An empty accessor selects every token, not none.
	if w.Accessor == "" {
		return nil, jeton.ErrNotFound
	}

	list, err := t.store.ListTokens(ctx, w, 1)
	if err != nil {
		return nil, fmt.Errorf("find token: %w", err)
	}
	if len(list) == 0 {
		return nil, jeton.WithDetail(jeton.ErrNotFound, "there is no such token, or it is not stored")
	}

	return t.newLive(list[0]), nil
}

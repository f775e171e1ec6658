package token

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/secret"
)

// Draft is a personal token to be made. Its zero values are closed or absent: no audience is
// refused, no expiry is refused, no MaxUses is not counted.
type Draft struct {
	Name      string
	Audience  []string // services that it is for
	Scopes    []string
	Limits    policy.Limits
	MaxUses   int64 // 0: not counted
	NotBefore time.Time
	Expires   time.Time
	Parent    *Live  // that it is made of, or nil: of the owner's own password or session
	Login     int64  // number of the session that asks, or 0
	Source    string // address that asks
}

// MaxPersonal is how long a personal token may be good at most. Nothing is good for ever.
const MaxPersonal = 366 * 24 * time.Hour

const maxName = 128

// Create makes a personal token of the owner. It is never wider than the one that it is made
// of, and ends with it. It returns jeton.ErrInvalid, with what to mend, for a draft that is
// not one, and jeton.ErrForbidden for one that is wider than its parent.
func (t *Tokens) Create(ctx context.Context, owner Owner, d Draft, ev jeton.Event) (jeton.Token, jeton.Secret, error) {
	now := t.now()
	if err := d.check(now); err != nil {
		return jeton.Token{}, jeton.Secret{}, err
	}

	r := Record{
		Format:   policy.Opaque,
		Kind:     Personal,
		Name:     d.Name,
		Owner:    owner,
		Audience: sorted(d.Audience),
		Scopes:   sorted(d.Scopes),
		Limits:   d.Limits,
		MaxUses:  policy.Unlimited,
		Window:   policy.Window{Opens: d.NotBefore, Closes: d.Expires},
		Created:  now,
		Source:   d.Source,
	}
	if d.MaxUses > 0 {
		r.MaxUses = d.MaxUses
	}
	if r.Window.Opens.IsZero() {
		r.Window.Opens = now
	}

	if d.Parent != nil {
		if err := within(r, d.Parent); err != nil {
			return jeton.Token{}, jeton.Secret{}, err
		}
		r.Parent, r.Owner = d.Parent.Record.Number, d.Parent.Owner
	}

	var err error
	r.Accessor, err = secret.ID("t_", now, t.rand)
	if err != nil {
		return jeton.Token{}, jeton.Secret{}, err
	}

	text, err := secret.New(secret.Personal, t.rand)
	if err != nil {
		return jeton.Token{}, jeton.Secret{}, err
	}

	r.Hash = secret.HashOf(text.Reveal())
	ev.Target = "token:" + r.Accessor

	m := Mint{
		Record: r,
		Keep:   true,
		Login:  d.Login,
		Event:  ev,
	}
	if d.Parent != nil {
		m.Shown = d.Parent.Hash
	}

	if err := t.store.MintToken(ctx, m); err != nil {
		return jeton.Token{}, jeton.Secret{}, fmt.Errorf("create token: %w", err)
	}

	return tell(r), text, nil
}

func (d Draft) check(now time.Time) error {
	switch {
	case d.Name == "" || len(d.Name) > maxName ||
		!utf8.ValidString(d.Name) || strings.ContainsFunc(d.Name, func(r rune) bool {
		return r < ' ' || r == 0x7f
	}):
		return jeton.WithDetail(
			jeton.ErrInvalid,
			fmt.Sprintf("give the token a name of 1 to %d bytes, by which you will know what it is for", maxName),
		)
	case len(d.Audience) == 0:
		return jeton.WithDetail(jeton.ErrInvalid, "name the services that the token is for")
	case d.Expires.IsZero():
		return jeton.WithDetail(jeton.ErrInvalid, "say when the token ends")
	case !d.Expires.After(now) || !d.Expires.After(d.NotBefore):
		return jeton.WithDetail(jeton.ErrInvalid, "the token would be over before it began")
	case d.Expires.After(now.Add(MaxPersonal)):
		return jeton.WithDetail(jeton.ErrInvalid, "a token is good for a year and a day at most")
	case d.MaxUses < 0:
		return jeton.WithDetail(jeton.ErrInvalid, "max_uses is 1 or more, or left out")
	}

	return nil
}

// within checks that a token is not wider than the one that it is made of.
func within(r Record, p *Live) error {
	wider := func(what string) error {
		return jeton.WithDetail(jeton.ErrForbidden, "a token is never wider than the one that it is made of: "+what)
	}

	switch {
	case p.Kind != Personal:
		// One that is issued for a proof is short; what it makes would outlive that.
		return jeton.WithDetail(
			jeton.ErrForbidden,
			"of a token that was issued no other is made; make one of a personal token, or with a password or a session",
		)
	case p.MaxUses != policy.Unlimited:
		// Its uses would have to be shared out; who needs that makes two tokens.
		return jeton.WithDetail(jeton.ErrForbidden, "of a token that is counted no other is made")
	case slices.ContainsFunc(r.Audience, func(a string) bool { return !slices.Contains(p.Audience, a) }):
		return wider("services")
	case policy.CheckScopes(p.Scopes, r.Scopes) != nil:
		return wider("scopes")
	case !r.Limits.Within(p.Limits):
		return wider("methods, paths or networks")
	case r.Window.Opens.Before(p.Window.Opens):
		return wider("it would begin earlier")
	case r.Window.Closes.After(p.Window.Closes):
		return wider("it would end later")
	}

	return nil
}

func sorted(list []string) []string {
	list = slices.Clone(list)
	slices.Sort(list)
	list = slices.Compact(list)
	if list == nil {
		list = []string{}
	}

	return list
}

// tell returns what may be told of a token.
func tell(r Record) jeton.Token {
	tok := jeton.Token{
		Accessor:  r.Accessor,
		Format:    string(r.Format),
		Kind:      string(r.Kind),
		Name:      r.Name,
		Audience:  r.Audience,
		Scopes:    r.Scopes,
		Created:   r.Created,
		NotBefore: r.Window.Opens,
		Expires:   r.Window.Closes,
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

	if r.MaxUses != policy.Unlimited {
		tok.MaxUses = r.MaxUses
	}

	return tok
}

// Rotate gives a personal token another secret. The old one is not accepted once that has
// been answered; uses that it has taken stay taken, and what was made of it ends.
// shown is the token itself where it asks, and nil where somebody else does.
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

	return tell(r), text, nil
}

// Accessor returns the token of an accessor, for what is to be made of it. It returns
// jeton.ErrNotFound when there is none that is good now.
func (t *Tokens) Accessor(ctx context.Context, accessor string) (*Live, error) {
	list, err := t.store.ListTokens(ctx, Which{Accessor: accessor}, 1)
	if err != nil {
		return nil, fmt.Errorf("find token: %w", err)
	}
	if accessor == "" || len(list) == 0 || list[0].Window.Check(t.now()) != nil {
		return nil, jeton.WithDetail(jeton.ErrNotFound, "there is no such token, or it is not good now")
	}

	return t.newLive(list[0]), nil
}

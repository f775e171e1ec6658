package token

import (
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/count"
	"github.com/jeton-auth/jeton/internal/policy"
)

// Live is a cached token. Only its last use changes; a changed token is a new Live.
type Live struct {
	Record
	count.Key
	own      []policy.Budget
	acting   []string     // names of Actors
	signedBy string       // kid of a signed token
	lastUsed atomic.Int64 // milliseconds since 1970; 0: unknown
	uses     *lastUses
}

// newLive returns a stored token for the cache, with the budget that its uses are taken
// from.
func (t *Tokens) newLive(r Record) *Live {
	l := &Live{Record: r, uses: &t.uses}
	used := t.latest(r)
	if !used.IsZero() {
		l.lastUsed.Store(used.UnixMilli())
	}

	l.Key.Token = r.Number
	if r.Owner.Kind == jeton.KindUser {
		l.Key.User = r.Owner.ID
	}

	if r.MaxUses != policy.Unlimited {
		l.own = []policy.Budget{{ID: t.budget, Name: "token", Max: r.MaxUses}}
	}
	for _, a := range r.Actors {
		l.acting = append(l.acting, a.Client)
	}
	for _, s := range r.Shares {
		l.own = append(l.own, policy.Budget{
			ID:    t.budget,
			Name:  "token",
			Max:   s.Max,
			Token: s.Token,
		})
	}

	return l
}

// Principal returns the owner.
func (l *Live) Principal() jeton.Principal {
	return jeton.Principal{
		Kind:   l.Owner.Kind,
		Name:   l.Owner.Name,
		Groups: l.Owner.Groups,
		Token:  l.Accessor,
		Scopes: l.Scopes,
		Since:  l.Created,
		Actors: l.acting,
	}
}

// Check judges a token by time: jeton.ErrTooEarly before it opens, jeton.ErrExpired once it
// closes. There is no leeway.
func (l *Live) Check(now time.Time) error { return l.Window.Check(now) }

// Permits returns jeton.ErrScope unless the token has the required scopes, and
// jeton.ErrForbidden unless its limits permit the method, path and source.
func (l *Live) Permits(a policy.Request) error {
	if err := l.Limits.Check(a); err != nil {
		return err
	}

	return policy.CheckScopes(l.Scopes, a.Scopes)
}

// Budgets returns the key of the token's counts, and its own budget if it has one.
func (l *Live) Budgets() (*count.Key, []policy.Budget) { return &l.Key, l.own }

// Describe returns the token's identity and validity, for the operator.
func (l *Live) Describe() (which, window string) {
	which = fmt.Sprintf(
		"%s token %s of %s %s for %v, issued %s",
		l.Format, l.Accessor, l.Owner.Kind, l.Owner.Name, l.Audience,
		l.Created.UTC().Format(policy.TimeFormat),
	)
	if len(l.Actors) > 0 {
		which += ", with which client " + strings.Join(l.acting, " for client ") + " acts"
	}

	return which, fmt.Sprintf(
		"valid from %s, expires %s", l.Window.Opens.UTC().Format(policy.TimeFormat),
		l.Window.Closes.UTC().Format(policy.TimeFormat),
	)
}

package policy

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/jeton-auth/jeton"
)

// MaxActors is how many clients act for the owner of a token, one for the other, at most. More would be a loop that no
// rule shows, or a chain that no audit log explains.
const MaxActors = 5

// ExchangeRule says which tokens a client exchanges for one that is valid at the next service, and with which terms.
// The zero value allows nothing.
type ExchangeRule struct {
	From       string        // service that the token is for
	To         string        // service that the new one is for
	Scopes     []string      // at most, of those of the token; none: no scope
	Lifetime   time.Duration // at most; 0: that of the service, which no rule of a file has (max_lifetime is 5m there)
	MaxUses    int64         // at most, or Unlimited: that of the service
	SharedUses bool          // a use of the new token is one of the token, too, if that is counted
	Allows     []Rule        // see Limits; none: those of the token
}

// Terms returns the terms of a token by the rule, which are never wider than those of the service. The token is opaque:
// it ends with the one that it was exchanged for, so it is looked up.
func (e ExchangeRule) Terms(t TokenTerms) TokenTerms {
	t.Format = Opaque
	if e.Lifetime > 0 {
		t.Lifetime = min(t.Lifetime, e.Lifetime)
	}
	if e.MaxUses != Unlimited && (t.MaxUses == Unlimited || e.MaxUses < t.MaxUses) {
		t.MaxUses = e.MaxUses
	}

	return t
}

// ExchangeWish is what a client asks for beyond the rule. It is never more than the rule gives. The zero value asks for
// nothing.
type ExchangeWish struct {
	Lifetime   time.Duration // at most; 0: that of the rule
	MaxUses    int64         // at most; 0: those of the rule
	SharedUses bool          // also where the rule does not say so
}

// Narrowed returns the rule with the terms that a client asks for, as far as they are narrower. It has another ID.
func (e ExchangeRule) Narrowed(w ExchangeWish) ExchangeRule {
	if w.Lifetime > 0 && (e.Lifetime == 0 || w.Lifetime < e.Lifetime) {
		e.Lifetime = w.Lifetime
	}
	if w.MaxUses > 0 && (e.MaxUses == Unlimited || w.MaxUses < e.MaxUses) {
		e.MaxUses = w.MaxUses
	}
	e.SharedUses = e.SharedUses || w.SharedUses

	return e
}

// ID names the rule of a client. Another rule, and one of other terms, has another ID.
func (e ExchangeRule) ID(client string) string {
	e.Scopes = slices.Sorted(slices.Values(e.Scopes))
	return ruleID("exchange "+client, e)
}

// ruleID returns a text that names a rule with its terms. They may be those of tokens, which a reader of the audit log
// compares: it is short, and no attacker writes rules.
func ruleID(of string, rule any) string {
	text, err := json.Marshal(rule)
	if err != nil {
		return "" // no rule has a member that JSON cannot express; a token with no ID is refused
	}
	sum := sha256.Sum256(text)

	return of + " " + hex.EncodeToString(sum[:8])
}

// Granted returns the scopes of a token by the rule, of those that the exchanged one has.
func (e ExchangeRule) Granted(has []string) []string {
	lacks := func(s string) bool { return !slices.Contains(e.Scopes, s) }
	return slices.DeleteFunc(slices.Clone(has), lacks)
}

// maxNarrowed is how many rules Narrowed returns at most: each is stored with the token, and read at its requests.
const maxNarrowed = 1000

// Errors of Narrowed. Each is jeton.ErrForbidden.
var (
	errNothing = fmt.Errorf("%w: the token permits no request that the rule allows", jeton.ErrForbidden)
	errRules   = fmt.Errorf(
		"%w: the token and the rule have more than %d methods and paths in common; want fewer, such as /files/*",
		jeton.ErrForbidden, maxNarrowed,
	)
)

// Narrowed returns limits that permit what both l and the rules permit, and jeton.ErrForbidden if that is nothing, or
// too many rules. No rule permits every request.
func (l Limits) Narrowed(rules []Rule) (Limits, error) {
	switch {
	case len(rules) == 0:
		return l, nil
	case len(l.Allows) == 0:
		l.Allows = rules
		return l, nil
	}

	var both []Rule
	known := map[Rule]bool{}
	for _, a := range l.Allows {
		for _, b := range rules {
			r, ok := a.and(b)
			if !ok || known[r] {
				continue
			}
			if len(both) == maxNarrowed {
				return Limits{}, errRules
			}

			known[r] = true
			both = append(both, r)
		}
	}
	l.Allows = both

	// An empty list would permit everything.
	if len(both) == 0 {
		return Limits{}, errNothing
	}

	return l, nil
}

// and returns the rule that matches what both rules match, and false if that is nothing. Of two paths that both match
// some path, one matches all that the other does.
func (r Rule) and(other Rule) (Rule, bool) {
	both := r
	switch {
	case r.Method == "*":
		both.Method = other.Method
	case other.Method != "*" && other.Method != r.Method:
		return Rule{}, false
	}

	switch {
	case r.matchesPath(other.Path):
		both.Path = other.Path
	case !other.matchesPath(r.Path):
		return Rule{}, false
	}

	return both, true
}

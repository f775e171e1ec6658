package token

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/client"
	"github.com/jeton-auth/jeton/internal/keys"
	"github.com/jeton-auth/jeton/internal/policy"
)

// SetRules sets the IDs of the rules of the configuration by which tokens are issued: those of exchanges and of
// workload issuers. Tokens by other rules are refused as long as the configuration does not have those rules as they
// were.
func (t *Tokens) SetRules(ids []string) {
	rules := map[string]bool{}
	for _, id := range ids {
		rules[id] = true
	}

	t.rules.Store(&rules)
	t.live.DropIf(func(l *Live) bool { return len(l.Actors) > 0 || l.rule() != "" })
}

// rule returns the rule of a workload issuer by which a client got the token, or "".
func (r *Record) rule() string {
	if r.Kind == Access && r.Owner.Kind == jeton.KindClient && strings.HasPrefix(r.Name, policy.WorkloadRulePrefix) {
		return r.Name
	}
	return ""
}

// standing returns jeton.ErrBadCredential unless everything lasts that the token needs beside its owner and its parent:
// the rules by which it was issued, and the clients that act for its owner.
func (t *Tokens) standing(ctx context.Context, r Record) error {
	if err := t.hasRules(r); err != nil {
		return err
	}

	for _, a := range r.Actors {
		if err := t.acts(ctx, r.Accessor, a); err != nil {
			return err
		}
	}

	return nil
}

// hasRules returns jeton.ErrBadCredential unless the configuration has the rules by which a token was issued.
func (t *Tokens) hasRules(r Record) error {
	if err := t.hasRule(r.Accessor, r.rule()); err != nil {
		return err
	}

	for _, a := range r.Actors {
		if a.Rule == "" {
			return refused("token %s names no rule: it was exchanged by an older version", r.Accessor)
		}
		if err := errors.Join(t.hasRule(r.Accessor, a.Rule), t.hasRule(r.Accessor, a.Origin)); err != nil {
			return err
		}
	}

	return nil
}

// hasRule returns jeton.ErrBadCredential unless the configuration has the rule of a token; "" is none.
func (t *Tokens) hasRule(accessor, id string) error {
	if id == "" || (*t.rules.Load())[id] {
		return nil
	}
	return refused("token %s was issued by the rule %q, which has been changed or removed", accessor, id)
}

// acts returns jeton.ErrBadCredential unless a client that acts for the owner of a token is enabled, its tokens were
// not revoked since, and the key lasts that proved it. A client has another version after a revocation, and after it
// was disabled.
func (t *Tokens) acts(ctx context.Context, accessor string, a Actor) error {
	c, err := t.clients.Find(ctx, a.Client)
	switch {
	case err != nil && !errors.Is(err, jeton.ErrNotFound):
		return fmt.Errorf("find client that acts for the owner of a token: %w", err)
	case err != nil || c.ID != a.ID || c.Version != a.Version || c.Disabled:
		return refused(
			"client %s, which acts with token %s, is deleted, disabled, or has revoked its tokens",
			a.Client, accessor,
		)
	case a.Key != "" && !slices.ContainsFunc(c.Keys, func(k client.Key) bool {
		return !k.Retired && k.Thumbprint() == a.Key
	}):
		return refused("the key of client %s, which acts with token %s, is retired or removed", a.Client, accessor)
	}

	return nil
}

// signatures returns jeton.ErrBadCredential if a key of this server has been revoked that signed the token which l was
// exchanged for. It is checked at each use, as for the signed token itself.
func (t *Tokens) signatures(ctx context.Context, l *Live) error {
	for _, a := range l.Actors {
		if a.Signed == "" {
			continue
		}
		if err := t.ring.Fresh(ctx); err != nil {
			return err
		}
		if _, ok := t.ring.Verifier(keys.Access, a.Signed); !ok {
			return refused(
				"key %s no longer verifies tokens; it signed the one that token %s was exchanged for",
				a.Signed, l.Accessor,
			)
		}
	}

	return nil
}

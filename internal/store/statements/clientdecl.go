package statements

import (
	"bytes"
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/client"
	"github.com/jeton-auth/jeton/internal/secret"
	"github.com/jeton-auth/jeton/internal/store/change"
)

// DeclareClients implements client.Store.
func (db *Store) DeclareClients(ctx context.Context, declared []client.Client, s client.Step) error {
	// Nothing to do is the common case, and a start without a write is a fast one.
	stored, err := allClients(ctx, db.engine)
	if err != nil {
		return Unavailable(err)
	}
	if len(declaringClients.plan(stored, declared)) == 0 {
		return nil
	}

	return db.serial(ctx, func(ctx context.Context, tx Conn) ([]change.Change, error) {
		var changed []int64
		var ended []secret.Hash

		// Read again in the step: another node may have declared them meanwhile.
		stored, err := allClients(ctx, tx)
		if err != nil {
			return nil, err
		}

		for _, step := range declaringClients.plan(stored, declared) {
			over, err := declareClient(ctx, tx, step, s)
			if err != nil {
				return nil, fmt.Errorf("client %s: %w", step.to.Name, err)
			}

			ended = append(ended, over...)
			if step.from.ID != 0 {
				changed = append(changed, step.from.ID)
			}

			ev := s.Event
			ev.Action, ev.Target = step.action, "client:"+step.to.Name

			if err := appendEvents(ctx, tx, ev); err != nil {
				return nil, err
			}
		}

		return clientChanged(ended, changed...), nil
	})
}

// declaringClients compares clients.
var declaringClients = declaring[client.Client]{
	add:      audit.ClientAdd,
	change:   audit.ClientChange,
	remove:   audit.ClientRemove,
	name:     func(c client.Client) string { return c.Name },
	declared: func(c client.Client) bool { return c.Declared },
	differs: func(a, b client.Client) []string {
		return unequal(
			key{"keys", sameKeys(a.Keys, withRetired(a.Keys, b.Keys))},
			key{"key_source", equal(a.Source, b.Source)},
			key{"secret_hash", equal(a.Secret, b.Secret)},
			key{"services", slices.Equal(a.Services, b.Services)},
			key{"scopes", slices.Equal(a.Scopes, b.Scopes)},
			key{"introspects", slices.Equal(a.Introspects, b.Introspects)},
			key{"openid", reflect.DeepEqual(a.OpenID, b.OpenID)},
			key{"disabled", a.Disabled == b.Disabled},
		)
	},
}

// equal compares what is behind two pointers, either of which may be nil.
func equal[T comparable](a, b *T) bool { return a == b || a != nil && b != nil && *a == *b }

// sameKeys compares keys without regard to their order and their age.
func sameKeys(a, b []client.Key) bool {
	byID := func(a, b client.Key) int { return strings.Compare(a.ID, b.ID) }
	return slices.EqualFunc(
		slices.SortedFunc(slices.Values(a), byID), slices.SortedFunc(slices.Values(b), byID), sameKey,
	)
}

// sameKey compares two keys as they are stored: to the millisecond. The time at which a key
// was added is not compared.
func sameKey(a, b client.Key) bool {
	return a.ID == b.ID && a.Alg == b.Alg && bytes.Equal(
		a.JWK(),
		b.JWK(),
	) && a.Retired == b.Retired && milli(a.Opens) == milli(b.Opens) && milli(a.Closes) == milli(b.Closes)
}

// declareClient takes one step of the plan and returns the hashes of the tokens that it has
// ended.
func declareClient(
	ctx context.Context,
	tx Conn,
	p difference[client.Client],
	s client.Step,
) (ended []secret.Hash, err error) {
	switch p.action {
	case audit.ClientAdd:
		p.to.Created, p.to.Updated = s.Now, s.Now
		// The step may run again after a rollback, with the same list.
		p.to.Keys = slices.Clone(p.to.Keys)
		for i := range p.to.Keys {
			p.to.Keys[i].Created = s.Now
		}
		return nil, insertClient(ctx, tx, p.to)
	case audit.ClientRemove:
		return removeClient(ctx, tx, p.from, s)
	}

	ch := client.Change{
		Secret:      &client.SetSecret{Hash: p.to.Secret},
		Services:    &p.to.Services,
		Scopes:      &p.to.Scopes,
		Introspects: &p.to.Introspects,
		OpenID: &client.SetRelying{Edit: func(*jeton.RelyingParty) (*jeton.RelyingParty, error) {
			return p.to.OpenID, nil
		}},
	}
	// Set only if it differs, as each setting ends the client's tokens.
	if p.from.Disabled != p.to.Disabled {
		ch.Disabled = &p.to.Disabled
	}

	c := p.from
	// changeClient writes the client as it is given: an added client becomes declared.
	c.Source, c.Declared = p.to.Source, true

	if ended, err = changeClient(ctx, tx, c, ch, s); err != nil {
		return nil, err
	}
	keys := withRetired(p.from.Keys, p.to.Keys)
	if sameKeys(p.from.Keys, keys) {
		return ended, nil
	}

	return ended, replaceKeys(ctx, tx, p.from, keys, s.Now)
}

// withRetired returns the declared keys and those retired ones of the client whose ids are not among
// them: what was retired stays refused, also if it is in the key source of the client.
func withRetired(own, declared []client.Key) []client.Key {
	keys := slices.Clone(declared)
	for _, k := range own {
		if k.Retired && !slices.ContainsFunc(declared, func(d client.Key) bool { return d.ID == k.ID }) {
			keys = append(keys, k)
		}
	}

	return keys
}

// replaceKeys gives a client exactly these keys. One that it had stays as old as it was.
func replaceKeys(ctx context.Context, tx Conn, c client.Client, keys []client.Key, now time.Time) error {
	if _, err := tx.Exec(ctx, "DELETE FROM client_keys WHERE client = $1", c.ID); err != nil {
		return err
	}

	for _, k := range keys {
		k.Created = now
		i := slices.IndexFunc(c.Keys, func(old client.Key) bool { return sameKey(old, k) })
		if i >= 0 {
			k.Created = c.Keys[i].Created
		}

		if err := insertKey(ctx, tx, c.ID, k); err != nil {
			return err
		}
	}

	return nil
}

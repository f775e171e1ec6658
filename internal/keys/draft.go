package keys

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/audit"
)

// draft is what one step does to the keys, on a copy of all of them. It reads neither the
// clock nor the store, and makes no keys: those that it may need have been made before.
type draft struct {
	now     time.Time
	needs   needs
	actor   string
	all     []*Record
	made    map[Pair]Record // new keys
	needed  []Pair          // for which made has no key
	started []string        // kids of keys that are added, or sign at once
	changed map[string]bool // kids
	drop    []string        // kids
	events  []jeton.Event
}

// newDraft returns a draft of all keys. They are copied: the step may run again with the
// same list.
func newDraft(keys []Record, made map[Pair]Record, n needs, actor string, now time.Time) *draft {
	return &draft{
		now:     now,
		needs:   n,
		actor:   actor,
		all:     pointers(slices.Clone(keys)),
		made:    made,
		changed: map[string]bool{},
	}
}

// pointers returns pointers into a list, so that a step changes keys in their place.
func pointers(list []Record) []*Record {
	all := make([]*Record, len(list))
	for i := range list {
		all[i] = &list[i]
	}
	return all
}

// inOrder returns the keys of a pair in the order in which they sign.
func inOrder(all []*Record, p Pair) []*Record {
	var list []*Record
	for _, k := range all {
		if k.pair() == p {
			list = append(list, k)
		}
	}

	slices.SortFunc(list, func(a, b *Record) int {
		return cmp.Or(a.Opens.Compare(b.Opens), a.Created.Compare(b.Created), strings.Compare(a.ID, b.ID))
	})

	return list
}

// current returns the key that signs: the last one that has opened. When none has, because
// the clock has jumped back, it is the first. The keys are in order.
func current(keys []*Record, now time.Time) *Record {
	var found *Record
	for _, k := range keys {
		if k.live(now) && (found == nil || k.opened(now)) {
			found = k
		}
	}

	return found
}

// next returns the first key that will sign after the current one, or nil.
func next(keys []*Record, now time.Time) *Record {
	cur := current(keys, now)
	for _, k := range keys {
		if k.live(now) && !k.opened(now) && k != cur {
			return k
		}
	}

	return nil
}

// pairs returns the pairs that have a key which signs, now or later.
func (d *draft) pairs() []Pair {
	var list []Pair
	for _, k := range d.all {
		if k.live(d.now) && !slices.Contains(list, k.pair()) {
			list = append(list, k.pair())
		}
	}

	slices.SortFunc(list, func(a, b Pair) int { return strings.Compare(a.String(), b.String()) })

	return list
}

// isEmpty reports whether the step changes nothing, so that the store need not be written.
func (d *draft) isEmpty() bool {
	return len(d.needed)+len(d.changed)+len(d.drop)+len(d.events) == 0
}

// put returns the keys to be added or replaced.
func (d *draft) put() []Record {
	var list []Record
	for _, k := range d.all {
		if d.changed[k.ID] {
			list = append(list, *k)
		}
	}

	return list
}

// list returns keys by their ids.
func (d *draft) list(ids []string) []*Record {
	var list []*Record
	for _, k := range d.all {
		if slices.Contains(ids, k.ID) {
			list = append(list, k)
		}
	}

	return list
}

// note adds an audit event about a key.
func (d *draft) note(action, kid, reason string) {
	d.events = append(d.events, jeton.Event{
		Time:    d.now,
		Actor:   d.actor,
		Action:  action,
		Target:  "key:" + kid,
		Outcome: audit.OK,
		Reason:  reason,
	})
}

// add adds a new key of a pair, or returns nil when none has been made yet.
func (d *draft) add(p Pair, opens time.Time) *Record {
	// Making an RSA key inside the step of the store would delay all other writes.
	k, ok := d.made[p]
	if !ok {
		d.needed = append(d.needed, p)
		return nil
	}

	k.Created, k.Opens = d.now, opens
	d.all = append(d.all, &k)
	d.changed[k.ID] = true
	d.started = append(d.started, k.ID)

	return &k
}

// align makes each key of a pair that signs, now or later, retire when the one after it
// opens, and the last one never. There may be several after the clock has jumped back.
func (d *draft) align(p Pair) {
	var live []*Record
	for _, k := range inOrder(d.all, p) {
		if k.live(d.now) {
			live = append(live, k)
		}
	}

	for i, k := range live {
		switch {
		// The last key has no successor: a retirement that was planned for it would leave the
		// pair without a key.
		case i == len(live)-1:
			if !k.Retires.IsZero() {
				k.Retires, k.Closes = time.Time{}, time.Time{}
				d.changed[k.ID] = true
			}
		// The successor signs already. Closes counts from now, not from that past moment: this
		// key may have signed until now.
		case live[i+1].Opens.Before(d.now):
			d.retire(k, d.now)
		case !k.Retires.Equal(live[i+1].Opens):
			d.retire(k, live[i+1].Opens)
		}
	}
}

// retire sets when a key stops to sign, and from that when it stops to check: after the
// last token that it signed has expired and no cached JWKS has it.
func (d *draft) retire(k *Record, at time.Time) {
	k.Retires = at
	k.Closes = at.Add(d.needs.Keep)
	d.changed[k.ID] = true
}

// supply adds a key that signs at once for every needed pair without a key.
func (d *draft) supply() {
	have := d.pairs()
	for _, p := range d.needs.Pairs {
		if slices.Contains(have, p) {
			continue
		}

		k := d.add(p, d.now)
		if k != nil {
			have = append(have, p) // the configuration may name it twice
			d.note(audit.KeyMake, k.ID, "for "+p.String()+", signs at once")
		}
	}
}

// rotate adds the next key of a pair. With atOnce it signs now, and so does an existing next
// key. The reason is for the audit log.
func (d *draft) rotate(p Pair, atOnce bool, reason string) error {
	keys := inOrder(d.all, p)
	cur := current(keys, d.now)
	waiting := next(keys, d.now)

	if waiting != nil && !atOnce {
		return jeton.WithDetail(
			jeton.ErrConflict,
			fmt.Sprintf(
				"key %s is the next for %s already and signs from %s; rotate now lets it sign at once",
				waiting.ID, p, stamp(waiting.Opens),
			),
		)
	}
	if waiting != nil {
		d.openEarlier(cur)
		d.signNow(waiting, reason, " instead of "+cur.ID)

		return nil
	}

	// Verifiers cache the JWKS: a key that signs before they have read it again makes valid
	// tokens fail.
	opens := d.now.Add(d.needs.PublishFor)
	if atOnce {
		opens = d.now
	}

	k := d.add(p, opens)
	if k == nil {
		return nil
	}

	d.openEarlier(cur)
	d.align(p)
	d.note(audit.KeyRotate, k.ID, reason+"for "+p.String()+", signs from "+stamp(opens)+" instead of "+cur.ID)

	return nil
}

// openEarlier makes the current key come before one that opens now. It may have been made at
// the same moment, or sign before its time because the clock has jumped back.
func (d *draft) openEarlier(cur *Record) {
	if !cur.Opens.Before(d.now) {
		cur.Opens = d.now.Add(-time.Millisecond)
		d.changed[cur.ID] = true
	}
}

// signNow makes the next key sign at once.
func (d *draft) signNow(k *Record, reason, instead string) {
	k.Opens = d.now
	d.changed[k.ID] = true
	d.started = append(d.started, k.ID)
	d.align(k.pair())
	d.note(audit.KeyRotate, k.ID, reason+"for "+k.pair().String()+", signs at once"+instead)
}

// stamp formats a time for the audit log: UTC, RFC 3339.
func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// skew is the largest expected difference between the clocks of nodes.
const skew = time.Minute

// schedule rotates a pair when its key is due, early enough to publish the next one before it
// signs.
func (d *draft) schedule(p Pair) error {
	keys := inOrder(d.all, p)
	cur := current(keys, d.now)
	waiting := next(keys, d.now)

	// The clock has jumped back since the current key was made.
	if cur.Opens.Sub(d.now) > skew {
		d.openEarlier(cur)
	}

	if waiting != nil {
		d.limitWait(waiting)
		return nil
	}
	if d.needs.RotateEvery == 0 || !cur.Retires.IsZero() {
		return nil
	}

	age := d.now.Sub(cur.Opens)
	if slices.Contains(d.needs.Pairs, p) {
		if age < d.needs.RotateEvery-d.needs.PublishFor {
			return nil
		}

		return d.rotate(p, false, "on schedule ")
	}

	// This configuration does not need the pair. Another node may still run with an older
	// one that does, so the key signs for twice the time before it retires.
	if age >= 2*d.needs.RotateEvery {
		d.retire(cur, d.now)
		d.note(
			audit.KeyRotate, cur.ID,
			"for "+p.String()+", which the configuration does not need: retired without a next key",
		)
	}

	return nil
}

// limitWait corrects the next key when the clock was ahead as it was made: it must not wait
// much longer than it has to be published.
func (d *draft) limitWait(waiting *Record) {
	if waiting.Opens.Sub(d.now) <= 2*d.needs.PublishFor+skew {
		return
	}

	waiting.Opens = d.now.Add(d.needs.PublishFor)
	d.changed[waiting.ID] = true
	d.align(waiting.pair())
}

// revoke revokes a key at once, and replaces it when it is the current one.
func (d *draft) revoke(kid, reason string) error {
	i := slices.IndexFunc(d.all, func(k *Record) bool { return k.ID == kid && !k.closed(d.now) })
	if i < 0 {
		return jeton.WithDetail(jeton.ErrNotFound, "there is no signing key with that kid")
	}

	k := d.all[i]
	// The first reason stays in the audit log.
	if k.Revoked {
		return nil
	}

	// These depend on the key not being revoked yet.
	keys := inOrder(d.all, k.pair())
	wasLive := k.live(d.now)
	wasCurrent := k == current(keys, d.now)
	waiting := next(keys, d.now)

	k.Revoked = true
	d.changed[k.ID] = true
	// It gets its Closes, after which removeWithdrawn deletes the record.
	if !k.retired(d.now) {
		d.retire(k, d.now)
	}

	d.note(audit.KeyRevoke, k.ID, cmp.Or(reason, "revoked by an operator"))

	if wasCurrent {
		d.replace(k, waiting)
	} else if wasLive {
		d.align(k.pair()) // the current key may have no successor now
	}

	return nil
}

// replace lets the next key sign in place of a revoked one, or adds one. A pair that the
// configuration does not need gets no new key.
func (d *draft) replace(revoked, waiting *Record) {
	if waiting != nil {
		d.signNow(waiting, "", " in place of "+revoked.ID)
		return
	}

	p := revoked.pair()
	// Without a configuration, as in a command, every pair in use counts as needed.
	if d.needs.configured && !slices.Contains(d.needs.Pairs, p) {
		return
	}

	k := d.add(p, d.now)
	if k != nil {
		d.note(audit.KeyMake, k.ID, "for "+p.String()+", signs at once in place of "+revoked.ID)
	}
}

// removeWithdrawn removes the keys that are withdrawn.
func (d *draft) removeWithdrawn() {
	for _, k := range d.all {
		if k.closed(d.now) {
			d.drop = append(d.drop, k.ID)
		}
	}
}

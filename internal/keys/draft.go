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

// draft is what one step does to the keys, worked out on a copy of all of them. It reads
// no clock and no store, and makes no key: those that it may need were made before.
type draft struct {
	now    time.Time
	needs  needs
	by     string
	all    []*Record
	fresh  map[Pair]Record
	short  []Pair // of which fresh lacks a key
	coming []string
	wrote  map[string]bool
	drop   []string
	events []jeton.Event
}

func newDraft(have []Record, fresh map[Pair]Record, n needs, by string, now time.Time) *draft {
	return &draft{
		now:   now,
		needs: n,
		by:    by,
		all:   pointers(slices.Clone(have)),
		fresh: fresh,
		wrote: map[string]bool{},
	}
}

func pointers(list []Record) []*Record {
	all := make([]*Record, len(list))
	for i := range list {
		all[i] = &list[i]
	}
	return all
}

// line returns the keys of a pair in the order in which they sign.
func line(all []*Record, p Pair) []*Record {
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

// current returns the key of a line that signs: the last of those whose time has come. When
// no time has come, because the clock has jumped back, the first of them signs.
func current(line []*Record, now time.Time) *Record {
	var found *Record
	for _, k := range line {
		if k.live(now) && (found == nil || k.opened(now)) {
			found = k
		}
	}

	return found
}

// next returns the first key of a line that waits for its time, or nil.
func next(line []*Record, now time.Time) *Record {
	cur := current(line, now)
	for _, k := range line {
		if k.live(now) && !k.opened(now) && k != cur {
			return k
		}
	}

	return nil
}

// pairs returns the pairs that have a key which signs.
func (c *draft) pairs() []Pair {
	var list []Pair
	for _, k := range c.all {
		if k.live(c.now) && !slices.Contains(list, k.pair()) {
			list = append(list, k.pair())
		}
	}

	slices.SortFunc(list, func(a, b Pair) int { return strings.Compare(a.String(), b.String()) })

	return list
}

func (c *draft) isEmpty() bool {
	return len(c.short)+len(c.wrote)+len(c.drop)+len(c.events) == 0
}

func (c *draft) put() []Record {
	var list []Record
	for _, k := range c.all {
		if c.wrote[k.ID] {
			list = append(list, *k)
		}
	}

	return list
}

// list returns keys by their ids.
func (c *draft) list(ids []string) []*Record {
	var list []*Record
	for _, k := range c.all {
		if slices.Contains(ids, k.ID) {
			list = append(list, k)
		}
	}

	return list
}

func (c *draft) note(action, kid, reason string) {
	c.events = append(c.events, jeton.Event{
		Time:    c.now,
		Actor:   c.by,
		Action:  action,
		Target:  "key:" + kid,
		Outcome: audit.OK,
		Reason:  reason,
	})
}

// add puts a new key into the line of a pair, and returns nil when none has been made yet.
func (c *draft) add(p Pair, opens time.Time) *Record {
	k, ok := c.fresh[p]
	if !ok {
		c.short = append(c.short, p)
		return nil
	}

	k.Created, k.Opens = c.now, opens
	c.all = append(c.all, &k)
	c.wrote[k.ID] = true
	c.coming = append(c.coming, k.ID)

	return &k
}

// align makes each key of a line that signs, now or later, retire when the one behind it
// opens, and the last of them never. A clock that has gone back may have left several.
func (c *draft) align(p Pair) {
	var live []*Record
	for _, k := range line(c.all, p) {
		if k.live(c.now) {
			live = append(live, k)
		}
	}

	for i, k := range live {
		switch {
		case i == len(live)-1:
			if !k.Retires.IsZero() {
				k.Retires, k.Closes = time.Time{}, time.Time{}
				c.wrote[k.ID] = true
			}
		case live[i+1].Opens.Before(c.now):
			c.retire(k, c.now)
		case !k.Retires.Equal(live[i+1].Opens):
			c.retire(k, live[i+1].Opens)
		}
	}
}

func (c *draft) retire(k *Record, at time.Time) {
	k.Retires, k.Closes = at, at.Add(c.needs.Keep)
	c.wrote[k.ID] = true
}

// supply gives every needed pair that has no key one that signs at once.
func (c *draft) supply() {
	have := c.pairs()
	for _, p := range c.needs.Pairs {
		if slices.Contains(have, p) {
			continue
		}

		k := c.add(p, c.now)
		if k != nil {
			have = append(have, p) // it may be listed twice
			c.note(audit.KeyMake, k.ID, "for "+p.String()+", signs at once")
		}
	}
}

// rotate makes the next key of a pair, or lets the one that waits sign.
func (c *draft) rotate(p Pair, atOnce bool, why string) error {
	keys := line(c.all, p)
	cur, waits := current(keys, c.now), next(keys, c.now)
	switch {
	case waits != nil && !atOnce:
		return jeton.WithDetail(
			jeton.ErrConflict,
			fmt.Sprintf(
				"key %s is the next for %s already and signs from %s; rotate now lets it sign at once",
				waits.ID,
				p,
				stamp(waits.Opens),
			),
		)
	case waits != nil:
		c.settle(cur)
		c.promote(waits, why, " instead of "+cur.ID)
		return nil
	}

	opens := c.now.Add(c.needs.PublishFor)
	if atOnce {
		opens = c.now
	}

	k := c.add(p, opens)
	if k == nil {
		return nil
	}

	c.settle(cur)
	c.align(p)
	c.note(audit.KeyRotate, k.ID, why+"for "+p.String()+", signs from "+stamp(opens)+" instead of "+cur.ID)

	return nil
}

// settle lets the key that signs come before one that opens now: it may have been made in
// the same moment, or sign before its time because the clock has jumped back.
func (c *draft) settle(cur *Record) {
	if !cur.Opens.Before(c.now) {
		cur.Opens = c.now.Add(-time.Millisecond)
		c.wrote[cur.ID] = true
	}
}

// promote lets a key that waits sign at once.
func (c *draft) promote(k *Record, why, instead string) {
	k.Opens = c.now
	c.wrote[k.ID] = true
	c.coming = append(c.coming, k.ID)
	c.align(k.pair())
	c.note(audit.KeyRotate, k.ID, why+"for "+k.pair().String()+", signs at once"+instead)
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// schedule rotates a pair when its key is due, early enough for the next one to be
// published before it signs. A pair that no configuration asks for any more is due once
// it is twice as old: other nodes may have an older configuration.
func (c *draft) schedule(p Pair) error {
	keys := line(c.all, p)
	cur, waits := current(keys, c.now), next(keys, c.now)
	const skew = time.Minute // between the clocks of nodes
	if cur.Opens.Sub(c.now) > skew {
		c.settle(cur)
	}

	age := c.now.Sub(cur.Opens)
	switch {
	case waits != nil:
		if waits.Opens.Sub(c.now) > 2*c.needs.PublishFor+skew { // the clock was ahead when it was made
			waits.Opens = c.now.Add(c.needs.PublishFor)
			c.wrote[waits.ID] = true
			c.align(p)
		}
	case c.needs.RotateEvery == 0 || !cur.Retires.IsZero():
	case slices.Contains(c.needs.Pairs, p):
		if age >= c.needs.RotateEvery-c.needs.PublishFor {
			return c.rotate(p, false, "on schedule ")
		}
	case age >= 2*c.needs.RotateEvery:
		c.retire(cur, c.now)
		c.note(
			audit.KeyRotate,
			cur.ID,
			"for "+p.String()+", which nothing asks for any more: signs no more and has no next",
		)
	}

	return nil
}

// revoke ends a key at once, and puts another in its place when it was to sign.
func (c *draft) revoke(kid, why string) error {
	at := slices.IndexFunc(c.all, func(k *Record) bool { return k.ID == kid && !k.closed(c.now) })
	if at < 0 {
		return jeton.WithDetail(jeton.ErrNotFound, "there is no signing key of that kid")
	}

	k := c.all[at]
	if k.Revoked {
		return nil
	}

	p, keys := k.pair(), line(c.all, k.pair())
	cur := current(keys, c.now)
	waits := next(keys, c.now)
	was := k.live(c.now)
	k.Revoked = true

	c.wrote[k.ID] = true
	if !k.retired(c.now) {
		c.retire(k, c.now)
	}

	c.note(audit.KeyRevoke, k.ID, cmp.Or(why, "revoked by an operator"))

	switch {
	case !was:
	case k != cur:
		c.align(p) // nobody may be left to follow the one that signs
	case waits != nil:
		c.promote(waits, "", " in place of "+k.ID)
	case !c.needs.used || slices.Contains(c.needs.Pairs, p):
		made := c.add(p, c.now)
		if made != nil {
			c.note(audit.KeyMake, made.ID, "for "+p.String()+", signs at once in place of "+k.ID)
		}
	}

	return nil
}

// tidy removes keys that are withdrawn.
func (c *draft) tidy() {
	for _, k := range c.all {
		if k.closed(c.now) {
			c.drop = append(c.drop, k.ID)
		}
	}
}

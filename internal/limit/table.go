package limit

import (
	"fmt"
	"math"
	"time"
)

// Rate is the size of a budget: Burst at once, and one more after each Every.
type Rate struct {
	Burst int           // at least 1
	Every time.Duration // above 0
}

// check returns an error for a rate that the arithmetic of a table cannot hold.
func (r Rate) check() error {
	switch {
	case r.Burst < 1:
		return fmt.Errorf("invalid Burst %d: want at least 1", r.Burst)
	case r.Every <= 0:
		return fmt.Errorf("invalid Every %v: want more than 0", r.Every)
	case int64(r.Burst) > math.MaxInt64/8/int64(r.Every):
		return fmt.Errorf("invalid Burst %d: times Every %v it is longer than 36 years; lower one", r.Burst, r.Every)
	}

	return nil
}

// table holds a budget for each key by the generic cell rate algorithm: it keeps only the time
// at which the budget is full again, in nanoseconds. A key that is not in the table has a
// full budget. It is not safe for concurrent use.
//
// The entries are a heap, ordered by that time. Full budgets are dropped as others are added.
// When the table is full, the least used budget is dropped, so a flood of new keys displaces
// its own and not those that are used up.
type table struct {
	rate  Rate
	limit int
	heap  []entry
	index map[key]int32 // position in heap
}

type entry struct {
	full int64
	key  key
}

// newTable returns an empty table of at most limit keys.
func newTable(r Rate, limit int) *table {
	return &table{rate: r, limit: limit, index: map[key]int32{}}
}

// wait returns the time until one can be taken; 0 means now.
func (t *table) wait(k key, now int64) time.Duration {
	i, ok := t.index[k]
	if !ok {
		return 0
	}

	// A budget that is full at most slack from now still has one left.
	slack := int64(t.rate.Burst-1) * int64(t.rate.Every)
	return max(0, time.Duration(t.heap[i].full-now-slack))
}

// take takes one. The caller has called wait with the same time.
func (t *table) take(k key, now int64) {
	if i, ok := t.index[k]; ok {
		t.heap[i].full = max(t.heap[i].full, now) + int64(t.rate.Every)
		t.down(int(i))
		return
	}

	t.add(k, now, now+int64(t.rate.Every))
}

// raise makes a budget full again after rest at the earliest. More than all of it cannot be used up.
func (t *table) raise(k key, now int64, rest time.Duration) {
	full := now + min(int64(rest), int64(t.rate.Burst)*int64(t.rate.Every))

	if i, ok := t.index[k]; ok {
		t.heap[i].full = max(t.heap[i].full, full)
		t.down(int(i))
		return
	}

	t.add(k, now, full)
}

// add adds a budget that is not in the table.
func (t *table) add(k key, now, full int64) {
	// At most two full budgets are dropped here, so the work of an attempt is bounded while the
	// table shrinks faster than it grows.
	for n := 0; len(t.heap) > 0 && (len(t.heap) >= t.limit || n < 2 && t.heap[0].full <= now); n++ {
		t.remove(0)
	}

	t.heap = append(t.heap, entry{full, k})
	t.index[k] = int32(len(t.heap) - 1)
	t.up(len(t.heap) - 1)
}

// giveBack gives back one that was taken. A budget that was dropped meanwhile is full.
func (t *table) giveBack(k key) {
	if i, ok := t.index[k]; ok {
		t.heap[i].full -= int64(t.rate.Every)
		// The time moved back, so the entry may belong nearer to the front.
		t.up(int(i))
	}
}

// reset makes a budget full.
func (t *table) reset(k key) {
	if i, ok := t.index[k]; ok {
		t.remove(int(i))
	}
}

// remove removes the entry at a place of the heap, and puts the last one there.
func (t *table) remove(i int) {
	delete(t.index, t.heap[i].key)
	last := len(t.heap) - 1
	moved := t.heap[last]
	t.heap = t.heap[:last]

	if i == last {
		return
	}

	t.heap[i] = moved
	t.index[moved.key] = int32(i)
	t.down(i)
	t.up(i)
}

// up moves entry i towards the front of the heap to its place.
func (t *table) up(i int) {
	for i > 0 {
		parent := (i - 1) / 2
		if t.heap[parent].full <= t.heap[i].full {
			return
		}

		t.swap(i, parent)
		i = parent
	}
}

// down moves entry i away from the front of the heap to its place.
func (t *table) down(i int) {
	for {
		least := i
		for _, c := range [2]int{2*i + 1, 2*i + 2} {
			if c < len(t.heap) && t.heap[c].full < t.heap[least].full {
				least = c
			}
		}

		if least == i {
			return
		}

		t.swap(i, least)
		i = least
	}
}

// swap exchanges two entries, and keeps the index true.
func (t *table) swap(i, j int) {
	t.heap[i], t.heap[j] = t.heap[j], t.heap[i]
	t.index[t.heap[i].key] = int32(i)
	t.index[t.heap[j].key] = int32(j)
}

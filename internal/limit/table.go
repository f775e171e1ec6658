package limit

import (
	"fmt"
	"math"
	"time"
)

// Rate is a budget: Burst at once, and one more each Every.
type Rate struct {
	Burst int           // at least 1
	Every time.Duration // above 0
}

func (r Rate) check() error {
	switch {
	case r.Burst < 1:
		return fmt.Errorf("Burst is %d; it must be at least 1", r.Burst)
	case r.Every <= 0:
		return fmt.Errorf("Every is %v; it must be above 0", r.Every)
	case int64(r.Burst) > math.MaxInt64/8/int64(r.Every):
		return fmt.Errorf("%d times %v is longer than can be counted; lower one", r.Burst, r.Every)
	}

	return nil
}

// table holds one budget for each key by the generic cell rate algorithm: all that is
// kept is the time at which the budget will be whole again, in nanoseconds. A key that
// is not held has a whole budget. It is not safe for concurrent use.
//
// The entries are a heap, the one that is whole soonest first. So those that are whole
// already can be dropped as others come, and when the table is full the one that goes
// is the one that has been used least: a flood of new keys drives out itself, and not
// the budgets that are used up.
type table struct {
	rate  Rate
	max   int
	heap  []entry
	index map[key]int32 // where in heap
}

type entry struct {
	whole int64
	key   key
}

func newTable(r Rate, max int) *table {
	return &table{rate: r, max: max, index: map[key]int32{}}
}

// wait returns how long it is until one can be taken; 0 means now.
func (t *table) wait(k key, now int64) time.Duration {
	i, ok := t.index[k]
	if !ok {
		return 0
	}

	room := int64(t.rate.Burst-1) * int64(t.rate.Every)
	return max(0, time.Duration(t.heap[i].whole-now-room))
}

// take takes one. The caller has asked wait at the same time.
func (t *table) take(k key, now int64) {
	if i, ok := t.index[k]; ok {
		t.heap[i].whole = max(t.heap[i].whole, now) + int64(t.rate.Every)
		t.down(int(i))
		return
	}

	for n := 0; len(t.heap) > 0 && (len(t.heap) >= t.max || n < 2 && t.heap[0].whole <= now); n++ {
		t.remove(0)
	}

	t.heap = append(t.heap, entry{now + int64(t.rate.Every), k})
	t.index[k] = int32(len(t.heap) - 1)
	t.up(len(t.heap) - 1)
}

// giveBack gives back one that was taken. What was forgotten meanwhile is whole.
func (t *table) giveBack(k key) {
	if i, ok := t.index[k]; ok {
		t.heap[i].whole -= int64(t.rate.Every)
		t.up(int(i))
	}
}

// forget makes a budget whole.
func (t *table) forget(k key) {
	if i, ok := t.index[k]; ok {
		t.remove(int(i))
	}
}

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

// up moves entry i towards the front of the heap to where it belongs.
func (t *table) up(i int) {
	for i > 0 {
		parent := (i - 1) / 2
		if t.heap[parent].whole <= t.heap[i].whole {
			return
		}

		t.swap(i, parent)
		i = parent
	}
}

// down moves entry i away from the front of the heap to where it belongs.
func (t *table) down(i int) {
	for {
		least := i
		for _, c := range [2]int{2*i + 1, 2*i + 2} {
			if c < len(t.heap) && t.heap[c].whole < t.heap[least].whole {
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

func (t *table) swap(i, j int) {
	t.heap[i], t.heap[j] = t.heap[j], t.heap[i]
	t.index[t.heap[i].key] = int32(i)
	t.index[t.heap[j].key] = int32(j)
}

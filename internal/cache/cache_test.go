package cache_test

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jeton-auth/jeton/internal/cache"
	"github.com/jeton-auth/jeton/internal/secret"
)

type value struct {
	n      int
	pinned bool
}

func key(n int) secret.Hash { return sha256.Sum256(binary.LittleEndian.AppendUint64(nil, uint64(n))) }

func TestWhatWasAddedIsFoundAndTheCacheIsBounded(t *testing.T) {
	for _, tc := range []struct{ entries, most int }{{0, 64}, {64, 64}, {640, 640}} {
		t.Run(fmt.Sprint(tc.entries), func(t *testing.T) {
			c := cache.New(tc.entries, func(v *value) bool { return v.pinned })
			for i := range 5000 {
				v := &value{i, i%2 == 0}
				got := c.Add(key(i), v, c.Generation(key(i)))
				if got != v || c.Get(key(i)) != v {
					t.Fatal("what was added last is not there")
				}
			}

			n := c.Len()
			if n > tc.most || n < tc.most/2 {
				t.Errorf("%d values are kept, want at most %d and not much less", n, tc.most)
			}
		})
	}
}

func TestPinnedValuesMakeRoomLast(t *testing.T) {
	c := cache.New(64*4, func(v *value) bool { return v.pinned })
	for i := range 5000 {
		c.Add(key(i), &value{i, i < 20}, c.Generation(key(i)))
	}

	for i := range 20 {
		if c.Get(key(i)) == nil {
			t.Errorf("pinned value %d made room", i)
		}
	}
}

func TestADroppedValueIsNotPutBackByAnEarlierReader(t *testing.T) {
	for name, drop := range map[string]func(*cache.Cache[value]){
		"by its key":       func(c *cache.Cache[value]) { c.Drop(key(1)) },
		"by what it is":    func(c *cache.Cache[value]) { c.DropIf(func(v *value) bool { return v.n == 1 }) },
		"when none was it": func(c *cache.Cache[value]) { c.DropIf(func(*value) bool { return false }) },
	} {
		t.Run(name, func(t *testing.T) {
			c := cache.New[value](640, nil)
			before := c.Generation(key(1))
			drop(c)
			v := &value{n: 1}
			got := c.Add(key(1), v, before)
			if got != v || c.Get(key(1)) != nil {
				t.Errorf("Add returned %v and keeps %v, want its own back and nothing kept", got, c.Get(key(1)))
			}

			if c.Add(key(1), v, c.Generation(key(1))); c.Get(key(1)) != v {
				t.Error("a reader who began after the drop is not kept")
			}
		})
	}
}

func TestARenewedValueTakesThePlaceOfTheOlderOne(t *testing.T) {
	c := cache.New[value](1, nil) // one value a shard
	neighbour := 2
	for key(neighbour)[30]%64 != key(1)[30]%64 {
		neighbour++
	}

	before := c.Generation(key(neighbour))
	older, newer := &value{n: 1}, &value{n: 2}
	c.Renew(key(1), older, c.Generation(key(1)))
	c.Renew(key(1), newer, c.Generation(key(1)))
	got := c.Get(key(1))
	if got != newer {
		t.Errorf("Get returns %v, want the newer value", got)
	}

	beside := &value{n: neighbour}
	if c.Add(key(neighbour), beside, before); c.Get(key(neighbour)) != beside {
		t.Error("a reader of another value in the same shard, who began before, is not kept")
	}

	before = c.Generation(key(1))
	c.Drop(key(1))

	if c.Renew(key(1), newer, before); c.Get(key(1)) != nil {
		t.Error("a dropped value was put back by somebody who began before the drop")
	}
}

func TestDropIfForgetsWhatItIsToldAndNothingElse(t *testing.T) {
	c := cache.New[value](6400, nil)
	for i := range 1000 {
		c.Add(key(i), &value{n: i}, c.Generation(key(i)))
	}

	c.DropIf(func(v *value) bool { return v.n%3 == 0 })

	for i := range 1000 {
		if (c.Get(key(i)) == nil) != (i%3 == 0) {
			t.Fatalf("value %d is there: %t", i, c.Get(key(i)) != nil)
		}
	}
}

// A store that changes while many read: nobody sees an old value after the drop that
// followed the change.
func TestReadersNeverSeeWhatWasDroppedBeforeTheyAsked(t *testing.T) {
	c := cache.New[value](64, nil)
	var stored atomic.Int64

	read := func() int {
		if v := c.Get(key(1)); v != nil {
			return v.n
		}

		before := c.Generation(key(1))
		v := &value{n: int(stored.Load())}

		return c.Add(key(1), v, before).n
	}

	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 5000 {
				changed := int(stored.Load())
				if got := read(); got < changed-1 {
					t.Errorf("read %d after %d had been dropped", got, changed-1)
				}
			}
		})
	}

	for range 5000 {
		stored.Add(1)
		c.Drop(key(1))
	}

	wg.Wait()
	if got := read(); got != 5000 {
		t.Errorf("read %d at the end, want 5000", got)
	}
}

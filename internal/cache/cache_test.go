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

func TestAddedValuesAreFoundAndTheCacheIsBounded(t *testing.T) {
	for _, tc := range []struct{ entries, most int }{{0, 64}, {64, 64}, {640, 640}} {
		t.Run(fmt.Sprint(tc.entries), func(t *testing.T) {
			c := cache.New(tc.entries, func(v *value) bool { return v.pinned })
			for i := range 5000 {
				v := &value{i, i%2 == 0}
				got := c.Add(key(i), v, c.Generation(key(i)))
				if got != v || c.Get(key(i)) != v {
					t.Fatal("Get of the value added last = nil")
				}
			}

			n := c.Len()
			if n > tc.most || n < tc.most/2 {
				t.Errorf("cache has %d values, want at most %d and not much less", n, tc.most)
			}
		})
	}
}

func TestPinnedValuesAreEvictedLast(t *testing.T) {
	c := cache.New(64*4, func(v *value) bool { return v.pinned })
	for i := range 5000 {
		c.Add(key(i), &value{i, i < 20}, c.Generation(key(i)))
	}

	for i := range 20 {
		if c.Get(key(i)) == nil {
			t.Errorf("pinned value %d was evicted", i)
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
				t.Errorf("Add = %v and Get = %v, want the added value and nil", got, c.Get(key(1)))
			}

			if c.Add(key(1), v, c.Generation(key(1))); c.Get(key(1)) != v {
				t.Error("the value of a reader that began after the drop is not kept")
			}
		})
	}
}

func TestARenewedValueReplacesTheOlderOne(t *testing.T) {
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
		t.Errorf("Get = %v, want the newer value", got)
	}

	beside := &value{n: neighbour}
	if c.Add(key(neighbour), beside, before); c.Get(key(neighbour)) != beside {
		t.Error("another value of the same shard, read from before, is not kept")
	}

	before = c.Generation(key(1))
	c.Drop(key(1))

	if c.Renew(key(1), newer, before); c.Get(key(1)) != nil {
		t.Error("a reader that began before the drop put the value back")
	}
}

func TestDropIfDropsMatchingValuesOnly(t *testing.T) {
	c := cache.New[value](6400, nil)
	for i := range 1000 {
		c.Add(key(i), &value{n: i}, c.Generation(key(i)))
	}

	c.DropIf(func(v *value) bool { return v.n%3 == 0 })

	for i := range 1000 {
		if (c.Get(key(i)) == nil) != (i%3 == 0) {
			t.Fatalf("value %d is cached = %t", i, c.Get(key(i)) != nil)
		}
	}
}

// The store changes while many goroutines read. After a change and its drop, no reader gets
// the old value.
func TestReadersNeverGetAValueDroppedBefore(t *testing.T) {
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
		t.Errorf("last read = %d, want 5000", got)
	}
}

package client

import (
	"sync"
	"sync/atomic"
)

// cache keeps clients by name. Reading takes no lock. A client that changes while it is
// being read from the store is not cached: add ignores what was read before the last drop.
type cache struct {
	byName sync.Map // string to *Client

	mu         sync.Mutex // held to change anything
	names      map[int64]string
	generation atomic.Uint64 // counts drops
	limit      int           // maximum number of entries
}

// newCache returns an empty cache of at least one entry.
func newCache(entries int) *cache {
	return &cache{names: map[int64]string{}, limit: max(entries, 1)}
}

// get returns a cached client. It takes no lock: any number of requests read at once.
func (c *cache) get(name string) (Client, bool) {
	v, ok := c.byName.Load(name)
	if !ok {
		return Client{}, false
	}
	// A copy of the struct; its lists are shared and must not be changed.
	return *v.(*Client), true
}

// add keeps a client unless something was dropped since generation was read.
func (c *cache) add(found Client, generation uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()

	// found was read before a drop and may be the client as it was: caching it would undo a
	// revocation.
	if c.generation.Load() != generation {
		return
	}

	_, known := c.names[found.ID]
	if !known && len(c.names) >= c.limit {
		c.makeRoom()
	}

	c.names[found.ID] = found.Name
	c.byName.Store(found.Name, &found)
}

// makeRoom drops an arbitrary client.
func (c *cache) makeRoom() {
	for id, name := range c.names {
		delete(c.names, id)
		c.byName.Delete(name)
		return
	}
}

// drop removes a client, by its number: a change names the number.
func (c *cache) drop(id int64) {
	c.mu.Lock()
	defer c.mu.Unlock()

	// Also for a client that is not cached: one that is being read now must not be added.
	c.generation.Add(1)
	if name, ok := c.names[id]; ok {
		delete(c.names, id)
		c.byName.Delete(name)
	}
}

// dropAll empties the cache, when a change names no clients or changes were missed.
func (c *cache) dropAll() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.generation.Add(1)
	clear(c.names)
	c.byName.Clear()
}

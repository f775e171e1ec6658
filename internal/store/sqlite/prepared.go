package sqlite

import (
	"container/list"
	"context"
	"database/sql"
	"errors"
	"sync"
)

// mostPrepared is how many statements are kept prepared: more than the requests that come often run. Each takes a few
// kilobytes, and for readers that much on each connection.
const mostPrepared = 96

// preparedCache keeps the statements that ran last prepared, as SQLite takes longer to parse most of them than to run
// them. A text is prepared when it runs for the second time, so that one that is made for one request costs nothing.
// A nil one prepares nothing. It is safe for concurrent use.
type preparedCache struct {
	prepare func(ctx context.Context, text string) (*sql.Stmt, error)
	// alone is for one connection, where a statement that is being read must not run again.
	alone bool

	mu     sync.Mutex
	byText map[string]*list.Element
	recent list.List // of *prepared, the one that ran last in front
}

// prepared is a text that ran a short time ago.
type prepared struct {
	text    string
	stmt    *sql.Stmt // nil: it ran once
	users   int       // that run it
	evicted bool      // it is closed by the last of them
}

// newPreparedCache returns an empty cache.
func newPreparedCache(prepare func(context.Context, string) (*sql.Stmt, error), alone bool) *preparedCache {
	return &preparedCache{prepare: prepare, alone: alone, byText: map[string]*list.Element{}}
}

// take returns the prepared statement of a text for release, or nil if the text is to be run as it is.
func (c *preparedCache) take(ctx context.Context, text string) *prepared {
	if c == nil {
		return nil
	}

	p, known := c.look(text)
	if p != nil || !known {
		return p
	}

	// Without the lock: it may wait for a connection. An invalid statement fails when it runs.
	stmt, err := c.prepare(ctx, text)
	if err != nil {
		return nil
	}

	return c.add(text, stmt)
}

// look returns the prepared statement of a text, or nil and whether it should be prepared now.
func (c *preparedCache) look(text string) (p *prepared, prepare bool) {
	c.mu.Lock()
	defer c.mu.Unlock()

	e, ok := c.byText[text]
	if !ok {
		c.byText[text] = c.recent.PushFront(&prepared{text: text})
		if c.recent.Len() > mostPrepared {
			c.evict(c.recent.Back())
		}

		return nil, false
	}

	c.recent.MoveToFront(e)
	p = e.Value.(*prepared)
	switch {
	case p.stmt == nil:
		return nil, true
	case c.alone && p.users > 0:
		return nil, false
	}

	p.users++

	return p, false
}

// add keeps a statement and returns it. Where another caller has prepared the same text meanwhile, it keeps that one.
func (c *preparedCache) add(text string, stmt *sql.Stmt) *prepared {
	c.mu.Lock()
	defer c.mu.Unlock()

	e, ok := c.byText[text]
	if !ok || e.Value.(*prepared).stmt != nil {
		return &prepared{stmt: stmt, users: 1, evicted: true}
	}

	p := e.Value.(*prepared)
	p.stmt = stmt
	p.users++

	return p
}

// evict removes a text, and closes its statement once no caller runs it. The caller has the lock.
func (c *preparedCache) evict(e *list.Element) {
	p := c.recent.Remove(e).(*prepared)
	delete(c.byText, p.text)

	p.evicted = true
	if p.users == 0 && p.stmt != nil {
		_ = p.stmt.Close()
	}
}

// release gives back what take has returned.
func (c *preparedCache) release(p *prepared) {
	c.mu.Lock()
	defer c.mu.Unlock()

	p.users--
	if p.users == 0 && p.evicted {
		_ = p.stmt.Close()
	}
}

// close closes the statements. No caller runs one any more.
func (c *preparedCache) close() error {
	if c == nil {
		return nil
	}

	c.mu.Lock()
	defer c.mu.Unlock()

	var errs []error
	for _, e := range c.byText {
		stmt := e.Value.(*prepared).stmt
		if stmt != nil {
			errs = append(errs, stmt.Close())
		}
	}
	clear(c.byText)
	c.recent.Init()

	return errors.Join(errs...)
}

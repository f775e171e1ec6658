package postgres

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jeton-auth/jeton"

	"github.com/jackc/pgx/v5"
)

// node is this process in the node protocol: see protocol.go.
type node struct {
	db       *DB
	id       string        // among the nodes
	bound    time.Duration // how long a lease is valid
	settings *pgx.ConnConfig
	wakeUp   chan struct{} // asks for a poll

	renewed atomic.Pointer[time.Time] // when the poll began that renewed the lease; nil: there is none

	publishing sync.Mutex // so that a step is published once; it is locked before mu

	mu            sync.Mutex
	nextPoll      *pendingPoll // it has not begun; callers wait for it
	notifyPeers   bool         // the next poll asks the others to poll as well
	acks          map[string]snapshot
	acksChanged   chan struct{} // closed when acks changes
	serverChanged time.Time     // when this node last found another server
	steps         map[uint64]stepState
	cancelListen  context.CancelFunc // ends the connection that receives notifications

	// What follows belongs to the goroutine that polls.
	conn          *pgx.Conn
	newConn       bool   // nothing was polled on the connection yet
	lastSnapshot  string // of the last poll
	server        string // when the server started that the last poll reached
	databaseID    string // of the database that this node has started on
	peers         map[string]peer
	lastHeartbeat time.Time
}

// pendingPoll is a poll that callers wait for.
type pendingPoll struct {
	done chan struct{} // closed when it has ended
	err  error
}

// wait returns the outcome of the poll, or the error of a context that ends before it.
func (p *pendingPoll) wait(ctx context.Context) error {
	select {
	case <-p.done:
		return p.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

const (
	maxInterval = 250 * time.Millisecond // between two polls
	minInterval = 5 * time.Millisecond
	// reconnectEvery is how often a node looks for a lost database.
	reconnectEvery = 200 * time.Millisecond
)

// newNode returns a node that is not registered yet.
func newNode(db *DB, settings *pgx.ConnConfig) *node {
	settings = settings.Copy()
	// A node notices soon that the database is back, also when packets were dropped silently.
	settings.ConnectTimeout = min(settings.ConnectTimeout, 3*time.Second)
	// Heartbeats need not survive a crash: live nodes write them again.
	settings.RuntimeParams["synchronous_commit"] = "off"

	return &node{
		db:          db,
		id:          rand.Text(),
		bound:       min(db.c.Staleness, MaxStaleness),
		settings:    settings,
		wakeUp:      make(chan struct{}, 1),
		nextPoll:    newPendingPoll(),
		acks:        map[string]snapshot{},
		acksChanged: make(chan struct{}),
		steps:       map[uint64]stepState{},
		peers:       map[string]peer{},
	}
}

// newPendingPoll returns a poll that has not begun.
func newPendingPoll() *pendingPoll { return &pendingPoll{done: make(chan struct{})} }

// requestPoll asks for a poll that begins after now, and with notify for one at every other
// node. All who ask before it begins share it.
func (n *node) requestPoll(notify bool) *pendingPoll {
	n.mu.Lock()
	n.notifyPeers = n.notifyPeers || notify
	p := n.nextPoll
	n.mu.Unlock()

	n.wake()

	return p
}

// wake makes the goroutine that polls do so now. It never blocks.
func (n *node) wake() {
	select {
	// One signal that waits is enough: the poll that it starts serves all callers.
	case n.wakeUp <- struct{}{}:
	default:
	}
}

// pollNow waits for a poll that begins after now.
func (n *node) pollNow(ctx context.Context) error {
	// So that callers do not wait for their limit when the database is known to be lost.
	ctx, cancel, err := n.db.link.bind(ctx, n.db.c.Answer)
	if err != nil {
		return err
	}
	defer cancel()

	err = n.requestPoll(false).wait(ctx)
	if err != nil && !errors.Is(err, jeton.ErrUnavailable) { // ctx has ended first
		err = jeton.WithRetryAfter(
			fmt.Errorf("%w: the database did not report changes in time", jeton.ErrUnavailable),
			time.Second,
		)
	}

	return err
}

// run polls until ctx ends.
func (n *node) run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()

	for {
		select {
		case <-ctx.Done():
		case <-n.wakeUp:
		case <-timer.C:
		}

		if ctx.Err() != nil {
			n.stop()
			return
		}

		began := time.Now()
		err := n.runNextPoll(ctx)
		if err != nil && ctx.Err() == nil {
			n.reconnect(ctx, err)
		}

		// Counted from its beginning, as the lease is.
		timer.Reset(max(n.interval()-time.Since(began), 0))
	}
}

// stop ends the connection, and all polls that callers wait for.
func (n *node) stop() {
	_ = n.disconnect()

	n.mu.Lock()
	defer n.mu.Unlock()

	// No poll will come, and callers would wait until their time is up.
	n.nextPoll.err = fmt.Errorf("%w: %w", jeton.ErrUnavailable, errClosed)
	close(n.nextPoll.done)
}

// runNextPoll polls, and answers the callers that wait for it.
func (n *node) runNextPoll(ctx context.Context) error {
	n.mu.Lock()
	p := n.nextPoll
	notify := n.notifyPeers
	// Before the poll begins: it need not show what a caller that asks from now on has
	// committed.
	n.nextPoll = newPendingPoll()
	n.notifyPeers = false
	n.mu.Unlock()

	began := time.Now()
	p.err = n.poll(ctx, began, notify)
	if p.err != nil && time.Since(began) < n.db.c.Answer/2 {
		// Perhaps only this connection was cut.
		_ = n.disconnect()
		p.err = n.poll(ctx, time.Now(), true)
	}

	close(p.done)

	return p.err
}

// interval is how long after one poll the next begins: a third of the bound, so that one
// poll may be late.
func (n *node) interval() time.Duration {
	if n.bound == 0 {
		return maxInterval
	}
	return min(max(n.bound/3, minInterval), maxInterval)
}

// reconnect ends everything that waits for the database, and looks for it until it is back.
func (n *node) reconnect(ctx context.Context, cause error) {
	// First of all: from here on no request is answered from the cache.
	n.renewed.Store(nil)
	n.db.link.down(cause)
	n.db.c.Log.Error(
		"the database is lost: requests that need it are answered 503 until it is back",
		"database", n.db.c.Where,
		"error", cause,
	)

	lost := time.Now()
	for {
		_ = n.disconnect()
		// On a new connection the first poll drops the cache and registers the node again.
		began := time.Now()
		if n.poll(ctx, began, true) == nil {
			break
		}

		select {
		case <-ctx.Done():
			return
		case <-time.After(reconnectEvery - min(time.Since(began), reconnectEvery)):
		}
	}

	n.db.pool.Reset() // closes the connections from before
	n.db.link.up()
	n.db.c.Log.Info(
		"the database is back",
		"database", n.db.c.Where,
		"after", time.Since(lost).Round(time.Millisecond).String(),
	)
}

// connect opens the connection that polls.
func (n *node) connect(ctx context.Context) (err error) {
	if n.conn == nil || n.conn.IsClosed() {
		n.newConn = true
		n.conn, err = pgx.ConnectConfig(ctx, n.settings)
	}
	return err
}

// disconnect closes the connection that polls, if there is one.
func (n *node) disconnect() error {
	if n.conn == nil {
		return nil
	}

	conn := n.conn
	n.conn = nil

	return closeConn(context.Background(), conn)
}

// closeConn closes a connection, also when ctx has ended.
func closeConn(ctx context.Context, conn *pgx.Conn) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	return conn.Close(ctx)
}

// exec runs a statement on the connection that polls.
func (n *node) exec(ctx context.Context, text string, args ...any) error {
	ctx, cancel := context.WithTimeout(ctx, n.db.c.Answer)
	defer cancel()
	_, err := n.conn.Exec(ctx, text, args...)
	return err
}

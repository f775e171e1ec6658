package postgres

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jeton-auth/jeton"

	"github.com/jackc/pgx/v5"
)

// node keeps what this node holds in memory as new as it has to be.
//
// A step that ends or changes something writes a line into changes in its own transaction.
// Each node polls: it reads the lines that the snapshot of its last poll did not show,
// drops what they name, and from then on has heard of all that was committed before the
// pollNow began. It judges from memory only while that is less than its bound ago, by its own
// monotonic clock; otherwise it polls first, and when it cannot, it judges nothing.
// Whoever ended something is answered when every other node has said that it has heard, or
// when the longest bound of any node has passed since the commit, whichever is first.
// docs/decisions/0013 has the argument.
type node struct {
	db       *DB
	id       string // of this process among the nodes
	bound    time.Duration
	settings *pgx.ConnConfig

	renewed atomic.Pointer[time.Time] // when the last poll that succeeded began; nil: it may not judge

	mu            sync.Mutex
	nextPoll      *pendingPoll // that has not begun, and who waits for it
	wakeUp        chan struct{}
	notifyPeers   bool                 // others have to be told that there is something to hear
	acks          map[string]snapshot  // what other nodes have heard
	acksChanged   chan struct{}        // closed when said changes
	serverChanged time.Time            // when this node last found another server than before
	steps         map[uint64]stepState // steps of this node whose end it does not know yet
	cancelListen  context.CancelFunc   // ends the connection on which others are heard
	publishing    sync.Mutex           // so that a step is told once; it is locked before mu

	// Of the goroutine that polls.
	conn         *pgx.Conn
	newConn      bool   // nothing was heard on this connection yet
	lastSnapshot string // snapshot of the last poll
	server       string // the server that it came from
	// databaseID is what whatDatabase said at the start.
	databaseID    string
	peers         map[string]peer
	lastHeartbeat time.Time
}

// nextPoll is a poll that some wait for.
type pendingPoll struct {
	done chan struct{}
	err  error
}

const (
	channel = "jeton"
	// slowest is how often a node polls that may be older than that.
	slowest = 250 * time.Millisecond
	fastest = 5 * time.Millisecond
	// retry is how long a node waits before it looks for a lost database again.
	retry = 200 * time.Millisecond
	// slack covers two monotonic clocks that do not run at the same rate, and their grain.
	slack = time.Millisecond
)

func newNode(db *DB, settings *pgx.ConnConfig) *node {
	settings = settings.Copy()
	// A node that looks for the database finds out soon whether it is there, also behind a
	// line that swallows everything.
	settings.ConnectTimeout = min(settings.ConnectTimeout, 3*time.Second)
	// What this connection writes is of no worth after a crash: who lives says so again.
	settings.RuntimeParams["synchronous_commit"] = "off"

	return &node{
		db:          db,
		id:          newNodeID(),
		bound:       min(db.c.Staleness, MaxStaleness),
		settings:    settings,
		nextPoll:    newPendingPoll(),
		wakeUp:      make(chan struct{}, 1),
		acks:        map[string]snapshot{},
		acksChanged: make(chan struct{}),
		peers:       map[string]peer{},
		steps:       map[uint64]stepState{},
	}
}

func newPendingPoll() *pendingPoll { return &pendingPoll{done: make(chan struct{})} }

func newNodeID() string {
	var b [12]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// pollNow waits for a poll that begins after now. All who ask meanwhile share it.
func (h *node) pollNow(ctx context.Context) error {
	ctx, cancel, err := h.db.link.bind(ctx, h.db.c.Answer)
	if err != nil {
		return err
	}
	defer cancel()

	h.mu.Lock()
	r := h.nextPoll
	h.mu.Unlock()
	h.wake()

	select {
	case <-r.done:
		return r.err
	case <-ctx.Done():
		return jeton.WithRetryAfter(
			fmt.Errorf("%w: the database has not said in time what has changed", jeton.ErrUnavailable),
			time.Second,
		)
	}
}

// pollIfLeased makes memory as new as now, unless this node asks each time anyway.
func (h *node) pollIfLeased(ctx context.Context) error {
	if h.bound == 0 {
		return nil
	}
	return h.pollNow(ctx)
}

func (h *node) wake() {
	select {
	case h.wakeUp <- struct{}{}:
	default:
	}
}

// run polls until ctx ends.
func (h *node) run(ctx context.Context) {
	defer func() { _ = h.disconnect() }()

	timer := time.NewTimer(0)
	defer timer.Stop()

	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-h.wakeUp:
		case <-timer.C:
		}

		began := time.Now()
		h.mu.Lock()
		r, speak := h.nextPoll, h.notifyPeers
		h.nextPoll, h.notifyPeers = newPendingPoll(), false
		h.mu.Unlock()

		r.err = h.poll(ctx, began, speak)
		if r.err != nil && time.Since(began) < h.db.c.Answer/2 {
			// It may be this connection alone that was cut.
			_ = h.disconnect()
			began = time.Now()
			r.err = h.poll(ctx, began, true)
		}

		close(r.done)
		if r.err != nil && ctx.Err() == nil {
			h.reconnect(ctx, r.err)
		}

		timer.Reset(max(h.interval()-time.Since(began), 0))
	}

	h.mu.Lock()
	h.nextPoll.err = fmt.Errorf("%w: %w", jeton.ErrUnavailable, errClosed)
	close(h.nextPoll.done)
	h.mu.Unlock()
}

// interval is how long a poll may be ago before the next begins: a third of the bound, so
// that one may be late.
func (h *node) interval() time.Duration {
	if h.bound == 0 {
		return slowest
	}
	return min(max(h.bound/3, fastest), slowest)
}

// reconnect says that the database is gone, ends whatever waits for it, and looks for it until
// it is back.
func (h *node) reconnect(ctx context.Context, why error) {
	h.renewed.Store(nil)
	h.db.link.down(why)
	h.db.c.Log.Error(
		"the database is lost: nobody is let in and nobody is logged out until it is back",
		"database",
		h.db.c.Where,
		"error",
		why,
	)
	_ = h.disconnect()
	since := time.Now()

	for ctx.Err() == nil {
		began := time.Now()
		err := h.poll(ctx, began, true)
		if err == nil {
			break
		}

		_ = h.disconnect()

		select {
		case <-ctx.Done():
		case <-time.After(retry - min(time.Since(began), retry)):
		}
	}

	if ctx.Err() != nil {
		return
	}

	h.db.pool.Reset() // what is left of the connections of before
	h.db.link.up()
	h.db.c.Log.Info(
		"the database is back",
		"database",
		h.db.c.Where,
		"after",
		time.Since(since).Round(time.Millisecond).String(),
	)
}

func (h *node) disconnect() error {
	if h.conn == nil {
		return nil
	}

	conn := h.conn
	h.conn = nil
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()

	return conn.Close(ctx)
}

func (h *node) connect(ctx context.Context) (err error) {
	if h.conn == nil || h.conn.IsClosed() {
		h.conn, err = pgx.ConnectConfig(ctx, h.settings)
		h.newConn = true
	}
	return err
}

package postgres

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/store/statements"

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

// stepState is what a node knows of a step of its own. A step that was committed is told once: by
// itself, or by a poll that finds it before its commit is answered.
type stepState int

const (
	stepPending   stepState = iota
	stepPublished           // a poll has seen it committed, and told of it
	stepUnknown             // nobody knows whether it is
)

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

// leaseValid reports whether less than a bound has passed since a time. The monotonic clock
// says so. The wall clock may only say no: of a machine that slept, it alone knows.
func leaseValid(since, now time.Time, bound time.Duration) bool {
	return within(now.Sub(since), now.Round(0).Sub(since.Round(0)), bound)
}

func within(passed, wall, bound time.Duration) bool {
	return passed < bound && wall < bound && wall > -bound
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

// pollSQL returns what a snapshot did not show, and how things stand: what began after it,
// and what was under way. So it reads no more than that, however long the oldest of them has
// been under way. One row without a change says that there is none.
const pollSQL = `SELECT pg_current_snapshot()::text, pg_is_in_recovery(), pg_postmaster_start_time()::text, COALESCE((SELECT NOT gone FROM nodes WHERE id = $1), FALSE),
  c.node, c.xid::text::bigint, c.kind, c.ids, c.hashes
FROM (SELECT 1) one LEFT JOIN changes c ON c.xid >= pg_snapshot_xmax($2::text::pg_snapshot) OR c.xid = ANY (ARRAY(SELECT pg_snapshot_xip($2::text::pg_snapshot)))`

// pollNow hears of what has changed. When it returns nil, memory is as new as began. What it
// asks has Config.Answer each time, so that a database which is slow and not away is heard.
func (h *node) poll(ctx context.Context, began time.Time, speak bool) error {
	if err := h.connect(ctx); err != nil {
		return fmt.Errorf("%w: %w", jeton.ErrUnavailable, err)
	}

	if speak {
		// The others look at once. Should they not hear it, they poll in a moment anyway.
		if err := h.notify(ctx, "look"); err != nil {
			return fmt.Errorf("%w: %w", jeton.ErrUnavailable, err)
		}
	}

	n, err := h.readChanges(ctx)
	if err != nil {
		return fmt.Errorf("%w: hear of changes: %w", jeton.ErrUnavailable, err)
	}

	switch {
	case n.standby:
		return fmt.Errorf("%w: the database has become a standby", jeton.ErrUnavailable)
	case h.newConn || !n.member || n.server != h.server:
		// It was taken for dead, or what it has heard came from a server that is no more. After a
		// crash, a server gives the numbers of transactions anew that it had not written down:
		// the last snapshot seems to show them. So nothing that was heard on a connection before
		// this one counts.
		return h.rejoin(ctx, began, n)
	}

	h.lastSnapshot = n.snapshot
	h.publishOwn(n.own)
	h.forgetSteps(n.snapshot)
	h.db.Hear(n.changes)
	h.renewed.Store(&began)

	if len(n.changes) > 0 {
		if err := h.notify(ctx, "heard "+h.id+" "+n.snapshot); err != nil {
			return fmt.Errorf("%w: %w", jeton.ErrUnavailable, err)
		}
	}

	if time.Since(h.lastHeartbeat) > h.db.c.heartbeatEvery {
		h.lastHeartbeat = time.Now()
		if err := h.heartbeat(ctx); err != nil {
			return fmt.Errorf("%w: beat: %w", jeton.ErrUnavailable, err)
		}
	}

	return nil
}

// pollResult is what a poll has found.
type pollResult struct {
	snapshot string
	standby  bool
	server   string
	member   bool
	changes  []statements.Change // of other nodes
	own      []ownChange
}

// ownChange is what a poll has found of a step of this node.
type ownChange struct {
	xid uint64
	statements.Change
}

func (h *node) readChanges(ctx context.Context) (n pollResult, err error) {
	ctx, cancel := context.WithTimeout(ctx, h.db.c.Answer)
	defer cancel()

	rows, err := h.conn.Query(ctx, pollSQL, h.id, h.lastSnapshot)
	if err != nil {
		return n, err
	}
	defer rows.Close()

	for rows.Next() {
		var node *string
		var xid *int64
		var kind *int16
		var ids []int64
		var hashes []byte
		if err := rows.Scan(
			&n.snapshot,
			&n.standby,
			&n.server,
			&n.member,
			&node,
			&xid,
			&kind,
			&ids,
			&hashes,
		); err != nil {
			return n, err
		}

		if kind == nil {
			continue
		}

		c := statements.Change{Kind: statements.Kind(*kind), IDs: ids}
		c.Hashes, err = splitHashes(hashes)
		if err != nil {
			return n, err
		}

		if *node == h.id {
			n.own = append(n.own, ownChange{uint64(*xid), c})
		} else {
			n.changes = append(n.changes, c)
		}
	}

	if err := rows.Err(); err != nil {
		return n, err
	}
	if n.snapshot == "" {
		return n, errors.New("the database returned no row")
	}

	return n, nil
}

// publishOwn tells of steps of this node that a poll has found and that nobody has told of yet:
// their commits may be answered late, and what the poll has shown may not be judged from
// memory any more, whoever ended it.
func (h *node) publishOwn(found []ownChange) {
	h.publishing.Lock()
	defer h.publishing.Unlock()

	tell := map[uint64]bool{}
	for _, c := range found {
		_, asked := tell[c.xid]
		if !asked {
			tell[c.xid] = h.pollFound(c.xid)
		}
		if tell[c.xid] {
			h.db.Hear([]statements.Change{c.Change})
		}
	}
}

// pollFound reports whether a poll that finds a step of this node has to tell of it.
func (h *node) pollFound(xid uint64) bool {
	h.mu.Lock()
	defer h.mu.Unlock()

	f, known := h.steps[xid]
	if known && f == stepPending {
		h.steps[xid] = stepPublished
	}

	return known && f != stepPublished
}

// commitAnswered takes what has become of a step: err is nil when it is committed.
func (h *node) commitAnswered(done committed, err error) {
	var unknown *commitError

	h.publishing.Lock()
	defer h.publishing.Unlock()

	h.mu.Lock()
	lost := errors.As(err, &unknown) && !retryable(err)
	f := h.steps[done.xid]
	if lost && f == stepPending {
		h.steps[done.xid] = stepUnknown
	} else {
		delete(h.steps, done.xid)
	}

	h.mu.Unlock()
	if err == nil && f != stepPublished {
		h.db.Hear(done.changes)
	}
}

// forgetSteps forgets steps whose end nobody knew and that a poll has told of by now, or that
// were rolled back.
func (h *node) forgetSteps(last string) {
	h.mu.Lock()
	defer h.mu.Unlock()

	if len(h.steps) == 0 {
		return
	}

	s, err := parseSnapshot(last)
	if err != nil {
		return
	}

	for xid, f := range h.steps {
		if f == stepUnknown && xid < s.xmin {
			delete(h.steps, xid)
		}
	}
}

func (h *node) connect(ctx context.Context) (err error) {
	if h.conn == nil || h.conn.IsClosed() {
		h.conn, err = pgx.ConnectConfig(ctx, h.settings)
		h.newConn = true
	}
	return err
}

func (h *node) notify(ctx context.Context, text string) error {
	const most = 7900 // bytes of a notification are at most 8000
	if len(text) > most {
		return nil // the others wait for the bound instead
	}
	return h.exec(ctx, "SELECT pg_notify($1, $2)", channel, text)
}

// join makes this process a node, before it holds anything in memory.
func (h *node) join(ctx context.Context) error {
	if err := h.connect(ctx); err != nil {
		return err
	}

	began := time.Now()
	if err := h.register(ctx); err != nil {
		return err
	}

	return h.startLease(ctx, began)
}

// register puts the node on the list. It is durable before the node trusts its memory: who
// ends something must find it there even if the database falls over meanwhile.
func (h *node) register(ctx context.Context) error {
	// It asks more than once, and nobody waits for it who could be answered.
	ctx, cancel := context.WithTimeout(ctx, 3*h.db.c.Answer)
	defer cancel()

	return pgx.BeginFunc(ctx, h.conn, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "SELECT set_config('synchronous_commit', 'on', true)"); err != nil {
			return err
		}

		const add = `INSERT INTO nodes (id, bound, beat, heard, gone) VALUES ($1, $2, 0, pg_snapshot_xmin(pg_current_snapshot()), FALSE)
ON CONFLICT (id) DO UPDATE SET bound = excluded.bound, beat = nodes.beat + 1, heard = excluded.heard, gone = FALSE`
		_, err := tx.Exec(ctx, add, h.id, h.bound.Milliseconds())

		return err
	})
}

// startLease begins to hear from now on: what was in memory before is dropped.
func (h *node) startLease(ctx context.Context, began time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, h.db.c.Answer)
	defer cancel()

	const look = "SELECT pg_current_snapshot()::text, pg_postmaster_start_time()::text"
	if err := h.conn.QueryRow(ctx, look).Scan(&h.lastSnapshot, &h.server); err != nil {
		return err
	}

	h.newConn = false
	h.mu.Lock()
	clear(h.acks)

	if h.cancelListen != nil {
		h.cancelListen()
	}

	h.mu.Unlock()
	h.db.Hear([]statements.Change{{Kind: statements.Everything}})
	h.renewed.Store(&began)

	return nil
}

// readDatabaseID returns what tells this database from another one, and from itself before
// it was brought back from the past. What a node learns at its start holds for this one.
func (h *node) readDatabaseID(ctx context.Context) (text string, err error) {
	ctx, cancel := context.WithTimeout(ctx, h.db.c.Answer)
	defer cancel()
	const look = "SELECT COALESCE(string_agg(name || '=' || value, ' ' ORDER BY name), '') FROM meta WHERE name IN ('id', 'epoch', 'copying')"
	err = h.conn.QueryRow(ctx, look).Scan(&text)
	return text, err
}

// rememberDatabase notes which database this node has started on.
func (h *node) rememberDatabase(ctx context.Context) (err error) {
	h.databaseID, err = h.readDatabaseID(ctx)
	return err
}

// rejoin begins anew after this node was taken for dead, or found another server.
func (h *node) rejoin(ctx context.Context, began time.Time, n pollResult) error {
	h.renewed.Store(nil)
	if n.server != h.server {
		h.mu.Lock()
		h.serverChanged = time.Now()
		h.mu.Unlock()
	}

	if now, err := h.readDatabaseID(ctx); err != nil {
		return fmt.Errorf("%w: join the nodes again: %w", jeton.ErrUnavailable, err)
	} else if now != h.databaseID {
		return fmt.Errorf(
			"%w: the database is another one, or was brought back from the past, since this node started: start it again",
			jeton.ErrUnavailable,
		)
	}

	if err := h.register(ctx); err != nil {
		return fmt.Errorf("%w: join the nodes again: %w", jeton.ErrUnavailable, err)
	}
	if err := h.startLease(ctx, began); err != nil {
		return fmt.Errorf("%w: join the nodes again: %w", jeton.ErrUnavailable, err)
	}

	return nil
}

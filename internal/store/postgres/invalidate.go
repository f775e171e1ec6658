package postgres

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/secret"
	"github.com/jeton-auth/jeton/internal/store/change"

	"github.com/jackc/pgx/v5"
)

// recordChanges inserts what a step has changed in its transaction, and returns the number of
// that.
func (n *node) recordChanges(ctx context.Context, tx pgx.Tx, changes []change.Change) (uint64, error) {
	const insert = `INSERT INTO changes (node, kind, ids, hashes) VALUES ($1, $2, $3, $4)
RETURNING xid::text::bigint`

	var xid int64
	for _, c := range changes {
		c = bounded(c)
		err := tx.QueryRow(ctx, insert, n.id, int16(c.Kind), c.IDs, joinHashes(c.Hashes)).Scan(&xid)
		if err != nil {
			return 0, fmt.Errorf("record what has changed: %w", err)
		}
	}

	// Before the commit: a poll may find its rows before the commit is answered.
	n.mu.Lock()
	defer n.mu.Unlock()

	n.steps[uint64(xid)] = stepPending

	return uint64(xid), nil
}

// bounded returns the change as it is stored. One that names very much is stored as a change of
// everything.
func bounded(c change.Change) change.Change {
	const limit = 4096
	if len(c.Hashes) > limit || len(c.IDs) > limit {
		c = change.Change{Kind: change.All}
	}
	if c.IDs == nil {
		c.IDs = []int64{} // the column is NOT NULL
	}

	return c
}

// joinHashes writes hashes as one value: a change that ends thousands of sessions is one
// row.
func joinHashes(list []secret.Hash) []byte {
	b := make([]byte, 0, len(list)*len(secret.Hash{}))
	for _, h := range list {
		b = append(b, h[:]...)
	}

	return b
}

// splitHashes reads what joinHashes wrote.
func splitHashes(b []byte) ([]secret.Hash, error) {
	const size = len(secret.Hash{})
	if len(b)%size != 0 {
		return nil, fmt.Errorf("invalid hashes in table changes: %d bytes", len(b))
	}

	list := make([]secret.Hash, 0, len(b)/size)
	for ; len(b) > 0; b = b[size:] {
		list = append(list, secret.Hash(b[:size]))
	}

	return list, nil
}

// publishOwn publishes the changes of steps of this node that a poll has found.
func (n *node) publishOwn(found map[uint64][]change.Change) {
	// Held until the caches have dropped the values: commitAnswered must not return before
	// that.
	n.publishing.Lock()
	defer n.publishing.Unlock()

	for xid, changes := range found {
		if n.advance(xid, foundByPoll) {
			n.db.Publish(changes...)
		}
	}
}

// commitAnswered publishes the changes of a step, if it was committed and that is not done
// already. err is what the commit returned.
func (n *node) commitAnswered(done committed, err error) {
	// Without an answer the step may be committed; then a poll will find it.
	event := commitLost
	if err == nil {
		event = commitDone
	} else if retryable(err) {
		event = commitRefused
	}

	n.publishing.Lock()
	defer n.publishing.Unlock()

	if n.advance(done.xid, event) {
		n.db.Publish(done.changes...)
	}
}

// advance takes a step of this node to its next state, and reports whether its changes are to
// be published now.
func (n *node) advance(xid uint64, e stepEvent) (publish bool) {
	n.mu.Lock()
	defer n.mu.Unlock()

	next, publish := n.steps[xid].on(e)
	if next == stepDone {
		delete(n.steps, xid)
	} else {
		n.steps[xid] = next
	}

	return publish
}

// forgetSteps forgets steps of unknown outcome that a poll would have found by now.
func (n *node) forgetSteps(text string) {
	last, err := parseSnapshot(text)
	if err != nil {
		// Steps are only kept for longer.
		return
	}

	n.mu.Lock()
	defer n.mu.Unlock()

	maps.DeleteFunc(n.steps, func(xid uint64, s stepState) bool {
		next, _ := s.on(snapshotPassed)
		return xid < last.xmin && next == stepDone
	})
}

// waitAcked returns when no node answers any more from what its cache held before a step.
func (n *node) waitAcked(ctx context.Context, done committed) error {
	err := n.waitApplied(ctx, n.requestPoll(true), []uint64{done.xid}, done.at)
	if err != nil {
		return fmt.Errorf("the change is committed, but perhaps not known to every node yet: %w", err)
	}
	return nil
}

// settle returns when no node answers any more from what its cache held before the call. It
// reads which changes are committed, and leaves the other nodes alone: they were notified of
// each of them. Nothing is left of a change that every node has applied.
func (n *node) settle(ctx context.Context) error {
	at := time.Now()

	xids, err := n.recentChanges(ctx)
	if err != nil {
		return fmt.Errorf("%w: read recent changes: %w", jeton.ErrUnavailable, err)
	}

	return n.waitApplied(ctx, n.requestPoll(false), xids, at)
}

// recentChanges returns the transactions of the changes that are stored.
func (n *node) recentChanges(ctx context.Context) (xids []uint64, err error) {
	ctx, cancel, err := n.db.link.bind(ctx, n.db.c.Answer)
	if err != nil {
		return nil, err
	}
	defer cancel()

	err = retryIf(connectionBroken, func() error {
		rows, _ := n.db.pool.Query(ctx, "SELECT DISTINCT xid::text::bigint FROM changes")
		xids, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (uint64, error) {
			var xid int64
			err := row.Scan(&xid)
			return uint64(xid), err
		})

		return err
	})

	return xids, err
}

// waitApplied returns when every node has applied transactions that were committed before a
// time, or holds no lease from before it. poll began after that time.
func (n *node) waitApplied(ctx context.Context, poll *pendingPoll, xids []uint64, at time.Time) error {
	// The list is read after the commit: a node that registers later reads what is committed.
	holders, bound, err := n.leaseHolders(ctx)
	if err != nil {
		return fmt.Errorf("%w: read which nodes have a lease: %w", jeton.ErrUnavailable, err)
	}

	if bound == 0 {
		// No other node has a lease. The cache of this one may still hold what other steps of it
		// have revoked whose answers are under way.
		if n.bound > 0 {
			return n.pollNow(ctx)
		}
		return nil
	}

	leases, cancel := context.WithDeadline(ctx, leasesEnd(at, bound))
	defer cancel()

	// A poll that began after the commit proves that the acknowledgements came from the server
	// that has committed.
	if poll.wait(leases) == nil && n.waitForAcks(leases, holders, xids, at) == nil {
		return nil
	}

	<-leases.Done()
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%w: every node applies it within %v: %w", jeton.ErrUnavailable, bound, err)
	}

	return nil
}

// waitForAcks returns nil when all holders of leases have acknowledged the transactions.
func (n *node) waitForAcks(ctx context.Context, holders []string, xids []uint64, at time.Time) error {
	for {
		acked, changed := n.acked(holders, xids, at)
		if acked {
			return nil
		}

		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// acked reports whether all holders of leases have acknowledged the transactions. Otherwise it
// returns a channel that is closed at the next acknowledgement.
func (n *node) acked(holders []string, xids []uint64, at time.Time) (bool, <-chan struct{}) {
	// Outside the lock, which serverIsNew takes itself.
	isNew := n.serverIsNew(at)

	n.mu.Lock()
	defer n.mu.Unlock()

	all := !slices.ContainsFunc(xids, func(xid uint64) bool { return !acknowledged(holders, n.acks, xid) })

	return !isNew && all, n.acksChanged
}

// serverIsNew reports whether this node had only just found another server at a time. A
// failover may have lost the row of a node that still trusts its lease.
func (n *node) serverIsNew(at time.Time) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return !n.serverChanged.IsZero() && at.Sub(n.serverChanged) < MaxStaleness
}

// leaseHolders returns the other nodes that may have a lease, and the longest bound of any.
func (n *node) leaseHolders(ctx context.Context) (holders []string, bound time.Duration, err error) {
	ctx, cancel, err := n.db.link.bind(ctx, n.db.c.Answer)
	if err != nil {
		return nil, 0, err
	}
	defer cancel()

	err = retryIf(connectionBroken, func() error {
		rows, _ := n.db.pool.Query(ctx, "SELECT id, bound FROM nodes WHERE id <> $1 AND bound > 0", n.id)
		var id string
		var ms int64

		// An attempt before this one may have read some rows.
		holders, bound = nil, 0
		_, err := pgx.ForEachRow(rows, []any{&id, &ms}, func() error {
			holders = append(holders, id)
			bound = max(bound, time.Duration(ms)*time.Millisecond)
			return nil
		})

		return err
	})

	if len(holders) > 0 || n.serverIsNew(time.Now()) {
		// The cache of this node, too, may hold what other steps of it have revoked.
		bound = max(bound, n.bound)
	}

	return holders, bound, err
}

package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/store/change"
)

// pollSQL returns the state of the database and of this node, and the changes that a
// snapshot did not show: of transactions that began after it, or were running. So it reads no
// more than that, however old the oldest of them is. One row with NULLs says: no change.
const pollSQL = `SELECT pg_current_snapshot()::text, pg_is_in_recovery(), pg_postmaster_start_time()::text,
  COALESCE((SELECT NOT gone FROM nodes WHERE id = $1), FALSE),
  c.node, c.xid::text::bigint, c.kind, c.ids, c.hashes
FROM (SELECT 1) one LEFT JOIN changes c
  ON c.xid >= pg_snapshot_xmax($2::text::pg_snapshot)
  OR c.xid = ANY (ARRAY(SELECT pg_snapshot_xip($2::text::pg_snapshot)))`

// pollResult is what a poll has found.
type pollResult struct {
	snapshot string
	standby  bool
	server   string // when it started
	member   bool   // the node is in the list, and not marked
	changes  []change.Change
	own      map[uint64][]change.Change // of steps of this node, by transaction
}

// poll applies the changes since the last poll. When it returns nil, the cache is as new as
// began. Each of its statements may take Config.Answer: a slow database is not a lost one.
func (n *node) poll(ctx context.Context, began time.Time, notify bool) error {
	if err := n.tryPoll(ctx, began, notify); err != nil {
		return fmt.Errorf("%w: %w", jeton.ErrUnavailable, err)
	}
	return nil
}

// tryPoll is one poll. After an error runNextPoll tries once more, on a new connection, if
// there is time.
func (n *node) tryPoll(ctx context.Context, began time.Time, notify bool) error {
	if err := n.connect(ctx); err != nil {
		return err
	}

	if notify {
		// A node that misses this polls in a moment anyway.
		if err := n.notify(ctx, "look"); err != nil {
			return err
		}
	}

	found, err := n.readChanges(ctx)
	if err != nil {
		return fmt.Errorf("read changes: %w", err)
	}

	if found.standby {
		return errors.New("the database has become a standby")
	}

	// Before anything is applied: a snapshot of another server shows nothing of this one.
	if found.mustRegister(n.newConn, n.server) {
		return n.rejoin(ctx, began, found.server)
	}

	// In this order: the cache is as new as the lease says, and an acknowledgement is true when
	// it is sent.
	n.apply(found)
	n.renewed.Store(&began)

	if err := n.acknowledge(ctx, found); err != nil {
		return err
	}

	return n.keepMembership(ctx)
}

// apply drops from the caches what a poll has found.
func (n *node) apply(found pollResult) {
	n.lastSnapshot = found.snapshot
	n.publishOwn(found.own)
	n.forgetSteps(found.snapshot)
	n.db.Publish(found.changes...)
}

// readChanges runs pollSQL, and separates the changes of this node from those of others:
// own ones may have been published already (see advance).
func (n *node) readChanges(ctx context.Context) (found pollResult, err error) {
	ctx, cancel := context.WithTimeout(ctx, n.db.c.Answer)
	defer cancel()

	rows, err := n.conn.Query(ctx, pollSQL, n.id, n.lastSnapshot)
	if err != nil {
		return found, err
	}
	defer rows.Close()

	found.own = map[uint64][]change.Change{}
	for rows.Next() {
		var origin *string
		var xid *int64
		var kind *int16
		var c change.Change
		var hashes []byte

		err := rows.Scan(
			&found.snapshot, &found.standby, &found.server, &found.member,
			&origin, &xid, &kind, &c.IDs, &hashes,
		)
		if err != nil {
			return found, err
		}

		// No change: see pollSQL.
		if kind == nil {
			continue
		}

		c.Kind = change.Kind(*kind)
		c.Hashes, err = splitHashes(hashes)
		if err != nil {
			return found, err
		}

		if *origin == n.id {
			found.own[uint64(*xid)] = append(found.own[uint64(*xid)], c)
		} else {
			found.changes = append(found.changes, c)
		}
	}

	if err := rows.Err(); err != nil {
		return found, err
	}
	if found.snapshot == "" {
		return found, errors.New("the database returned no row")
	}

	return found, nil
}

package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/store/change"
)

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
	h.db.Publish(n.changes...)
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
	changes  []change.Change // of other nodes
	own      []ownChange
}

// ownChange is what a poll has found of a step of this node.
type ownChange struct {
	xid uint64
	change.Change
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

		c := change.Change{Kind: change.Kind(*kind), IDs: ids}
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

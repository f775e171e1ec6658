package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/store/change"
)

// peer is how another node looked when it last changed.
type peer struct {
	beat int64
	gone bool
	at   time.Time
}

const (
	heartbeatEvery = 5 * time.Second
	// deadAfter is after how long a node that does not beat is marked as gone, and after how
	// long again it is forgotten. It is longer than any bound: a node that comes back finds the
	// mark, or that its line is missing, before it trusts its memory again.
	deadAfter = 3 * MaxStaleness
)

// heartbeat says that this node lives, and clears away what no node needs any more. No clock but
// this node's own is asked for how long another has been silent.
func (h *node) heartbeat(ctx context.Context) error {
	if err := h.exec(
		ctx,
		"UPDATE nodes SET beat = beat + 1, heard = pg_snapshot_xmin($2::text::pg_snapshot) WHERE id = $1",
		h.id,
		h.lastSnapshot,
	); err != nil {
		return err
	}

	found, err := h.readPeers(ctx)
	if err != nil {
		return err
	}

	h.peers = found
	h.dropAcks(found)

	for id, s := range found {
		if time.Since(s.at) < h.db.c.deadAfter {
			continue
		}

		text := "UPDATE nodes SET gone = TRUE WHERE id = $1 AND beat = $2 AND NOT gone"
		if s.gone {
			text = "DELETE FROM nodes WHERE id = $1 AND beat = $2 AND gone"
		}
		if err := h.exec(ctx, text, id, s.beat); err != nil {
			return err
		}

		h.db.c.Log.Warn("a node has not been seen for long", "node", id, "forgotten", s.gone)
	}

	return h.exec(ctx, "DELETE FROM changes WHERE xid < (SELECT heard FROM nodes ORDER BY heard LIMIT 1)")
}

// readPeers returns how the other nodes look, and since when they look so.
func (h *node) readPeers(ctx context.Context) (map[string]peer, error) {
	ctx, cancel := context.WithTimeout(ctx, h.db.c.Answer)
	defer cancel()

	at, found := time.Now(), map[string]peer{}
	rows, _ := h.conn.Query(ctx, "SELECT id, beat, gone FROM nodes WHERE id <> $1", h.id)
	var id string
	var s peer

	_, err := pgx.ForEachRow(rows, []any{&id, &s.beat, &s.gone}, func() error {
		s.at = at
		if old, ok := h.peers[id]; ok && old.beat == s.beat && old.gone == s.gone {
			s.at = old.at
		}

		found[id] = s
		return nil
	})

	return found, err
}

// execSQL says one thing on the connection that polls.
func (h *node) exec(ctx context.Context, text string, args ...any) error {
	ctx, cancel := context.WithTimeout(ctx, h.db.c.Answer)
	defer cancel()
	_, err := h.conn.Exec(ctx, text, args...)
	return err
}

// dropAcks forgets what nodes have said that are no more.
func (h *node) dropAcks(found map[string]peer) {
	h.mu.Lock()
	defer h.mu.Unlock()

	for id := range h.acks {
		if _, ok := found[id]; !ok {
			delete(h.acks, id)
		}
	}
}

// leave takes this node off the list. It judges nothing any more.
func (h *node) leave() {
	h.renewed.Store(nil)
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()

	if h.connect(ctx) == nil {
		_, _ = h.conn.Exec(ctx, "DELETE FROM nodes WHERE id = $1", h.id) // the others find out otherwise
	}

	_ = h.disconnect()
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
	h.db.Publish(change.Change{Kind: change.All})
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

package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jeton-auth/jeton/internal/store/change"
)

// join makes this process a node, before anything is in its cache.
func (n *node) join(ctx context.Context) error {
	if err := n.connect(ctx); err != nil {
		return err
	}

	return n.registerFrom(ctx, time.Now())
}

// registerFrom registers the node and starts its lease. began is before the registration.
func (n *node) registerFrom(ctx context.Context, began time.Time) error {
	if err := n.register(ctx); err != nil {
		return err
	}
	return n.startLease(ctx, began)
}

// rejoin registers this node again on a new connection, or after it was marked or removed.
// server is when the server started that the connection reaches.
func (n *node) rejoin(ctx context.Context, began time.Time, server string) error {
	// The list may lack this node, and then no other node waits for it.
	n.renewed.Store(nil)
	if server != n.server {
		// After a failover the list may lack nodes: for a while acknowledgements do not count.
		n.mu.Lock()
		n.serverChanged = time.Now()
		n.mu.Unlock()
	}

	id, err := n.readDatabaseID(ctx)
	if err != nil {
		return fmt.Errorf("register the node again: %w", err)
	}
	if id != n.databaseID {
		return errors.New("the database was replaced or restored after this node started; restart the node")
	}

	if err := n.registerFrom(ctx, began); err != nil {
		return fmt.Errorf("register the node again: %w", err)
	}

	return nil
}

// register puts the node into the list. That is durable before the node has a lease: a node
// that revokes something must find it there, also after a crash of the database.
func (n *node) register(ctx context.Context) error {
	// It takes several statements, and no caller could be answered meanwhile.
	ctx, cancel := context.WithTimeout(ctx, 3*n.db.c.Answer)
	defer cancel()

	const insert = `INSERT INTO nodes (id, bound, beat, heard, gone)
VALUES ($1, $2, 0, pg_snapshot_xmin(pg_current_snapshot()), FALSE)
ON CONFLICT (id) DO UPDATE SET bound = excluded.bound, beat = nodes.beat + 1, heard = excluded.heard, gone = FALSE`

	return pgx.BeginFunc(ctx, n.conn, func(tx pgx.Tx) error {
		// Heartbeats on this connection are not durable (newNode); a registration has to be.
		if _, err := tx.Exec(ctx, "SELECT set_config('synchronous_commit', 'on', true)"); err != nil {
			return err
		}

		_, err := tx.Exec(ctx, insert, n.id, n.bound.Milliseconds())
		return err
	})
}

// startLease starts the first lease after a registration. It drops the cache, and all
// acknowledgements.
func (n *node) startLease(ctx context.Context, began time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, n.db.c.Answer)
	defer cancel()

	// The snapshot is read before the cache is dropped: what is committed between the two is
	// found by the next poll.
	const read = "SELECT pg_current_snapshot()::text, pg_postmaster_start_time()::text"
	if err := n.conn.QueryRow(ctx, read).Scan(&n.lastSnapshot, &n.server); err != nil {
		return err
	}

	n.newConn = false

	n.mu.Lock()
	// They, and the connection for notifications, may come from a former server, which gave the
	// same transaction numbers to other steps.
	clear(n.acks)
	if n.cancelListen != nil {
		n.cancelListen()
	}
	n.mu.Unlock()

	// In this order: the cache is empty before a lease makes it valid.
	n.db.Publish(change.Change{Kind: change.All})
	n.renewed.Store(&began)

	return nil
}

// readDatabaseID returns what distinguishes this database from another one, and from itself before a
// restore. What a node has read at its start is true of this one only.
func (n *node) readDatabaseID(ctx context.Context) (id string, err error) {
	ctx, cancel := context.WithTimeout(ctx, n.db.c.Answer)
	defer cancel()

	const read = `SELECT COALESCE(string_agg(name || '=' || value, ' ' ORDER BY name), '') FROM meta
WHERE name IN ('id', 'epoch', 'copying')`
	err = n.conn.QueryRow(ctx, read).Scan(&id)

	return id, err
}

// keepMembership sends a heartbeat when it is due. Then it marks and removes other nodes that
// have sent none, and changes that all nodes have applied.
func (n *node) keepMembership(ctx context.Context) error {
	if time.Since(n.lastHeartbeat) <= n.db.c.heartbeatEvery {
		return nil
	}

	const heartbeat = `UPDATE nodes SET beat = beat + 1, heard = pg_snapshot_xmin($2::text::pg_snapshot)
WHERE id = $1`

	n.lastHeartbeat = time.Now()
	if err := n.exec(ctx, heartbeat, n.id, n.lastSnapshot); err != nil {
		return fmt.Errorf("send a heartbeat: %w", err)
	}
	if err := n.removeDeadPeers(ctx); err != nil {
		return fmt.Errorf("look for dead nodes: %w", err)
	}

	// What the slowest node has applied, all have, and a new node begins with an empty cache.
	return n.exec(ctx, "DELETE FROM changes WHERE xid < (SELECT heard FROM nodes ORDER BY heard LIMIT 1)")
}

// Another heartbeat in between makes these do nothing.
const (
	markPeerSQL   = "UPDATE nodes SET gone = TRUE WHERE id = $1 AND beat = $2 AND NOT gone"
	removePeerSQL = "DELETE FROM nodes WHERE id = $1 AND beat = $2 AND gone"
)

// removeDeadPeers marks nodes without a heartbeat, and removes marked ones after the same
// time again. Two steps, so that a node which only was slow sees the mark, drops its cache
// and registers again.
func (n *node) removeDeadPeers(ctx context.Context) error {
	peers, err := n.readPeers(ctx)
	if err != nil {
		return err
	}

	n.peers = peers
	// Otherwise acks would grow with every node that was ever there.
	n.dropAcks()

	for id, p := range peers {
		text := p.overdue(time.Now(), n.db.c.deadAfter)
		if text == "" {
			continue
		}
		if err := n.exec(ctx, text, id, p.heartbeat); err != nil {
			return err
		}

		n.db.c.Log.Warn("a node has not been seen for long", "node", id, "forgotten", p.marked)
	}

	return nil
}

// readPeers returns how the other nodes look, and since when.
func (n *node) readPeers(ctx context.Context) (map[string]peer, error) {
	ctx, cancel := context.WithTimeout(ctx, n.db.c.Answer)
	defer cancel()

	now := time.Now()
	peers := map[string]peer{}
	// The rows carry the error of the query, and ForEachRow returns it.
	rows, _ := n.conn.Query(ctx, "SELECT id, beat, gone FROM nodes WHERE id <> $1", n.id)
	var id string
	var p peer

	_, err := pgx.ForEachRow(rows, []any{&id, &p.heartbeat, &p.marked}, func() error {
		p.since = now
		before, known := n.peers[id]
		if known && before.heartbeat == p.heartbeat && before.marked == p.marked {
			p.since = before.since
		}

		peers[id] = p
		return nil
	})

	return peers, err
}

// dropAcks drops the acknowledgements of nodes that are no longer in the list.
func (n *node) dropAcks() {
	n.mu.Lock()
	defer n.mu.Unlock()

	for id := range n.acks {
		if _, ok := n.peers[id]; !ok {
			delete(n.acks, id)
		}
	}
}

// leave removes this node from the list. Its lease has ended.
func (n *node) leave() {
	n.renewed.Store(nil)
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()

	if n.connect(ctx) == nil {
		_ = n.exec(ctx, "DELETE FROM nodes WHERE id = $1", n.id) // otherwise the others remove it later
	}

	_ = n.disconnect()
}

package postgres

import (
	"context"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// channel carries the notifications of the node protocol. They make it fast; no promise
// depends on them.
const channel = "jeton"

// notify sends a notification to all nodes. One that is too long is left out: the other nodes
// are then waited for until their leases end.
func (n *node) notify(ctx context.Context, text string) error {
	const limit = 7900 // bytes; PostgreSQL takes up to 8000
	if len(text) > limit {
		return nil
	}
	return n.exec(ctx, "SELECT pg_notify($1, $2)", channel, text)
}

// acknowledge notifies the other nodes of the snapshot that this one has applied, if there was a
// change in it.
func (n *node) acknowledge(ctx context.Context, applied pollResult) error {
	if len(applied.changes) == 0 {
		return nil
	}
	return n.notify(ctx, "heard "+n.id+" "+applied.snapshot)
}

// listen receives notifications until ctx ends.
func (n *node) listen(ctx context.Context) {
	for ctx.Err() == nil {
		err := n.listenOnce(ctx)
		if ctx.Err() != nil {
			return
		}

		n.db.c.Log.Debug("the connection for notifications was lost", "error", err)

		select {
		case <-ctx.Done():
		case <-time.After(reconnectEvery):
		}
	}
}

// listenOnce receives notifications on a connection of its own until that breaks.
func (n *node) listenOnce(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()

	n.mu.Lock()
	// Before connecting: startLease must be able to end a connection that is only being made.
	n.cancelListen = cancel
	n.mu.Unlock()

	conn, err := pgx.ConnectConfig(ctx, n.settings)
	if err != nil {
		return err
	}
	defer func() { _ = closeConn(ctx, conn) }()

	if _, err := conn.Exec(ctx, "LISTEN "+channel); err != nil {
		return err
	}

	for {
		received, err := conn.WaitForNotification(ctx)
		if err != nil {
			return err
		}
		n.onNotification(ctx, received.Payload)
	}
}

// onNotification handles a notification. ctx is that of the connection that received it.
func (n *node) onNotification(ctx context.Context, text string) {
	if text == "look" {
		n.wake()
		return
	}

	ack, ok := strings.CutPrefix(text, "heard ")
	if !ok {
		return // from a newer version
	}

	id, snapshotText, _ := strings.Cut(ack, " ")
	applied, err := parseSnapshot(snapshotText)
	if err != nil || id == n.id {
		return
	}

	n.mu.Lock()
	defer n.mu.Unlock()

	if ctx.Err() != nil {
		return // startLease has ended the connection: it may be one to a former server
	}

	n.acks[id] = applied
	// All that wait look again, each for its own step.
	close(n.acksChanged)
	n.acksChanged = make(chan struct{})
}

package postgres

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/store/statements"

	"github.com/jackc/pgx/v5"
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

// recordChanges writes what a step has changed into its transaction, and returns its number.
func (h *node) recordChanges(ctx context.Context, tx pgx.Tx, changes []statements.Change) (xid uint64, err error) {
	const add = "INSERT INTO changes (node, kind, ids, hashes) VALUES ($1, $2, $3, $4) RETURNING xid::text::bigint"
	// More than that is told by its number: nobody has to know each of them.
	const most = 4096
	for _, c := range changes {
		kind := c.Kind
		ids := c.IDs
		hashes := []byte{}

		if ids == nil {
			ids = []int64{}
		}

		if len(c.Hashes) > most || len(ids) > most {
			kind, ids = statements.Everything, []int64{}
		} else {
			for _, hash := range c.Hashes {
				hashes = append(hashes, hash[:]...)
			}
		}

		var number int64
		if err := tx.QueryRow(ctx, add, h.id, int16(kind), ids, hashes).Scan(&number); err != nil {
			return 0, fmt.Errorf("note what has changed: %w", err)
		}

		xid = uint64(number)
	}

	h.mu.Lock()
	h.steps[xid] = stepPending
	h.mu.Unlock()

	return xid, nil
}

// waitAcked returns when no node judges any more from what was before a step.
func (h *node) waitAcked(ctx context.Context, done committed) error {
	h.mu.Lock()
	h.notifyPeers = true
	r := h.nextPoll
	h.mu.Unlock()
	h.wake()

	// The list is read after the commit: a node that joins later reads what is committed.
	others, bound, err := h.leaseHolders(ctx)
	if err != nil {
		return fmt.Errorf(
			"%w: the change is made, but whether every node has heard of it is not known: %w",
			jeton.ErrUnavailable,
			err,
		)
	}

	if bound == 0 {
		// The others all ask each time. This node has heard of its other steps when it has
		// polled: their answers may be under way.
		return h.pollIfLeased(ctx)
	}

	// What others have said counts when a poll that began after the commit has found the
	// server that they said it on.
	polled, trusted := r.done, false
	timer := time.NewTimer(time.Until(done.at.Add(bound + bound/100 + slack)))
	defer timer.Stop()

	for {
		heard, news := h.ackedBy(others, done)
		if heard && trusted {
			return nil
		}

		select {
		case <-polled:
			polled, trusted = nil, r.err == nil
		case <-news:
		case <-timer.C:
			return nil
		case <-ctx.Done():
			return fmt.Errorf(
				"%w: the change is made, and every node hears of it within %v: %w",
				jeton.ErrUnavailable,
				bound,
				ctx.Err(),
			)
		}
	}
}

// leaseHolders returns the other nodes that may judge from memory, and the longest bound of any.
func (h *node) leaseHolders(ctx context.Context) (others []string, bound time.Duration, err error) {
	ctx, cancel, err := h.db.link.bind(ctx, h.db.c.Answer)
	if err != nil {
		return nil, 0, err
	}
	defer cancel()

	for range attempts {
		rows, _ := h.db.pool.Query(ctx, "SELECT id, bound FROM nodes WHERE id <> $1 AND bound > 0", h.id)
		var id string
		var ms int64

		others, bound = nil, 0
		_, err = pgx.ForEachRow(rows, []any{&id, &ms}, func() error {
			others, bound = append(others, id), max(bound, time.Duration(ms)*time.Millisecond)
			return nil
		})
		if !connectionBroken(err) {
			break
		}
	}

	if len(others) > 0 || h.serverIsNew() {
		// This node itself may judge from memory until it has heard of what another step of its
		// steps has done.
		bound = max(bound, h.bound)
	}

	return others, bound, err
}

// serverIsNew reports whether the server has only just come up. A failover may have lost the line
// of a node that still trusts what it heard before.
func (h *node) serverIsNew() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return !h.serverChanged.IsZero() && time.Since(h.serverChanged) < MaxStaleness
}

// ackedBy reports whether all of the nodes have said that they have heard of a step, and
// otherwise returns what is closed when there is something new.
func (h *node) ackedBy(nodes []string, done committed) (bool, <-chan struct{}) {
	h.mu.Lock()
	defer h.mu.Unlock()

	// Of a server that has only just come up the list may be short.
	if !h.serverChanged.IsZero() && done.at.Sub(h.serverChanged) < MaxStaleness {
		return false, h.acksChanged
	}

	for _, id := range nodes {
		if s, ok := h.acks[id]; !ok || !s.shows(done.xid) {
			return false, h.acksChanged
		}
	}

	return true, nil
}

// listen hears what other nodes say, until ctx ends. It makes things fast; what is
// promised does not hang on it.
func (h *node) listen(ctx context.Context) {
	for ctx.Err() == nil {
		err := h.listenOnce(ctx)
		if ctx.Err() != nil {
			return
		}

		h.db.c.Log.Debug("listening to other nodes was cut off", "error", err)

		select {
		case <-ctx.Done():
		case <-time.After(retry):
		}
	}
}

func (h *node) listenOnce(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()

	h.mu.Lock()
	h.cancelListen = cancel
	h.mu.Unlock()
	conn, err := pgx.ConnectConfig(ctx, h.settings)
	if err != nil {
		return err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = conn.Close(ctx)
	}()

	if _, err := conn.Exec(ctx, "LISTEN "+channel); err != nil {
		return err
	}

	for {
		n, err := conn.WaitForNotification(ctx)
		if err != nil {
			return err
		}
		h.onNotification(ctx, n.Payload)
	}
}

// onNotification takes what another node says on the connection that ctx is of.
func (h *node) onNotification(ctx context.Context, text string) {
	if text == "look" {
		h.wake()
		return
	}

	rest, ok := strings.CutPrefix(text, "heard ")
	if !ok {
		return // of a newer version
	}

	id, at, _ := strings.Cut(rest, " ")
	s, err := parseSnapshot(at)
	if err != nil || id == h.id {
		return
	}

	h.mu.Lock()
	defer h.mu.Unlock()

	if ctx.Err() != nil {
		return // the server that it was said on may be no more
	}

	h.acks[id] = s
	close(h.acksChanged)
	h.acksChanged = make(chan struct{})
}

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

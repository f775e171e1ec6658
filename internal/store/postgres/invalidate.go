package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/secret"
	"github.com/jeton-auth/jeton/internal/store/change"

	"github.com/jackc/pgx/v5"
)

// recordChanges writes what a step has changed into its transaction, and returns its number.
func (h *node) recordChanges(ctx context.Context, tx pgx.Tx, changes []change.Change) (xid uint64, err error) {
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
			kind, ids = change.All, []int64{}
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
			h.db.Publish(c.Change)
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
		h.db.Publish(done.changes...)
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

// splitHashes splits what a line of changes holds.
func splitHashes(b []byte) ([]secret.Hash, error) {
	const size = len(secret.Hash{})
	if len(b)%size != 0 {
		return nil, fmt.Errorf("%w: a line of changes has %d bytes of hashes", jeton.ErrUnavailable, len(b))
	}

	list := make([]secret.Hash, 0, len(b)/size)
	for ; len(b) > 0; b = b[size:] {
		list = append(list, secret.Hash(b[:size]))
	}

	return list, nil
}

// Package statements holds what the stores say to their databases: one set of SQL
// statements for SQLite and PostgreSQL, and the steps that are made of them.
//
// It promises that each method is one atomic step of its engine, whatever other nodes do
// at the same time, and that the same rows come of it on either engine. What a step that
// ends or changes something has changed is handed to the engine, which lets everybody
// hear of it who keeps such things in memory. Opening, committing, retrying, migrating
// and the counting of uses are the engines' (internal/store/sqlite and
// internal/store/postgres); the rules are with the callers.
package statements

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/secret"
	"github.com/jeton-auth/jeton/internal/store/change"
)

// Queries is what reads. An engine binds $1 … $n by number. A row that is not there is
// sql.ErrNoRows.
type Queries interface {
	Query(ctx context.Context, text string, args ...any) (Rows, error)
	QueryRow(ctx context.Context, text string, args ...any) Row
}

// Rows is what a query returned. Close may be called more than once.
type Rows interface {
	Next() bool
	Scan(into ...any) error
	Err() error
	Close()
}

// Row is the only row of a query.
type Row interface{ Scan(into ...any) error }

// Conn is a transaction that is under way.
type Conn interface {
	Queries
	// Exec returns how many rows it changed.
	Exec(ctx context.Context, text string, args ...any) (int64, error)
	// Order waits for other steps that have named the same and are under way, so that what
	// follows becomes visible in the order in which it was done.
	Order(ctx context.Context, what string) error
	// Alone reports whether no other step that has named the same is under way.
	Alone(ctx context.Context, what string) (bool, error)
	// Lock returns a clause that locks rows, or "" where steps come one after another anyway.
	Lock(clause string) string
}

// Step is one atomic step.
type Step struct {
	// Serial steps come one after another on all nodes. They are those that change people,
	// clients and keys, whose rules look at more than one row.
	Serial bool
	// Long steps may touch so many rows that they take seconds.
	Long bool
	// Run takes the step and returns its changes. It may be called again after a rollback.
	// The engine publishes the changes once they are durable and before Do returns, also
	// when the caller has given up.
	Run func(ctx context.Context, tx Conn) ([]change.Change, error)
}

// Engine is a database.
type Engine interface {
	Queries
	// Do takes a step. The error is an outcome of package jeton, or jeton.ErrUnavailable.
	Do(ctx context.Context, s Step) error
	// Settled returns what to add to the condition of a query for events, so that none
	// appears later among those that it returns.
	Settled(ctx context.Context) (condition string, err error)
}

// Store takes the steps of every contract but that of counting uses. Its methods are safe
// for concurrent use.
type Store struct {
	engine Engine

	change.Subscribers

	settleMu   sync.Mutex
	settling   *settling  // that has not begun
	settleTurn sync.Mutex // held by the one that has
}

// New returns a store on an engine.
func New(engine Engine) *Store { return &Store{engine: engine} }

// sessionsEnded returns the change that the end of sessions is, or none.
func sessionsEnded(hashes []secret.Hash) []change.Change {
	if len(hashes) == 0 {
		return nil
	}

	return []change.Change{{Kind: change.Sessions, Hashes: hashes}}
}

// nothingLeft is the change of a step that found nothing left to end. Another may have ended
// it a moment ago and not be answered yet, because somebody still judges from memory: who
// has heard of this change, which names nothing, has heard of that one.
func nothingLeft() []change.Change { return []change.Change{{Kind: change.Sessions}} }

// settling is a step that some wait for and that has not begun.
type settling struct {
	done chan struct{}
	err  error
}

// Settle implements session.Store and token.Store. All who ask while one step is under way
// share the next: whoever shows what is no session costs no step of their own.
func (db *Store) Settle(ctx context.Context) error {
	db.settleMu.Lock()
	s := db.settling
	if s == nil {
		s = &settling{done: make(chan struct{})}
		db.settling = s
		go db.settle(s)
	}

	db.settleMu.Unlock()

	select {
	case <-s.done:
		return s.err
	case <-ctx.Done():
		return fmt.Errorf("%w: wait for others to hear what has ended: %w", jeton.ErrUnavailable, ctx.Err())
	}
}

func (db *Store) settle(s *settling) {
	defer close(s.done)

	db.settleTurn.Lock()
	defer db.settleTurn.Unlock()

	db.settleMu.Lock()
	db.settling = nil
	db.settleMu.Unlock()

	s.err = db.engine.Do(context.Background(), Step{
		Run: func(context.Context, Conn) ([]change.Change, error) { return nothingLeft(), nil },
	})
}

// do takes a step of which nobody has to hear.
func (db *Store) do(ctx context.Context, run func(ctx context.Context, tx Conn) error) error {
	return db.engine.Do(ctx, Step{
		Run: func(ctx context.Context, tx Conn) ([]change.Change, error) { return nil, run(ctx, tx) },
	})
}

// change takes a serial step.
func (db *Store) serial(ctx context.Context, run func(ctx context.Context, tx Conn) ([]change.Change, error)) error {
	return db.engine.Do(ctx, Step{Serial: true, Run: run})
}

// Batch returns what one commit is to carry: the first that waits, or a batch that has begun
// already, and whatever else waits, up to so many. Whoever queued the first made the one that
// takes it the next to run, ahead of others who are about to queue theirs: they get their
// turn before the commit, as long as more come. It returns nothing once quit is closed and
// nothing waits any more.
func Batch[J any](batch []J, jobs <-chan J, quit <-chan struct{}, most int) []J {
	if len(batch) == 0 {
		select {
		case j := <-jobs:
			batch = append(batch, j)
		case <-quit:
			select {
			case j := <-jobs:
				batch = append(batch, j)
			default:
				return nil
			}
		}
	}

	for len(batch) < most {
		select {
		case j := <-jobs:
			batch = append(batch, j)
			continue
		default:
		}

		before := len(jobs)
		runtime.Gosched()

		if len(jobs) == before {
			break
		}
	}

	return batch
}

// together is how many values one statement names at most. Both engines take more.
const together = 500

// removeUses removes the counts of holders.
func removeUses(ctx context.Context, tx Conn, holders []int64) error {
	for len(holders) > 0 {
		n := min(together, len(holders))
		if _, err := tx.Exec(ctx, "DELETE FROM uses WHERE login IN ("+places(n)+")", anys(holders[:n])...); err != nil {
			return err
		}
		holders = holders[n:]
	}

	return nil
}

// atMost is the clause that bounds how many rows are removed. The number stands in it: of a
// parameter PostgreSQL assumes that it is a tenth of the table, and reads all of it.
func atMost(limit int) string { return fmt.Sprintf(" LIMIT %d", limit) }

// places returns "$1, $2, …".
func places(n int) string {
	var b strings.Builder
	for i := range n {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "$%d", i+1)
	}

	return b.String()
}

func anys(numbers []int64) []any {
	list := make([]any, len(numbers))
	for i, n := range numbers {
		list[i] = n
	}
	return list
}

// Unavailable marks every fault of a database as "cannot tell". What is an outcome
// already stays what it is.
func Unavailable(err error) error {
	if err == nil || jeton.Outcome(err) != nil {
		return err
	}
	return fmt.Errorf("%w: %w", jeton.ErrUnavailable, err)
}

// missing tells a row that is not there from a store that cannot tell.
func missing(err error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return jeton.ErrNotFound
	}
	return err
}

// milli is how times are kept. The zero time is before all others.
func milli(t time.Time) int64 {
	if t.IsZero() {
		return -1
	}
	return t.UnixMilli()
}

// known reads what milli wrote.
func known(at int64) time.Time {
	if at < 0 {
		return time.Time{}
	}
	return time.UnixMilli(at).UTC()
}

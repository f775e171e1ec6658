// Package statements holds the SQL that SQLite and PostgreSQL share, and the transactions
// made of it: the store behind session, token, account, client, keys and audit.
//
// It promises that each method is one transaction, and that both engines end up with the
// same rows. Each transaction reports which cached values it made outdated; the engine
// passes them to the subscribers of internal/store/change. The columns of each table are in
// columns.go; each other file has the statements of one subject. Opening, committing, retrying,
// migrating and counting uses is for internal/store/sqlite and internal/store/postgres. The
// rules are in the packages that declare the store interfaces.
//
// # Files
//
//	statements.go, columns.go, meta.go   what an engine provides; columns; the table meta
//	accounts.go, user*.go, pending.go    users: reading, declaring, listing, writing; a new address
//	import.go, invitations.go            importing and inviting users
//	factors.go, party.go, identities.go  second factors and passkeys; accounts at other providers
//	clients.go, client*.go, declare.go   clients; comparing declared users and clients with stored ones
//	session*.go, logins.go, logouts.go   sessions: starting, ending, past logins, logouts at clients
//	tickets.go, assertions.go            what is used once: tickets, assertions
//	devices.go, notme.go, mails.go       devices of users; the link of a notice; mails
//	tokens.go, token*.go, grants.go      tokens and grants of relying parties
//	connections.go                       which clients a user has signed in at
//	failures.go, keys.go, epoch.go       failed attempts; signing keys; a restored database
//	audit.go, auditsize.go               the audit log, and its size
//
// # A new column
//
// Scans and inserts list the columns again, in the order of columns.go: those of users are in
// accounts.go, and userwrite.go updates them. A new column is also a step of both schemas, and
// a row in store/move/tables.go.
//
// # Example
//
// A method of a store is one step. What it changed is published after the commit.
//
//	err := db.engine.Do(ctx, Step{Run: func(ctx context.Context, tx Conn) ([]change.Change, error) {
//		if _, err := tx.Exec(ctx, "DELETE FROM sessions WHERE id = $1", id); err != nil {
//			return nil, err
//		}
//		return []change.Change{{Kind: change.Sessions, Hashes: ended}}, appendEvents(ctx, tx, ev)
//	}})
package statements

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/secret"
	"github.com/jeton-auth/jeton/internal/store/change"
)

// Queries reads. An engine binds $1 … $n by number. A missing row is sql.ErrNoRows.
type Queries interface {
	Query(ctx context.Context, text string, args ...any) (Rows, error)
	QueryRow(ctx context.Context, text string, args ...any) Row
}

// Rows is the result of a query. Close may be called more than once.
type Rows interface {
	Next() bool
	Scan(into ...any) error
	Err() error
	Close()
}

// Row is the only row of a query.
type Row interface{ Scan(into ...any) error }

// Conn is an open transaction.
type Conn interface {
	Queries
	// Exec returns how many rows it changed.
	Exec(ctx context.Context, text string, args ...any) (int64, error)
	// Order waits for running steps that called Order with the same name, so that what follows
	// becomes visible in the order in which it was done.
	Order(ctx context.Context, what string) error
	// Alone reports whether no other running step has called Alone with the same name.
	Alone(ctx context.Context, what string) (bool, error)
	// Lock returns the clause, which locks rows, or "" where an engine runs one step at a time.
	Lock(clause string) string
}

// Step is one atomic step.
type Step struct {
	// Serial steps run one after another on all nodes. They are those that change users,
	// clients and keys, whose rules depend on more than one row.
	Serial bool
	// Long steps may change many rows and take seconds.
	Long bool
	// Loose steps may be lost by a power failure after Do has returned, unless a step that is not loose followed.
	// An engine that waits for a disk need not do so for them. They have no changes.
	Loose bool
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
	// Settled returns what to add to the condition of a query for events, so that no event
	// appears later among those that the query returned.
	Settled(ctx context.Context) (condition string, err error)
	// Settle returns when no node uses a value any more that was outdated before the call. It
	// writes nothing: callers without a valid credential reach it.
	Settle(ctx context.Context) error
}

// Store takes the steps of every contract but that of counting uses. Its methods are safe
// for concurrent use.
type Store struct {
	engine Engine

	change.Subscribers

	notices atomic.Bool // of mail.Store

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

// nothingLeft is the change of a step that found nothing left to end. Another step may have
// ended it a moment ago and still be waiting for the nodes. A node that has received this
// change, which names nothing, has also received that one.
func nothingLeft() []change.Change { return []change.Change{{Kind: change.Sessions}} }

// settling is a step that has not begun, and that callers wait for.
type settling struct {
	done chan struct{}
	err  error
}

// Settle implements change.Feed. All callers that come while one step runs share the next, so
// that a flood of invalid credentials does not cost a step each.
func (db *Store) Settle(ctx context.Context) error {
	db.settleMu.Lock()
	s := db.settling
	if s == nil {
		s = &settling{done: make(chan struct{})}
		db.settling = s
		// A goroutine, because the caller may give up while others still wait for the step.
		go db.settle(s)
	}

	db.settleMu.Unlock()

	select {
	case <-s.done:
		return s.err
	case <-ctx.Done():
		return fmt.Errorf("%w: wait until every node has received what ended: %w", jeton.ErrUnavailable, ctx.Err())
	}
}

// settle runs the step that the callers of s wait for.
func (db *Store) settle(s *settling) {
	defer close(s.done)

	// Callers that come until the turn begins still share this step.
	db.settleTurn.Lock()
	defer db.settleTurn.Unlock()

	db.settleMu.Lock()
	// Before the step: a caller that comes now may ask about a change that this one misses.
	db.settling = nil
	db.settleMu.Unlock()

	// Not the context of a caller: see Settle.
	s.err = db.engine.Settle(context.Background())
}

// do runs a step without changes to publish.
func (db *Store) do(ctx context.Context, run func(ctx context.Context, tx Conn) error) error {
	return db.engine.Do(ctx, Step{
		Run: func(ctx context.Context, tx Conn) ([]change.Change, error) { return nil, run(ctx, tx) },
	})
}

// serial runs a serial step.
func (db *Store) serial(ctx context.Context, run func(ctx context.Context, tx Conn) ([]change.Change, error)) error {
	return db.engine.Do(ctx, Step{Serial: true, Run: run})
}

// Batch returns the jobs of one commit: those of a batch that has begun, or the first that
// waits, and whatever else waits, up to limit. It yields to goroutines that are about to
// queue a job, as long as more come: the scheduler runs the receiver of the first job ahead of
// them. It returns nothing once quit is closed and no job waits.
func Batch[J any](batch []J, jobs <-chan J, quit <-chan struct{}, limit int) []J {
	if len(batch) == 0 {
		select {
		case j := <-jobs:
			batch = append(batch, j)
		// select chooses at random when both are ready. What was queued before quit is
		// answered.
		case <-quit:
			select {
			case j := <-jobs:
				batch = append(batch, j)
			default:
				return nil
			}
		}
	}

	for len(batch) < limit {
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

// together is the maximum number of values in one statement. Both engines take more.
const together = 500

// removeUses deletes the counts of holders.
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

// atMost is the clause that limits how many rows are read or deleted. The number is a literal: of a parameter
// PostgreSQL assumes a tenth of the table, and reads all of it. SQLite looks at its value, and so parses the statement
// again each time that it runs.
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

// oneOf returns the condition that a column has one of some texts, and the arguments with them.
func oneOf[T ~string](texts []T, args []any) (string, []any) {
	marks := make([]string, len(texts))
	for i, text := range texts {
		args = append(args, string(text))
		marks[i] = fmt.Sprintf("$%d", len(args))
	}

	return "IN (" + strings.Join(marks, ", ") + ")", args
}

// anys converts numbers for the arguments of a statement.
func anys(numbers []int64) []any {
	list := make([]any, len(numbers))
	for i, n := range numbers {
		list[i] = n
	}
	return list
}

// Unavailable makes every error of a database jeton.ErrUnavailable, except those that are an
// outcome of package jeton already.
func Unavailable(err error) error {
	if err == nil || jeton.Outcome(err) != nil {
		return err
	}
	return fmt.Errorf("%w: %w", jeton.ErrUnavailable, err)
}

// missing makes a missing row jeton.ErrNotFound, and leaves other errors as they are.
func missing(err error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return jeton.ErrNotFound
	}
	return err
}

// milli returns a time as it is stored: in milliseconds, and the zero time as -1.
func milli(t time.Time) int64 {
	if t.IsZero() {
		return -1
	}
	return t.UnixMilli()
}

// known is the inverse of milli.
func known(at int64) time.Time {
	if at < 0 {
		return time.Time{}
	}
	return time.UnixMilli(at).UTC()
}

package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5/pgconn"
)

// notSent reports an error from before anything was said to the database.
func notSent(err error) bool { return err != nil && pgconn.SafeToRetry(err) }

// connectionBroken reports that a connection has ended under a question that changes nothing, other
// than by our own impatience.
func connectionBroken(err error) bool {
	if err == nil || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return false
	}

	var e *pgconn.PgError
	if errors.As(err, &e) {
		return e.Code == "57P01" || e.Code == "57P02" // it is being stopped, or a crash
	}

	return notSent(err)
}

// commitError is what became of a commit that did not say that it was done. Unless the
// databaseID says that it took it back, nobody knows.
type commitError struct{ error }

func (e *commitError) Unwrap() error { return e.error }

// retryable reports that a step was certainly not taken and may be tried again.
func retryable(err error) bool {
	var c *commitError
	return rolledBack(err) || !errors.As(err, &c) && connectionBroken(err)
}

// rolledBack reports that the database itself has taken a transaction back, so that others
// could go on.
func rolledBack(err error) bool {
	var e *pgconn.PgError
	return errors.As(err, &e) && (e.Code == "40001" || e.Code == "40P01") // serialization failure, deadlock
}

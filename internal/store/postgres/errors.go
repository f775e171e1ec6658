package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5/pgconn"
)

// attempts is how often a step is tried that PostgreSQL has rolled back, or whose connection
// was broken before anything was sent.
const attempts = 4

// retryIf tries something again while again is true of its error, up to the limit.
func retryIf(again func(error) bool, try func() error) (err error) {
	for range attempts {
		err = try()
		if !again(err) {
			break
		}
	}

	return err
}

// notSent reports an error from before anything was sent to the database.
func notSent(err error) bool { return err != nil && pgconn.SafeToRetry(err) }

// connectionBroken reports that a connection has ended during a query that changes nothing,
// other than by a timeout of ours.
func connectionBroken(err error) bool {
	if err == nil || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return false
	}

	var e *pgconn.PgError
	if errors.As(err, &e) {
		return e.Code == "57P01" || e.Code == "57P02" // admin_shutdown, crash_shutdown
	}

	return notSent(err)
}

// commitError is the error of a commit. Unless the database says that it has rolled back, the
// outcome is unknown.
type commitError struct{ error }

func (e *commitError) Unwrap() error { return e.error }

// retryable reports that a step was certainly not committed, and may be tried again.
func retryable(err error) bool {
	var c *commitError
	return rolledBack(err) || !errors.As(err, &c) && connectionBroken(err)
}

// rolledBack reports that PostgreSQL has rolled a transaction back so that others can go on.
func rolledBack(err error) bool {
	var e *pgconn.PgError
	return errors.As(err, &e) && (e.Code == "40001" || e.Code == "40P01") // serialization_failure, deadlock_detected
}

package statements

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/audit"
)

// insertedEvent adds an event.
var insertedEvent = insertInto("audit", auditColumns)

// appendEvents adds events inside a step that changes something.
func appendEvents(ctx context.Context, tx Conn, events ...jeton.Event) error {
	// In the step of the change: neither exists without the other.
	for _, e := range events {
		checks := ""
		if len(e.Checks) > 0 {
			b, err := json.Marshal(e.Checks)
			if err != nil {
				return fmt.Errorf("encode checks: %w", err)
			}
			checks = string(b)
		}

		if _, err := tx.Exec(
			ctx, insertedEvent, milli(e.Time), e.Request, e.Actor, e.Action, e.Target, e.Service, e.Outcome, e.Reason,
			e.Source, checks,
		); err != nil {
			return err
		}
	}

	return nil
}

// Append implements audit.Store.
func (db *Store) Append(ctx context.Context, events []jeton.Event) error {
	return db.do(ctx, func(ctx context.Context, tx Conn) error { return appendEvents(ctx, tx, events...) })
}

// Events implements audit.Store.
func (db *Store) Events(ctx context.Context, f audit.Filter) ([]jeton.Event, error) {
	after := f.After
	order := "seq"
	most := mostEvents(f)
	if f.Last > 0 {
		after = 0
		order = "seq DESC"
		most = min(f.Last, most)
	}

	where, args := chosenEvents(f, after)
	if f.Request == "" && f.Last <= 0 {
		// Numbers are assigned before the commit: without this, a caller that pages by Seq could
		// pass an event that appears later with a smaller number.
		settled, err := db.engine.Settled(ctx)
		if err != nil {
			return nil, Unavailable(err)
		}
		where += settled
	}

	rows, err := db.engine.Query(
		ctx,
		"SELECT seq, "+auditColumns+" FROM audit WHERE "+where+" ORDER BY "+order+fmt.Sprintf(" LIMIT %d", most),
		args...,
	)
	if err != nil {
		return nil, Unavailable(err)
	}
	defer rows.Close()

	events := []jeton.Event{}
	for rows.Next() {
		e, err := scanEvent(rows)
		if err != nil {
			return nil, Unavailable(err)
		}
		events = append(events, e)
	}

	if f.Last > 0 {
		slices.Reverse(events)
	}

	return events, Unavailable(rows.Err())
}

// chosenEvents returns the condition of a filter with its arguments.
func chosenEvents(f audit.Filter, after int64) (where string, args []any) {
	where, args = "seq > $1", []any{after}
	if f.Before != 0 {
		args = append(args, f.Before)
		where += fmt.Sprintf(" AND seq < $%d", len(args))
	}
	if f.Request != "" {
		args = append(args, f.Request)
		where += fmt.Sprintf(" AND request <> '' AND request = $%d", len(args)) // uses the index
	}

	if f.User != "" {
		args = append(args, "user:"+f.User)
		// LIKE lets the partial indexes fit.
		where += fmt.Sprintf(
			" AND (actor = $%[1]d AND actor LIKE 'user:%%' OR target = $%[1]d AND target LIKE 'user:%%')", len(args),
		)
	}

	for _, c := range []struct{ column, value string }{
		{"action", f.Action},
		{"service", f.Service},
		{"outcome", f.Outcome},
	} {
		if c.value != "" {
			args = append(args, c.value)
			where += fmt.Sprintf(" AND %s = $%d", c.column, len(args))
		}
	}

	if !f.Since.IsZero() {
		args = append(args, f.Since.UnixMilli())
		where += fmt.Sprintf(" AND at >= $%d", len(args))
	}
	if !f.Until.IsZero() {
		args = append(args, f.Until.UnixMilli())
		where += fmt.Sprintf(" AND at < $%d", len(args))
	}

	return where, args
}

// mostEvents returns how many events to read at most: 1000 if the caller sets no limit.
func mostEvents(f audit.Filter) int {
	if f.Limit <= 0 {
		return 1000
	}
	return f.Limit
}

// scanEvent reads a row of the audit log. Events without checks have the empty text, which
// most of them are.
func scanEvent(row Row) (jeton.Event, error) {
	var e jeton.Event
	var at int64
	var checks string
	if err := row.Scan(
		&e.Seq, &at, &e.Request, &e.Actor, &e.Action, &e.Target, &e.Service, &e.Outcome, &e.Reason,
		&e.Source, &checks,
	); err != nil {
		return e, err
	}

	e.Time = time.UnixMilli(at).UTC()
	if checks != "" {
		if err := json.Unmarshal([]byte(checks), &e.Checks); err != nil {
			return e, fmt.Errorf("checks of event %d: %w", e.Seq, err)
		}
	}

	return e, nil
}

// Forget implements audit.Store.
func (db *Store) Forget(ctx context.Context, before time.Time, limit int) (int, error) {
	var n int64
	err := db.do(ctx, func(ctx context.Context, tx Conn) (err error) {
		// The log is in the order of time, so the oldest are the first.
		n, err = tx.Exec(
			ctx,
			"DELETE FROM audit WHERE seq IN (SELECT seq FROM (SELECT seq, at FROM audit ORDER BY seq"+atMost(limit)+
				") oldest WHERE at < $1)",
			milli(before),
		)
		if err != nil {
			return err
		}

		tokens, err := tx.Exec(
			ctx,
			"DELETE FROM ended_tokens WHERE hash IN (SELECT hash FROM ended_tokens WHERE at < $1 ORDER BY at"+
				atMost(limit)+")",
			milli(before),
		)
		// The larger: the caller goes on until a sweep deletes fewer than the limit.
		n = max(n, tokens)

		return err
	})
	if err != nil {
		return 0, err
	}

	return int(n), nil
}

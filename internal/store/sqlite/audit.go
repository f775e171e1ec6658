package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"jeton"
	"jeton/internal/audit"
)

// appendEvents adds events inside a step that changes something.
func appendEvents(ctx context.Context, tx *sql.Conn, events ...jeton.Event) error {
	const add = `INSERT INTO audit (at, request, actor, action, target, service, outcome, reason, source, checks)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`
	for _, e := range events {
		checks := ""
		if len(e.Checks) > 0 {
			b, err := json.Marshal(e.Checks)
			if err != nil {
				return fmt.Errorf("encode checks: %w", err)
			}
			checks = string(b)
		}
		if _, err := tx.ExecContext(ctx, add, milli(e.Time), e.Request, e.Actor, e.Action, e.Target, e.Service, e.Outcome, e.Reason, e.Source, checks); err != nil {
			return err
		}
	}
	return nil
}

// Append implements audit.Store.
func (db *DB) Append(ctx context.Context, events []jeton.Event) error {
	return db.do(ctx, func(ctx context.Context, tx *sql.Conn) error { return appendEvents(ctx, tx, events...) })
}

// Events implements audit.Store.
func (db *DB) Events(ctx context.Context, f audit.Filter) ([]jeton.Event, error) {
	const columns = "SELECT seq, at, request, actor, action, target, service, outcome, reason, source, checks FROM audit "
	query, args := columns+"WHERE seq > $1 AND ($2 = '' OR request = $2) ORDER BY seq LIMIT $3", []any{f.After, f.Request, limit(f)}
	switch {
	case f.Request != "":
		query, args = columns+"WHERE request <> '' AND request = $1 ORDER BY seq LIMIT $2", []any{f.Request, limit(f)}
	case f.Last > 0:
		query, args = columns+"ORDER BY seq DESC LIMIT $1", []any{min(f.Last, limit(f))}
	}
	rows, err := db.read.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, unavailable(err)
	}
	defer rows.Close()
	events := []jeton.Event{}
	for rows.Next() {
		e, err := scanEvent(rows)
		if err != nil {
			return nil, unavailable(err)
		}
		events = append(events, e)
	}
	if f.Last > 0 {
		slices.Reverse(events)
	}
	return events, unavailable(rows.Err())
}

func limit(f audit.Filter) int {
	if f.Limit <= 0 {
		return 1000
	}
	return f.Limit
}

func scanEvent(row scanner) (jeton.Event, error) {
	var e jeton.Event
	var at int64
	var checks string
	if err := row.Scan(&e.Seq, &at, &e.Request, &e.Actor, &e.Action, &e.Target, &e.Service, &e.Outcome, &e.Reason, &e.Source, &checks); err != nil {
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
func (db *DB) Forget(ctx context.Context, before time.Time, limit int) (int, error) {
	var n int64
	err := db.do(ctx, func(ctx context.Context, tx *sql.Conn) error {
		// The record is in the order of time, so the oldest are the first.
		r, err := tx.ExecContext(ctx, "DELETE FROM audit WHERE seq IN (SELECT seq FROM (SELECT seq, at FROM audit ORDER BY seq LIMIT $2) WHERE at < $1)", milli(before), limit)
		if err != nil {
			return err
		}
		n, err = r.RowsAffected()
		return err
	})
	return int(n), err
}

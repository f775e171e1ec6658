package statements

import (
	"context"
	"fmt"
	"strconv"

	"github.com/jeton-auth/jeton/internal/audit"
)

const (
	// droppable are the events that are deleted first; see audit.Excess.
	droppable = "(outcome <> 'ok' OR action IN ('" + audit.Request + "', '" + audit.Missing + "'))"

	// eventSize is how many bytes an event takes. The number is that of its other columns, and of the entries of
	// indexes beside the texts in them.
	eventSize = "(150 + 2 * octet_length(request) + 2 * octet_length(actor) + 2 * octet_length(action) + " +
		"octet_length(target) + octet_length(service) + octet_length(outcome) + octet_length(reason) + " +
		"octet_length(source) + octet_length(checks))"
)

// eventsAfter returns a query of at most limit events after the one of $1, in their order.
func eventsAfter(limit int) string {
	return "SELECT * FROM audit WHERE seq > $1 ORDER BY seq" + atMost(limit)
}

// Measure implements audit.Store.
func (db *Store) Measure(ctx context.Context, after int64, limit int) (audit.Measured, error) {
	m := audit.Measured{Last: after, Actors: map[string]int64{}}
	if after == 0 {
		turn, err := db.dropTurn(ctx)
		if err != nil {
			return m, err
		}
		m.Turn = turn
	}

	rows, err := db.engine.Query(
		ctx,
		"SELECT CASE WHEN "+droppable+" THEN '' ELSE actor END, COUNT(*), MAX(seq), "+
			"CAST(SUM("+eventSize+") AS BIGINT) FROM ("+eventsAfter(limit)+") following GROUP BY 1",
		after,
	)
	if err != nil {
		return m, Unavailable(err)
	}
	defer rows.Close()

	for rows.Next() {
		var actor string
		var events int
		var last, bytes int64
		if err := rows.Scan(&actor, &events, &last, &bytes); err != nil {
			return m, Unavailable(err)
		}

		m.Last = max(m.Last, last)
		m.Events += events
		m.Bytes += bytes
		if actor != "" {
			m.Actors[actor] += bytes
		}
	}

	return m, Unavailable(rows.Err())
}

// dropTurn returns the turn of the next step of Drop.
func (db *Store) dropTurn(ctx context.Context) (string, error) {
	turn, err := Meta(ctx, db.engine, MetaDrops)
	if turn == "" {
		turn = "0"
	}

	return turn, Unavailable(err)
}

// takeTurn counts a step of Drop, and returns the next turn, or "" if another node took this one.
func takeTurn(ctx context.Context, tx Conn, turn string) (next string, err error) {
	number, err := strconv.ParseInt(turn, 10, 64)
	if err != nil {
		return "", fmt.Errorf("turn of a step that deletes audit events: %w", err)
	}

	_, err = tx.Exec(ctx, "INSERT INTO meta (name, value) VALUES ($1, '0') ON CONFLICT (name) DO NOTHING", MetaDrops)
	if err != nil {
		return "", err
	}

	next = strconv.FormatInt(number+1, 10)
	n, err := tx.Exec(ctx, "UPDATE meta SET value = $1 WHERE name = $2 AND value = $3", next, MetaDrops, turn)
	if err != nil || n == 0 {
		return "", err
	}

	return next, nil
}

// Drop implements audit.Store.
func (db *Store) Drop(ctx context.Context, x audit.Excess) (audit.Measured, error) {
	chosen, ended := "1 = 1", "1 = 1"
	var of []any
	switch {
	case x.Droppable:
		chosen, ended = droppable, ""
	case x.Actor != "":
		of = []any{x.Actor}
		chosen, ended = "NOT "+droppable+" AND actor = $2", "actor = $2"
	}

	var m audit.Measured
	err := db.do(ctx, func(ctx context.Context, tx Conn) error {
		m = audit.Measured{Turn: x.Turn}
		var at int64
		err := tx.QueryRow(
			ctx,
			"SELECT COUNT(*), COALESCE(MAX(seq), 0), CAST(COALESCE(SUM(CASE WHEN "+chosen+" THEN "+eventSize+
				" ELSE 0 END), 0) AS BIGINT), COALESCE(MAX(CASE WHEN "+chosen+" THEN at ELSE 0 END), 0) FROM ("+
				eventsAfter(x.Limit)+") following",
			append([]any{x.After}, of...)...,
		).Scan(&m.Events, &m.Last, &m.Bytes, &at)
		if err != nil || m.Bytes == 0 {
			return err
		}

		m.Turn, err = takeTurn(ctx, tx, x.Turn)
		if err != nil || m.Turn == "" {
			m.Bytes = 0
			return err
		}

		_, err = tx.Exec(
			ctx, fmt.Sprintf("DELETE FROM audit WHERE seq > $1 AND seq <= %d AND ", m.Last)+chosen,
			append([]any{x.After}, of...)...,
		)
		if err != nil || ended == "" {
			return err
		}

		// Which token it was is kept as long as the event of its end.
		_, err = tx.Exec(ctx, "DELETE FROM ended_tokens WHERE at <= $1 AND "+ended, append([]any{at}, of...)...)

		return err
	})

	return m, err
}

package postgres

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// maxHeartbeatAge is after how long without a heartbeat a node is dead. A live one sends more,
// and the lease of a dead one has ended by then.
const maxHeartbeatAge = 2*heartbeatEvery + MaxStaleness/2

// nodeList reads and writes the list of nodes: by a pool, or by one connection.
type nodeList interface {
	Query(ctx context.Context, text string, args ...any) (pgx.Rows, error)
	Exec(ctx context.Context, text string, args ...any) (pgconn.CommandTag, error)
}

// Served returns how many nodes serve from the database. When nodes are in the list, it waits for
// a heartbeat. Without one, they have crashed, and it removes them.
func (s *Side) Served(ctx context.Context) (int, error) {
	return served(ctx, s.pool, s.log, s.maxHeartbeatAge)
}

// served is Served, with the time after which a node without a heartbeat is dead.
func served(ctx context.Context, db nodeList, log *slog.Logger, maxAge time.Duration) (int, error) {
	before, err := heartbeats(ctx, db)
	if err != nil || len(before) == 0 {
		return 0, err
	}

	log.Warn(
		"nodes are in the list of the database; waiting for a heartbeat of theirs",
		"nodes", len(before),
		"for", maxAge.String(),
	)

	deadline := time.Now().Add(maxAge)
	for {
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-time.After(min(heartbeatEvery/5, maxAge/5)):
		}

		now, err := heartbeats(ctx, db)
		if err != nil {
			return 0, err
		}

		// A node that has come since is alive, too.
		for id, beat := range now {
			if old, ok := before[id]; !ok || old != beat {
				return len(now), nil
			}
		}

		// A node that is closed leaves the list by itself.
		if len(now) == 0 || time.Now().After(deadline) {
			return 0, removeNodes(ctx, db, now)
		}
	}
}

// heartbeats returns the number of heartbeats of each node in the list.
func heartbeats(ctx context.Context, db nodeList) (map[string]int64, error) {
	rows, err := db.Query(ctx, "SELECT id, beat FROM nodes")
	if err != nil {
		return nil, err
	}

	list := map[string]int64{}
	var id string
	var beat int64

	_, err = pgx.ForEachRow(rows, []any{&id, &beat}, func() error {
		list[id] = beat
		return nil
	})

	return list, err
}

// removeNodes removes nodes from the list. A node that is alive after all notices, and registers
// again.
func removeNodes(ctx context.Context, db nodeList, dead map[string]int64) error {
	for id, beat := range dead {
		if _, err := db.Exec(ctx, "DELETE FROM nodes WHERE id = $1 AND beat = $2", id, beat); err != nil {
			return err
		}
	}

	return nil
}

// mustBeAlone refuses missing steps that nodes of the previous version cannot work with, while such
// nodes are running: they have read the schema at their start, and would go on as if it were the same.
// A node that has looked at the schema before and joins the list after this is not seen; it has a few
// milliseconds for that.
func (c Config) mustBeAlone(ctx context.Context, db nodeList, list []Step) error {
	step := NeedsStop(list)
	if step == "" {
		return nil
	}

	nodes, err := served(ctx, db, c.Log, 2*c.heartbeatEvery+MaxStaleness/2)
	if err != nil || nodes == 0 {
		return err
	}

	return fmt.Errorf(
		"nodes of the previous version are running (%d), and cannot work with the schema after step %s: "+
			"stop all of them, then start this version; nothing was changed",
		nodes,
		step,
	)
}

// NeedsStop returns the name of the first missing step that programs of the present schema cannot work
// with, or "": then nodes can be replaced one after the other.
func NeedsStop(list []Step) string {
	has := appliedSteps(list)
	for _, s := range list {
		if has > 0 && !s.Applied && s.Needs > has {
			return s.Name
		}
	}

	return ""
}

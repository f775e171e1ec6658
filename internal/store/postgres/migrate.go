package postgres

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jeton-auth/jeton/internal/store/statements"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// migrate creates the schema of an empty database. With Config.Upgrade it also applies the steps
// that are missing in an older one: each step completely or not at all, on one node at a time. It
// refuses a schema of another program, one with other steps than ours, and one that a newer version
// has changed so that this one cannot work with it.
func migrate(ctx context.Context, c Config, settings *pgx.ConnConfig) error {
	return c.withSchema(ctx, settings, true, func(conn *pgx.Conn, list []Step) error {
		has := appliedSteps(list)
		if has > 0 && has < len(list) && !c.Upgrade {
			return statements.OldSchema(has, len(list))
		}

		applied, err := c.upgrade(ctx, conn, list)
		// A new database has all steps, of which none says anything.
		if has == 0 && err == nil && len(applied) > 0 {
			c.Log.Info("database created", "schema", len(applied))
			return nil
		}
		for _, name := range applied {
			c.Log.Info("database migrated", "step", name)
		}

		return err
	})
}

// Migrations returns the steps of the schema, in order, and which have been applied. Among them
// are steps of a newer version that this program can work with. It changes nothing, and waits for
// no other program.
func Migrations(ctx context.Context, c Config) (list []Step, err error) {
	err = c.migration(ctx, false, func(_ *pgx.Conn, steps []Step) error {
		list = steps
		return nil
	})
	return list, err
}

// Migrate applies the steps that are missing and returns their names. With try it rolls all of
// them back again, to find out whether they would succeed.
func Migrate(ctx context.Context, c Config, try bool) (applied []string, err error) {
	c = c.withDefaults()
	err = c.migration(ctx, true, func(conn *pgx.Conn, list []Step) (err error) {
		if try {
			applied, err = tryMissing(ctx, conn, list)
		} else {
			applied, err = c.upgrade(ctx, conn, list)
		}

		return err
	})

	return applied, err
}

// upgrade applies the missing steps, after BeforeUpgrade if the schema is an older one. It refuses while
// nodes are running that cannot work with the schema after them.
func (c Config) upgrade(ctx context.Context, conn *pgx.Conn, list []Step) (applied []string, err error) {
	has := appliedSteps(list)
	if err := c.mustBeAlone(ctx, conn, list); err != nil {
		return nil, err
	}

	if has > 0 && has < len(list) {
		if err := c.BeforeUpgrade(ctx, has+1); err != nil {
			return nil, err
		}
	}

	return applyMissing(list, func(s Step) error { return applyStep(ctx, c.Log, conn, s) })
}

// appliedSteps returns how many steps have been applied.
func appliedSteps(list []Step) (n int) {
	for _, s := range list {
		if s.Applied {
			n++
		}
	}

	return n
}

// applyMissing calls apply for each step that is not applied yet, and returns the names of those
// that succeeded.
func applyMissing(list []Step, apply func(Step) error) (applied []string, err error) {
	for _, s := range list {
		if s.Applied {
			continue
		}
		if err := apply(s); err != nil {
			return applied, fmt.Errorf("migration %s: %w", s.Name, err)
		}

		applied = append(applied, s.Name)
	}

	return applied, nil
}

// tryMissing applies the missing steps in a transaction, rolls it back, and returns their names.
func tryMissing(ctx context.Context, conn *pgx.Conn, list []Step) ([]string, error) {
	tx, err := conn.Begin(ctx)
	if err != nil {
		return nil, err
	}

	// Also when ctx has ended: until then nodes wait for the locks of the steps.
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()

	// A trial that waits for a lock must not hold up the nodes behind it.
	if _, err := conn.Exec(ctx, "SET LOCAL lock_timeout = '1s'"); err != nil {
		return nil, err
	}

	return applyMissing(list, func(s Step) error { return runStep(ctx, conn, s) })
}

// migration opens a connection for commands about the schema, without making this process a
// node.
func (c Config) migration(ctx context.Context, alone bool, do func(*pgx.Conn, []Step) error) error {
	c = c.withDefaults()
	settings, err := c.parse()
	if err == nil {
		err = c.withSchema(ctx, settings.ConnConfig, alone, do)
	}

	if err != nil {
		return fmt.Errorf("database %s: %w", c.Where, explainOpen(err))
	}

	return nil
}

// withSchema connects and calls do with the steps of the schema. With alone, no other node
// changes the schema meanwhile.
func (c Config) withSchema(
	ctx context.Context,
	settings *pgx.ConnConfig,
	alone bool,
	do func(*pgx.Conn, []Step) error,
) error {
	settings = settings.Copy()
	// A step may take long; the operator can interrupt it.
	settings.RuntimeParams["statement_timeout"] = "0"
	settings.RuntimeParams["idle_in_transaction_session_timeout"] = "0"
	conn, err := pgx.ConnectConfig(ctx, settings)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()

	if err := c.checkServer(ctx, conn); err != nil {
		return err
	}

	if alone {
		// The lock ends with the connection, also when this process is killed.
		if _, err := conn.Exec(ctx, "SELECT pg_advisory_lock($1)", lockNumber("schema")); err != nil {
			return err
		}
	}

	list, err := loadSteps(c.schemaFiles())
	if err != nil {
		return err
	}

	list, err = markApplied(ctx, conn, list)
	if err != nil {
		return err
	}

	return do(conn, list)
}

// checkServer refuses a server that is too old, and warns of one that loses data in a crash.
func (c Config) checkServer(ctx context.Context, conn *pgx.Conn) error {
	const read = `SELECT current_setting('server_version_num')::int,
  current_setting('fsync'), current_setting('full_page_writes')`

	var version int
	var fsync, pages string
	if err := conn.QueryRow(ctx, read).Scan(&version, &fsync, &pages); err != nil {
		return err
	}

	if version < Version {
		return fmt.Errorf("it is PostgreSQL %d; Jeton needs %d or newer", version/10000, Version/10000)
	}
	if fsync != "on" || pages != "on" {
		c.Log.Warn(
			"the database may lose commits in a crash: uses may be granted twice; set both to on",
			"fsync", fsync,
			"full_page_writes", pages,
		)
	}

	return nil
}

// applyStep applies a step in a transaction of its own. While a step waits for the lock of a table,
// all other programs wait behind it. So it gives up after 2 s, and tries again a second later.
func applyStep(ctx context.Context, log *slog.Logger, conn *pgx.Conn, s Step) error {
	for {
		err := pgx.BeginFunc(ctx, conn, func(pgx.Tx) error {
			if _, err := conn.Exec(ctx, "SELECT set_config('lock_timeout', '2s', true)"); err != nil {
				return err
			}
			return runStep(ctx, conn, s)
		})

		var e *pgconn.PgError
		if !errors.As(err, &e) || e.Code != "55P03" { // lock_not_available
			return err
		}

		log.Warn("a schema step waits for a program that uses its table; is a backup being made?", "step", s.Name)

		select {
		case <-ctx.Done():
			return err
		case <-time.After(time.Second):
		}
	}
}

// runStep runs a step in the transaction of the connection, and records it.
func runStep(ctx context.Context, conn *pgx.Conn, s Step) error {
	if s.Number == 1 {
		const create = `CREATE TABLE migrations (
  number INT PRIMARY KEY, name TEXT NOT NULL, sum TEXT NOT NULL, needs INT NOT NULL, at BIGINT NOT NULL)`
		if _, err := conn.Exec(ctx, create); err != nil {
			return err
		}
	}

	// Without arguments, a text may contain several statements.
	if _, err := conn.Exec(ctx, s.text); err != nil {
		return err
	}

	// In the same transaction, so that a crash leaves no step applied and not recorded.
	// The time is for operators; nothing depends on it.
	const insert = "INSERT INTO migrations (number, name, sum, needs, at) VALUES ($1, $2, $3, $4, $5)"
	_, err := conn.Exec(ctx, insert, s.Number, s.Name, s.sum, s.Needs, time.Now().UnixMilli())

	return err
}

package postgres

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// migrate brings the schema up to date, each step whole or not at all, one node at a time.
// It refuses a schema of another program, one whose past differs from ours, and one that
// a newer version has changed in a way that this one cannot work with.
func migrate(ctx context.Context, c Config, settings *pgx.ConnConfig) error {
	return c.withSchema(ctx, settings, true, func(conn *pgx.Conn, list []Step) error {
		for _, s := range list {
			if s.Applied {
				continue
			}
			if err := applyStep(ctx, c.Log, conn, s, false); err != nil {
				return err
			}

			c.Log.Info("database migrated", "step", s.Name)
		}

		return nil
	})
}

// Migrations returns the steps of the schema, in order, and which have been applied: also
// loadSteps of a newer version that this program can work with. It changes nothing and waits
// for nobody.
func Migrations(ctx context.Context, c Config) (list []Step, err error) {
	err = c.migration(ctx, false, func(_ *pgx.Conn, steps []Step) error {
		list = steps
		return nil
	})
	return list, err
}

// Migrate applies the steps that are missing and returns their names. With try it takes
// everything of them back again: it says whether they would go through.
func Migrate(ctx context.Context, c Config, try bool) (applied []string, err error) {
	err = c.migration(ctx, true, func(conn *pgx.Conn, list []Step) error {
		if !try {
			for _, s := range list {
				if s.Applied {
					continue
				}
				if err := applyStep(ctx, c.Log, conn, s, false); err != nil {
					return err
				}

				applied = append(applied, s.Name)
			}

			return nil
		}

		tx, err := conn.Begin(ctx)
		if err != nil {
			return err
		}
		defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()

		// Nodes that serve must not queue up behind a trial that waits for its turn.
		if _, err := conn.Exec(ctx, "SET LOCAL lock_timeout = '1s'"); err != nil {
			return err
		}

		for _, s := range list {
			if s.Applied {
				continue
			}
			if err := applyStep(ctx, c.Log, conn, s, true); err != nil {
				return err
			}

			applied = append(applied, s.Name)
		}

		return nil
	})

	return applied, err
}

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

// withSchema connects and calls do with the steps of the schema, and with alone while no
// other node changes it.
func (c Config) withSchema(
	ctx context.Context,
	settings *pgx.ConnConfig,
	alone bool,
	do func(*pgx.Conn, []Step) error,
) (err error) {
	settings = settings.Copy()
	// A step may take its time; whoever runs it may interrupt it.
	settings.RuntimeParams["statement_timeout"] = "0"
	settings.RuntimeParams["idle_in_transaction_session_timeout"] = "0"
	conn, err := pgx.ConnectConfig(ctx, settings)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()

	var version int
	var fsync, commit string
	if err := conn.QueryRow(
		ctx,
		"SELECT current_setting('server_version_num')::int, current_setting('fsync'), current_setting('full_page_writes')",
	).Scan(
		&version,
		&fsync,
		&commit,
	); err != nil {
		return err
	}

	if version < Version {
		return fmt.Errorf("it is PostgreSQL %d; Jeton needs %d or newer", version/10000, Version/10000)
	}
	if fsync != "on" || commit != "on" {
		c.Log.Warn(
			"the database is told not to keep what it was given through a crash: uses may be granted twice",
			"fsync",
			fsync,
			"full_page_writes",
			commit,
		)
	}

	if alone {
		// The lock goes with the connection, whatever becomes of this process.
		if _, err := conn.Exec(ctx, "SELECT pg_advisory_lock($1)", lockNumber("schema")); err != nil {
			return err
		}
	}

	list, err := loadSteps(c.schemaFiles())
	if err != nil {
		return err
	}
	if list, err = markApplied(ctx, conn, list); err != nil {
		return err
	}

	return do(conn, list)
}

// retryWhileLocked tries a step until nobody is in its way. While it waits for a lock on a table,
// everybody else waits for it: so it gives way every other second.
func retryWhileLocked(ctx context.Context, log *slog.Logger, s Step, try func() error) error {
	for {
		err := try()
		var e *pgconn.PgError
		if !errors.As(err, &e) || e.Code != "55P03" {
			return err
		}

		log.Warn("a schema step waits for somebody who uses its table; is a backup being made?", "step", s.Name)

		select {
		case <-ctx.Done():
			return err
		case <-time.After(time.Second):
		}
	}
}

// applyStep applies one step. nested: the caller has a transaction that takes it back again.
func applyStep(ctx context.Context, log *slog.Logger, conn *pgx.Conn, s Step, nested bool) error {
	do := func() error {
		if s.Number == 1 {
			const table = `CREATE TABLE migrations (number INT PRIMARY KEY, name TEXT NOT NULL, sum TEXT NOT NULL, needs INT NOT NULL, at BIGINT NOT NULL)`
			if _, err := conn.Exec(ctx, table); err != nil {
				return err
			}
		}

		// Without arguments a text may hold several statements.
		if _, err := conn.Exec(ctx, s.text); err != nil {
			return err
		}

		// The time is for people who look into the table; nothing is judged by it.
		const note = "INSERT INTO migrations (number, name, sum, needs, at) VALUES ($1, $2, $3, $4, $5)"
		_, err := conn.Exec(ctx, note, s.Number, s.Name, s.sum, s.Needs, time.Now().UnixMilli())

		return err
	}

	var err error
	if nested {
		err = do()
	} else {
		err = retryWhileLocked(ctx, log, s, func() error {
			return pgx.BeginFunc(ctx, conn, func(pgx.Tx) error {
				if _, err := conn.Exec(ctx, "SELECT set_config('lock_timeout', '2s', true)"); err != nil {
					return err
				}
				return do()
			})
		})
	}

	if err != nil {
		return fmt.Errorf("migration %s: %w", s.Name, err)
	}

	return nil
}

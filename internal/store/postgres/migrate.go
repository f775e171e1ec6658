package postgres

import (
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

//go:embed schema/*.sql
var schema embed.FS

// Step is a step of the schema.
type Step struct {
	Number int
	Name   string
	// Needs is the number of the last step that a program must know to work with the
	// schema after this one. A step that only adds needs an older one, so that nodes of
	// the version before go on beside those that have taken it; one that takes away what
	// they used needs itself.
	Needs   int
	Applied bool
	text    string
	sum     string
}

// loadSteps returns the steps of the schema in order.
func loadSteps(files fs.FS) ([]Step, error) {
	names, err := fs.Glob(files, "schema/*.sql")
	if err != nil {
		return nil, err
	}

	var list []Step
	for i, file := range names {
		text, err := fs.ReadFile(files, file)
		if err != nil {
			return nil, err
		}

		name := path.Base(file)
		number, err := strconv.Atoi(name[:max(strings.IndexByte(name, '_'), 0)])
		if err != nil || number != i+1 {
			return nil, fmt.Errorf("migration %s is out of order", name)
		}

		sum := sha256.Sum256(text)
		s := Step{
			Number: number,
			Name:   name,
			Needs:  number,
			text:   string(text),
			sum:    hex.EncodeToString(sum[:]),
		}
		line, _, _ := strings.Cut(s.text, "\n")
		if strings.HasPrefix(line, needsPrefix) {
			s.Needs, err = strconv.Atoi(strings.TrimSpace(line[len(needsPrefix):]))
			if err != nil || s.Needs > number {
				return nil, fmt.Errorf("migration %s: its first line says %q", name, line)
			}
		}

		list = append(list, s)
	}

	return list, nil
}

// needsPrefix begins the first line of a step that programs from before it can work with.
const needsPrefix = "-- needs:"

// schemaFiles is what this program knows. Tests hand in others.
func (c Config) schemaFiles() fs.FS {
	if c.Schema != nil {
		return c.Schema
	}
	return schema
}

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

// markApplied marks the steps that have been applied and adds those of a newer version. It refuses
// a schema that is not ours or that this program cannot work with.
func markApplied(ctx context.Context, conn *pgx.Conn, list []Step) ([]Step, error) {
	const look = `SELECT current_schema() IS NOT NULL, COALESCE(bool_or(relname = 'migrations'), FALSE), count(*)
FROM pg_class WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p', 'v', 'm')`
	var place, ours bool
	var tables int
	if err := conn.QueryRow(ctx, look).Scan(&place, &ours, &tables); err != nil {
		return nil, err
	}

	switch {
	case !place:
		return nil, errors.New("no schema of its search_path is there; CREATE SCHEMA makes one")
	case !ours && tables > 0:
		return nil, errors.New("its schema holds tables of another program; name a database, or with search_path a schema, that is empty")
	case !ours:
		return list, nil
	}

	rows, _ := conn.Query(ctx, "SELECT number, name, sum, needs FROM migrations ORDER BY number")
	done, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (s Step, err error) {
		s.Applied = true
		return s, row.Scan(&s.Number, &s.Name, &s.sum, &s.Needs)
	})
	if err != nil {
		return nil, fmt.Errorf("its table of migrations is not ours; name another database: %w", err)
	}

	known := len(list)
	for _, s := range done {
		switch {
		case s.Number <= known && list[s.Number-1].sum != s.sum:
			return nil, fmt.Errorf(
				"step %s of its schema is not the one of this program: it comes from another build of jeton",
				s.Name,
			)
		case s.Number <= known:
			list[s.Number-1].Applied = true
		case s.Needs > known:
			return nil, fmt.Errorf(
				"a newer version of jeton has changed its schema (step %s) in a way that this one, which knows %d, cannot work with; run that version, or restore a backup made before the upgrade",
				s.Name,
				known,
			)
		default:
			list = append(list, s)
		}
	}

	return list, nil
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

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/keys"
	"github.com/jeton-auth/jeton/internal/store/postgres"
	"github.com/jeton-auth/jeton/internal/test/pgtest"

	"github.com/jackc/pgx/v5"
)

// settings are the differences from a newly installed PostgreSQL: a
// quarter of a small machine's memory, and connections for 100 nodes. A sync is a sync, as it is by default.
var settings = []string{"shared_buffers = '256MB'", "max_wal_size = '4GB'", "max_connections = 400"}

// onPostgres makes a block of measurements that need PostgreSQL, and a note of them where
// there is none.
func onPostgres(run func(*bench, context.Context) error) func(*bench, context.Context) error {
	return func(b *bench, ctx context.Context) error {
		err := b.postgres(ctx)
		if errors.Is(err, pgtest.ErrMissing) {
			b.report.note("Not measured on PostgreSQL: " + err.Error() + ".")
			return nil
		}

		if err != nil {
			return err
		}

		return run(b, ctx)
	}
}

// postgres starts the PostgreSQL of this run when it is first needed.
func (b *bench) postgres(ctx context.Context) error {
	if b.cluster != nil {
		return nil
	}

	c, err := pgtest.New(ctx, "")
	if err != nil {
		return err
	}

	b.cluster = c

	for _, s := range settings {
		if err := c.Exec(ctx, "postgres", "ALTER SYSTEM SET "+s); err != nil {
			return err
		}
	}

	if err := c.Restart(ctx); err != nil {
		return err
	}

	var said []string
	const ask = `SELECT 'version ' || current_setting('server_version') UNION ALL
SELECT name || '=' || current_setting(name) FROM pg_settings WHERE name IN
('shared_buffers', 'max_wal_size', 'fsync', 'synchronous_commit', 'full_page_writes', 'wal_sync_method')`

	err = withConn(ctx, c.Superuser("postgres"), func(conn *pgx.Conn) error {
		rows, err := conn.Query(ctx, ask)
		if err != nil {
			return err
		}

		said, err = pgx.CollectRows(rows, pgx.RowTo[string])
		return err
	})
	if err != nil {
		return err
	}

	b.report.note("PostgreSQL, on the same cores and disk, by a Unix socket: " + strings.Join(said, ", ") + ".")

	return nil
}

// postmaster returns the process that all those of PostgreSQL are children of.
func (b *bench) postmaster(ctx context.Context) (int, error) {
	var backend int
	var parent string

	err := withConn(ctx, b.cluster.Superuser("postgres"), func(conn *pgx.Conn) error {
		if err := conn.QueryRow(ctx, "SELECT pg_backend_pid()").Scan(&backend); err != nil {
			return err
		}

		// The parent of a backend is the postmaster, whose children's processor time counts
		// for the server.
		f := procStat(backend)
		if len(f) > 1 {
			parent = f[1]
		}

		return nil
	})
	if err != nil {
		return 0, err
	}

	var pid int
	if _, err := fmt.Sscan(parent, &pid); err != nil {
		return 0, fmt.Errorf("find the parent of process %d: %w", backend, err)
	}

	return pid, nil
}

// withConn connects for one task, as the benchmark asks PostgreSQL too rarely to keep a
// connection.
func withConn(ctx context.Context, url string, do func(*pgx.Conn) error) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	return errors.Join(do(conn), conn.Close(context.WithoutCancel(ctx)))
}

// database is a seeded database that nodes share.
type database struct {
	url    string
	secret string // file that its nodes share
	drop   func()
}

// lines are what a node's configuration says of it. A node waits for the database for as
// long as it may: where it is slow, that is to be seen in the figures, not in refusals.
func (d *database) lines(staleness time.Duration) string {
	return fmt.Sprintf(
		"database: {url: %q, staleness: %v, statement_timeout: 1.5s, connect_timeout: 10s}\nkeys_secret_file: %s\n",
		d.url, staleness, d.secret,
	)
}

// database returns a database of that size, made when it is first needed.
func (b *bench) database(ctx context.Context, n stored) (*database, error) {
	if d, ok := b.databases[n]; ok {
		return d, nil
	}

	d, err := b.newDatabase(ctx, n)
	if err == nil {
		b.databases[n] = d
	}

	return d, err
}

// newDatabase is like database, for one that is not shared. drop removes it.
func (b *bench) newDatabase(ctx context.Context, n stored) (*database, error) {
	url, drop, err := b.cluster.Database(ctx)
	if err != nil {
		return nil, err
	}

	dir, err := os.MkdirTemp(b.dir, "shared-")
	if err != nil {
		return nil, err
	}

	d := &database{url: url, secret: filepath.Join(dir, "keys.secret"), drop: drop}
	if _, err := keys.LoadSecret(d.secret); err != nil {
		return nil, err
	}

	// Opened once, for the schema alone.
	db, err := postgres.Open(ctx, postgres.Config{
		URL:     jeton.NewSecret(url),
		Where:   "the benchmark's",
		Answer:  20 * time.Second,
		Connect: 20 * time.Second,
	})
	if err != nil {
		return nil, err
	}
	if err := db.Close(); err != nil {
		return nil, err
	}

	err = withConn(ctx, url, func(conn *pgx.Conn) error {
		for _, t := range rowsOf(n) {
			if err := t.copy(ctx, conn); err != nil {
				return fmt.Errorf("seed %s: %w", t.name, err)
			}
		}

		return nil
	})
	if err != nil {
		return nil, err
	}
	// As it would be some time after: nothing of the filling is left to be written.
	if err := b.cluster.Exec(ctx, strings.Trim(pathOf(url), "/"), "CHECKPOINT"); err != nil {
		return nil, err
	}

	return d, nil
}

// pathOf returns the path of a URL.
func pathOf(url string) string {
	_, rest, _ := strings.Cut(url, "://")
	_, rest, _ = strings.Cut(rest, "/")
	path, _, _ := strings.Cut(rest, "?")
	return path
}

// copy fills an empty table in PostgreSQL. An index is made faster than it grows.
func (t table) copy(ctx context.Context, conn *pgx.Conn) error {
	const list = `SELECT format('ALTER TABLE %I DROP CONSTRAINT %I', $1::text, conname),
	format('ALTER TABLE %I ADD CONSTRAINT %I ', $1::text, conname) || pg_get_constraintdef(oid)
FROM pg_constraint WHERE conrelid = $1::text::regclass AND contype IN ('p', 'u')
UNION ALL
SELECT format('DROP INDEX %I', indexname), indexdef FROM pg_indexes WHERE tablename = $1::text
AND indexname NOT IN (SELECT conname FROM pg_constraint WHERE conrelid = $1::text::regclass)`
	rows, err := conn.Query(ctx, list, t.name)
	if err != nil {
		return err
	}

	var drop, add string

	texts := []string{"SET maintenance_work_mem = '256MB'"}
	var after []string
	if _, err := pgx.ForEachRow(rows, []any{&drop, &add}, func() error {
		texts, after = append(texts, drop), append(after, add)
		return nil
	}); err != nil {
		return err
	}

	for _, text := range texts {
		if _, err := conn.Exec(ctx, text); err != nil {
			return err
		}
	}

	if _, err := conn.CopyFrom(ctx, pgx.Identifier{t.name}, t.columns, pgx.CopyFromSlice(t.rows, t.row)); err != nil {
		return err
	}

	for _, text := range append(after, "VACUUM ANALYZE "+pgx.Identifier{t.name}.Sanitize()) {
		if _, err := conn.Exec(ctx, text); err != nil {
			return err
		}
	}

	return nil
}

// group is nodes that share a database.
type group struct {
	list []*process
	also []int // the processes of the database
}

// nodesUp starts that many nodes on a database, and waits until they answer. staleness is
// the maximum age of what they cache.
func (b *bench) nodesUp(
	ctx context.Context,
	d *database,
	staleness time.Duration,
	many int,
	cores []int,
	s setup,
) (*group, error) {
	pid, err := b.postmaster(ctx)
	if err != nil {
		return nil, err
	}

	g := &group{also: []int{pid}}
	s.top += d.lines(staleness)

	for range many {
		dir, err := os.MkdirTemp(b.dir, "node-")
		if err != nil {
			g.stop()
			return nil, err
		}

		p, err := b.startAs(dir, s, cores)
		if p, err = up(ctx, p, err); err != nil {
			g.stop()
			return nil, err
		}

		g.list = append(g.list, p)
	}

	return g, nil
}

// stop ends all nodes.
func (g *group) stop() {
	for _, p := range g.list {
		p.stop()
	}
}

// warmAll sends every different request of a load to each node once.
func (b *bench) warmAll(ctx context.Context, g *group, l load) error {
	for _, p := range g.list {
		if err := b.warmWith(ctx, p, l); err != nil {
			return err
		}
	}

	return nil
}

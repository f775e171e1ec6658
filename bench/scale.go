package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // database/sql reaches PostgreSQL by it
)

// grown is a store with very many rows, whatever its database.
type grown struct {
	name  string
	db    *sql.DB // looks, and changes rows while no server is up
	start func(s setup) (*process, error)
	also  func() ([]int, error) // processes of the database
	// cool drops it from the page cache, while no server is up.
	cool func(ctx context.Context) error
	tidy string  // statement after many rows have changed
	aim  float64 // milliseconds that half of the checks of what is not in memory may take; 0: no aim
}

// scales measures a server with very many sessions and tokens: its start, its memory, what
// it has to read first, and the effect of the sweep on other requests.
func (b *bench) scales(ctx context.Context) error {
	small, err := b.grownFile(ctx)
	if err != nil {
		return err
	}
	defer small.db.Close()

	if err := b.scale(ctx, small); err != nil {
		return fmt.Errorf("%s: %w", small.name, err)
	}

	return onPostgres(func(b *bench, ctx context.Context) error {
		large, err := b.grownDatabase(ctx)
		if err != nil {
			return err
		}
		defer large.db.Close()

		if err := b.scale(ctx, large); err != nil {
			return fmt.Errorf("%s: %w", large.name, err)
		}

		return nil
	})(b, ctx)
}

// both accepts tokens beside sessions, and caches up to that many of each; 0 is the default.
func both(entries int) (setup, error) {
	addr, err := freeAddr()
	if err != nil {
		return setup{}, err
	}

	s := setup{
		top:     fmt.Sprintf("issuer: {url: 'http://%s', listen: '%s', plain_http: true}\n", addr, addr),
		service: "    accept: [session, token]\n    tokens: {lifetime: 12h}\n",
	}
	if entries > 0 {
		s.top += fmt.Sprintf("cache: {sessions: %d}\n", entries)
	}

	return s, nil
}

// grownFile makes the large store on SQLite.
func (b *bench) grownFile(ctx context.Context) (*grown, error) {
	begin := time.Now()
	dir, err := b.store(ctx, stored{sessions: b.most, tokens: b.most})
	if err != nil {
		return nil, err
	}

	path := filepath.Join(dir, "jeton.db")
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}

	b.report.note(fmt.Sprintf(
		"SQLite, %s sessions and as many tokens: filled in %v, %s MB.",
		grouped(b.most), time.Since(begin).Round(time.Second), grouped(int(info.Size()/1e6)),
	))
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=busy_timeout(5000)&_pragma=journal_mode(WAL)")
	if err != nil {
		return nil, err
	}

	return &grown{
		name:  "SQLite",
		db:    db,
		tidy:  "PRAGMA wal_checkpoint(TRUNCATE)",
		aim:   1,
		start: func(s setup) (*process, error) { return b.startAs(dir, s, nil) },
		also:  func() ([]int, error) { return nil, nil },
		cool:  func(context.Context) error { return cool(path) },
	}, nil
}

// grownDatabase makes the large store on PostgreSQL.
func (b *bench) grownDatabase(ctx context.Context) (*grown, error) {
	begin := time.Now()
	d, err := b.database(ctx, stored{sessions: b.most, tokens: b.most})
	if err != nil {
		return nil, err
	}

	db, err := sql.Open("pgx", d.url)
	if err != nil {
		return nil, err
	}

	var size int64
	var dir string
	const look = "SELECT pg_database_size(current_database())"
	if err := db.QueryRowContext(ctx, look).Scan(&size); err != nil {
		return nil, errors.Join(err, db.Close())
	}

	super, err := sql.Open("pgx", b.cluster.Superuser("postgres"))
	if err == nil {
		err = errors.Join(super.QueryRowContext(ctx, "SHOW data_directory").Scan(&dir), super.Close())
	}
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}

	b.report.note(fmt.Sprintf(
		"PostgreSQL, %s sessions and as many tokens: filled in %v, %s MB.",
		grouped(b.most), time.Since(begin).Round(time.Second), grouped(int(size/1e6)),
	))

	return &grown{
		name: "PostgreSQL",
		db:   db,
		tidy: "VACUUM ANALYZE",
		start: func(s setup) (*process, error) {
			s.top += d.lines(bound)
			return b.startAs(filepath.Dir(d.secret), s, nil)
		},
		also: func() ([]int, error) {
			pid, err := b.postmaster(ctx)
			return []int{pid}, err
		},
		cool: func(ctx context.Context) error {
			// Its own buffers are memory as well, and go with the server.
			if err := b.cluster.Stop(); err != nil {
				return err
			}

			err := filepath.WalkDir(filepath.Join(dir, "base"), func(path string, e fs.DirEntry, err error) error {
				if err != nil || !e.Type().IsRegular() {
					return err
				}
				return cool(path)
			})

			return errors.Join(err, b.cluster.Restart(ctx))
		},
	}, nil
}

// scale measures one store.
func (b *bench) scale(ctx context.Context, g *grown) error {
	b.report.block(fmt.Sprintf("%s sessions and as many tokens on %s", grouped(b.most), g.name))
	if err := b.firstAnswers(ctx, g); err != nil {
		return err
	}
	if err := b.cold(ctx, g); err != nil {
		return err
	}

	if err := b.remembers(ctx, g); err != nil {
		return err
	}

	for _, of := range sweeps() {
		if err := b.sweep(ctx, g, of); err != nil {
			return fmt.Errorf("sweep of %s: %w", of.table, err)
		}
	}

	return nil
}

// firstAnswers measures the start, to the first check of a session.
func (b *bench) firstAnswers(ctx context.Context, g *grown) error {
	times := 5
	if b.quick {
		times = 3
	}

	var took []float64

	first := load{
		Kind:     kindCookie,
		Path:     "/check",
		Sessions: 1,
		From:     b.most / 2,
	}
	for range times {
		if err := g.cool(ctx); err != nil {
			return err
		}

		s, err := both(0)
		if err != nil {
			return err
		}

		begin := time.Now()
		p, err := g.start(s)
		if err != nil {
			return err
		}

		err = p.await(ctx, first)
		took = append(took, float64(time.Since(begin))/1e6)
		p.stop()

		if err != nil {
			return err
		}
	}

	ms := median(took)
	b.report.add(row{
		what:  "from exec to the first check of a session, nothing in memory",
		value: ms,
		unit:  "ms",
		aim:   "<= 100 ms",
		met:   met(ms <= 100),
	})

	return nil
}

// cold measures checks of what is not cached yet, one at a time and of all at random.
func (b *bench) cold(ctx context.Context, g *grown) error {
	for _, v := range []struct{ what, kind string }{{"session", kindCookie}, {"token", kindToken}} {
		for _, disk := range []bool{true, false} {
			s, err := b.coldOf(ctx, g, v.kind, disk)
			if err != nil {
				return err
			}

			line := row{
				what:   "check of a " + v.what + " that is not in memory, one after the other",
				unit:   "req/s",
				sample: s,
			}
			line.what += ", files cached by the kernel"
			if disk {
				line.what = "check of a " + v.what + " that is not in memory, one after the other, from the disk"
			}

			b.report.add(line)
			if g.aim > 0 {
				b.report.add(row{
					what:  line.what + ", median",
					value: s.p50,
					unit:  "ms",
					aim:   fmt.Sprintf("< %.0f ms", g.aim),
					met:   met(s.p50 < g.aim),
				})
			}
		}
	}

	return nil
}

// coldOf measures checks of one kind at a server that has just started. With disk, the
// files are not in the page cache either.
func (b *bench) coldOf(ctx context.Context, g *grown, kind string, disk bool) (sample, error) {
	if disk {
		if err := g.cool(ctx); err != nil {
			return sample{}, err
		}
	}

	p, also, err := b.grownUp(ctx, g, 0)
	if err != nil {
		return sample{}, err
	}
	defer p.stop()

	// Not warmed: the first check is measured.
	first := *b
	first.warm = 0

	return first.spread([]*process{p}, also, shared, load{
		Kind:     kind,
		Path:     "/check",
		Sessions: b.most,
		Conns:    1,
	})(ctx)
}

// grownUp starts a server that caches up to that many entries, and waits until it answers.
func (b *bench) grownUp(ctx context.Context, g *grown, entries int) (*process, []int, error) {
	also, err := g.also()
	if err != nil {
		return nil, nil, err
	}

	s, err := both(entries)
	if err != nil {
		return nil, nil, err
	}

	p, err := g.start(s)
	p, err = up(ctx, p, err)

	return p, also, err
}

// remembers measures the memory of a cached session, and checks that no more are cached than
// the configuration allows.
func (b *bench) remembers(ctx context.Context, g *grown) error {
	entries := min(1_000_000, b.most/4)
	p, also, err := b.grownUp(ctx, g, entries)
	if err != nil {
		return err
	}
	defer p.stop()

	few := entries / 50
	memory := func(from, n int) (float64, error) {
		if err := b.warmWith(ctx, p, load{
			Kind:     kindCookie,
			Path:     "/check",
			From:     from,
			Sessions: n,
		}); err != nil {
			return 0, err
		}
		// Last uses are written every ten seconds, and are kept in memory until then.
		if !b.quick {
			time.Sleep(11 * time.Second)
		}

		settle(ctx, append(also, p.pid())...)

		return memoryOf(p.pid(), "VmRSS"), nil
	}

	before, err := memory(0, few)
	if err != nil {
		return err
	}

	full, err := memory(few, entries-few)
	if err != nil {
		return err
	}

	more, err := memory(entries, 3*entries)
	if err != nil {
		return err
	}

	b.report.add(row{
		what: fmt.Sprintf(
			"memory (RSS) with %s sessions in memory, of cache.sessions: %s",
			grouped(few), grouped(entries),
		),
		value: before,
		unit:  "MiB",
	})
	b.report.add(row{what: fmt.Sprintf("memory (RSS) with %s", grouped(entries)), value: full, unit: "MiB"})
	b.report.add(row{
		what:  "bytes a session in memory, by the difference of the two",
		value: (full - before) * (1 << 20) / float64(entries-few),
		unit:  "B",
	})
	b.report.add(row{
		what:  fmt.Sprintf("memory (RSS) after %s others", grouped(3*entries)),
		value: more,
		unit:  "MiB",
		ratio: more / full,
		aim:   "<= 1.15 x before",
		met:   met(more <= 1.15*full),
	})

	return nil
}

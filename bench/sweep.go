package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// swept is what expires and is deleted by the sweep: a server does so each minute, a day after
// the end.
type swept struct {
	table, key string // its name, and the column of its numbers
	kind       string // of the load that checks them
}

// sweeps are the tables that grow with use.
func sweeps() []swept {
	return []swept{{"sessions", "login", kindCookie}, {"tokens", "number", kindToken}}
}

// ended is how long ago the rows to sweep have ended.
const ended = 48 * time.Hour

// expire makes n rows look as if they had ended two days ago: those from the number on, as
// what was made in one hour ends in one hour. No server is up.
func (g *grown) expire(ctx context.Context, of swept, from, n int, now time.Time) error {
	change := fmt.Sprintf("UPDATE %s SET expires = $1, created = $2 WHERE %s BETWEEN $3 AND $4", of.table, of.key)
	at := now.Add(-ended)
	r, err := g.db.ExecContext(ctx, change, at.UnixMilli(), at.Add(-24*time.Hour).UnixMilli(), from+1, from+n)
	if err != nil {
		return err
	}

	if changed, err := r.RowsAffected(); err != nil || changed != int64(n) {
		return fmt.Errorf("%d rows were made to end, not %d: %w", changed, n, err)
	}

	_, err = g.db.ExecContext(ctx, g.tidy)
	return err
}

// toSweep returns how many rows have ended and are not deleted yet.
func (g *grown) toSweep(ctx context.Context, of swept, now time.Time) (n int, err error) {
	err = g.db.QueryRowContext(
		ctx, "SELECT count(*) FROM "+of.table+" WHERE expires < $1", now.Add(-ended/2).UnixMilli(),
	).Scan(&n)
	return n, err
}

// sweep measures checks and counted uses while a server deletes very many rows, beside a
// quiet minute of the same server.
func (b *bench) sweep(ctx context.Context, g *grown, of swept) error {
	busy, over := min(b.sessions, b.most/4), max(b.most/50, min(20_000, b.most/4))
	if err := g.expire(ctx, of, b.most/2, over, time.Now()); err != nil {
		return err
	}

	p, also, err := b.grownUp(ctx, g, 0)
	if err != nil {
		return err
	}
	defer p.stop()

	checks := load{
		Kind:     of.kind,
		Path:     "/check",
		Sessions: busy,
		Rate:     1000,
	}
	uses := load{
		Kind:     kindCookie,
		Path:     "/use",
		Sessions: busy,
		Rate:     500,
	}
	for _, l := range []load{checks, uses} {
		l.Rate = 0
		if err := b.warmWith(ctx, p, l); err != nil {
			return err
		}
	}

	settle(ctx, append(also, p.pid())...)
	// Short windows, many of them: the sweep works in bursts, which a long mean would hide.
	window := func() (checked, used sample, err error) {
		l, u := checks, uses
		for _, x := range []*load{&l, &u} {
			x.Addrs = []string{p.addr}
			x.PIDs = append(also, p.pid())
			x.Conns = 32
			x.Run = min(b.run, 2*time.Second)
		}

		wait, err := generating(ctx, nil, u)
		if err != nil {
			return checked, used, err
		}

		checked, err = paced(ctx, l)
		result, werr := wait()
		if err != nil || werr != nil {
			return checked, used, fmt.Errorf("probe: %w", errors.Join(err, werr))
		}

		n := result.answers()
		if n == 0 || n != result.Status[200] {
			return checked, used, fmt.Errorf("probe of uses: answers by status %v: %s", result.Status, p.logTail())
		}

		return checked, result.sample(200), nil
	}

	var quiet, quietUses, during, duringUses []sample
	for range 3 {
		c, u, err := window()
		if err != nil {
			return err
		}
		quiet, quietUses = append(quiet, c), append(quietUses, u)
	}

	left, err := g.begun(ctx, of, over)
	if err != nil {
		return err
	}

	begin := time.Now()

	for left > 0 {
		c, u, err := window()
		if err != nil {
			return err
		}

		during, duringUses = append(during, c), append(duringUses, u)
		now := left

		if left, err = g.toSweep(ctx, of, time.Now()); err != nil {
			return err
		}
		if left > 0 && left == now {
			return fmt.Errorf("the sweep has stopped with %d rows left: %s", left, p.logTail())
		}
	}

	took := time.Since(begin).Seconds()
	b.report.add(row{
		what:   fmt.Sprintf("checks of %s, 1,000/s in an open loop, beside 500 uses/s", of.table),
		unit:   "req/s",
		sample: middle(quiet),
	})
	b.report.add(row{
		what:   fmt.Sprintf("the same while %s %s are swept away (in %.0f s)", grouped(over), of.table, took),
		unit:   "req/s",
		sample: middle(during),
	})
	b.slower("checks of "+of.table+", p99 during the sweep", middle(quiet), middle(during))
	b.report.add(row{what: "uses of sessions", unit: "uses/s", sample: middle(quietUses)})

	b.report.add(row{what: "uses of sessions during the sweep", unit: "uses/s", sample: middle(duringUses)})
	b.slower("uses of sessions, p99 during the sweep of "+of.table, middle(quietUses), middle(duringUses))

	return nil
}

// slower reports a latency during the sweep beside that of a quiet minute.
func (b *bench) slower(what string, before, during sample) {
	r := during.p99 / before.p99
	b.report.add(row{
		what:  what,
		value: during.p99,
		unit:  "ms",
		ratio: r,
		aim:   "<= 2 x without",
		met:   met(r <= 2),
	})
}

// begun waits until a server has begun to sweep, and returns how many rows are left. It
// does so within a minute of its start.
func (g *grown) begun(ctx context.Context, of swept, over int) (int, error) {
	for end := time.Now().Add(2 * time.Minute); ; {
		left, err := g.toSweep(ctx, of, time.Now())
		if err != nil || left < over {
			return left, err
		}
		if time.Now().After(end) {
			return left, fmt.Errorf("none of %d ended rows was deleted in two minutes", over)
		}

		select {
		case <-ctx.Done():
			return left, ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
}

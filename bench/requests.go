package main

import (
	"context"
	"fmt"
	"time"
)

// checks measures what it costs to check a session.
func (b *bench) checks(ctx context.Context) error {
	for _, at := range []place{pinned, shared} {
		if err := b.checkAt(ctx, at); err != nil {
			return err
		}
	}

	return nil
}

// checkAt measures checks at one place.
func (b *bench) checkAt(ctx context.Context, at place) error {
	bare, err := b.bareUp(ctx, b.sessions, at)
	if err != nil {
		return err
	}
	defer bare.stop()

	jeton, err := b.jetonUp(ctx, b.sessions, at)
	if err != nil {
		return err
	}
	defer jeton.stop()

	if err := b.warmUp(ctx, jeton, b.sessions); err != nil {
		return err
	}

	all, err := b.rounds(ctx, b.get(bare, at, check(b.sessions)), b.get(jeton, at, check(b.sessions)))
	if err != nil {
		return err
	}

	b.report.block("Session check, " + at.name)
	b.report.add(row{what: "bare", unit: "req/s", sample: middle(all[0])})
	r := ratios(all[1], all[0])
	b.report.add(row{
		what:   "jeton",
		unit:   "req/s",
		sample: middle(all[1]),
		ratio:  r,
		aim:    ">= 0.90 of bare",
		met:    met(r >= .90),
	})
	if len(at.server) > 0 {
		b.report.headline("session check", "net/http and a map", all[1], all[0])
	}

	return nil
}

// uses measures what it costs to count: every use is on disk before it is answered.
func (b *bench) uses(ctx context.Context) error {
	for _, v := range []struct {
		at           place
		stored, busy int
		least        float64
	}{
		{pinned, b.sessions, b.sessions, .42},
		{shared, b.sessions, b.sessions, .60},
		{shared, b.many, b.sessions, .60},
		// With more busy sessions than are cached, most checks read the store: a figure without an aim.
		{shared, b.many, b.many, 0},
	} {
		if err := b.useAt(ctx, v.at, v.stored, v.busy, v.least); err != nil {
			return err
		}
	}

	return nil
}

// useAt measures counted uses beside checks of the same server.
func (b *bench) useAt(ctx context.Context, at place, stored, busy int, least float64) error {
	jeton, err := b.jetonUp(ctx, stored, at)
	if err != nil {
		return err
	}
	defer jeton.stop()

	if err := b.warmUp(ctx, jeton, busy); err != nil {
		return err
	}

	all, err := b.rounds(ctx, b.get(jeton, at, check(busy)), b.get(jeton, at, use(busy)))
	if err != nil {
		return err
	}

	sync, err := syncTime(b.dir)
	if err != nil {
		return err
	}

	b.report.block(fmt.Sprintf(
		"Counted use, %s; %s sessions stored, %s of them busy; fdatasync %d us",
		at.name, grouped(stored), grouped(busy), sync.Microseconds(),
	))
	b.report.add(row{what: "jeton, check", unit: "req/s", sample: middle(all[0])})
	r, m := ratios(all[1], all[0]), middle(all[1])
	if len(at.server) > 0 {
		b.report.headline("counted use, on disk", "a check", all[1], all[0])
	}

	if least == 0 {
		b.report.add(row{
			what:   "jeton, use",
			unit:   "uses/s",
			sample: m,
			ratio:  r,
		})
		return nil
	}

	b.report.add(row{
		what:   "jeton, use",
		unit:   "uses/s",
		sample: m,
		ratio:  r,
		aim:    fmt.Sprintf(">= %.2f of check", least),
		met:    met(r >= least),
	})
	note := ""
	// The latency of a use is at least one sync of the disk, which is not jeton's.
	if sync > 200*time.Microsecond {
		note = " (meant for a disk that syncs in 200 us)"
	}

	b.report.add(row{
		what:  "jeton, use, p99",
		value: m.p99,
		unit:  "ms",
		aim:   "<= 5 ms" + note,
		met:   met(m.p99 <= 5),
	})

	return nil
}

// bareUp starts the bare server with n sessions, and further flags.
func (b *bench) bareUp(ctx context.Context, n int, at place, flags ...string) (*process, error) {
	p, err := b.startBare(n, at.server, flags...)
	return up(ctx, p, err)
}

// jetonUp starts jeton on a store of n sessions, made once per size.
func (b *bench) jetonUp(ctx context.Context, n int, at place) (*process, error) {
	dir, err := b.store(ctx, stored{sessions: n})
	if err != nil {
		return nil, err
	}

	p, err := b.startJeton(dir, at.server)
	return up(ctx, p, err)
}

// warmUp sends one request with each of n sessions, so that the server is measured as if it
// had been up for a while. More sessions than a server caches are not needed.
func (b *bench) warmUp(ctx context.Context, p *process, n int) error {
	return b.warmWith(ctx, p, check(min(n, 100_000)))
}

// warmWith sends every different request of a load once.
func (b *bench) warmWith(ctx context.Context, p *process, l load) error {
	_, err := b.sendEach(ctx, p, nil, l)
	return err
}

// sendEach sends every different request of a load once, from the cores. Each must be answered with 200.
func (b *bench) sendEach(ctx context.Context, p *process, cores []int, l load) (loaded, error) {
	n := l.many()
	l.Addrs = []string{p.addr}
	l.Conns = 64
	l.Each = true
	l.Run = time.Minute + time.Duration(n)*time.Millisecond/2

	result, err := generate(ctx, cores, l)
	if err != nil {
		return result, err
	}
	if result.Status[200] < n {
		return result, fmt.Errorf("%s %s: answers by status %v: %s", p.name, l.Path, result.Status, p.logTail())
	}

	return result, nil
}

// open is the load that no server needs to know anything for.
func open() load { return load{Kind: kindPlain, Path: "/open"} }

// up waits until a server that was started answers, and stops it if it does not.
func up(ctx context.Context, p *process, err error) (*process, error) {
	if err != nil {
		return nil, err
	}

	if err := p.await(ctx, open()); err != nil {
		p.stop()
		return nil, err
	}

	return p, nil
}

// againstFlask measures jeton against the program that it replaces.
func (b *bench) againstFlask(ctx context.Context) error {
	versions, err := flaskVersions(ctx)
	if err != nil {
		b.report.note("Not measured against Flask: " + err.Error() + ".")
		return nil
	}

	at := pinned
	p, err := b.startFlask(at.server)
	flask, err := up(ctx, p, err)
	if err != nil {
		return err
	}
	defer flask.stop()

	jeton, err := b.jetonUp(ctx, b.sessions, at)
	if err != nil {
		return err
	}
	defer jeton.stop()

	if err := b.warmUp(ctx, jeton, b.sessions); err != nil {
		return err
	}

	cookies, err := flaskCookies(ctx, flask.addr)
	if err != nil {
		return err
	}

	all, err := b.rounds(ctx,
		b.get(flask, at, load{
			Kind:   kindPlain,
			Path:   "/get-info",
			Cookie: cookies,
		}), b.get(jeton, at, check(b.sessions)),
		b.get(flask, at, load{
			Kind:   kindPlain,
			Path:   "/limited-info",
			Cookie: cookies,
		}), b.get(jeton, at, use(b.sessions)))
	if err != nil {
		return err
	}

	b.report.block("Against Flask (" + versions + "; 1 worker, 4 threads), " + at.name)

	for i, pair := range []struct {
		theirs, ours string
		least        float64
	}{
		{"Flask, /get-info", "jeton, check", 12},
		{"Flask, /limited-info (counts in a dict)", "jeton, use (durable)", 8},
	} {
		b.report.add(row{what: pair.theirs, unit: "req/s", sample: middle(all[2*i])})
		r := ratios(all[2*i+1], all[2*i])
		b.report.add(row{
			what:   pair.ours,
			unit:   "req/s",
			sample: middle(all[2*i+1]),
			ratio:  r,
			aim:    fmt.Sprintf(">= %.0f x Flask", pair.least),
			met:    met(r >= pair.least),
		})
	}

	return nil
}

package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"syscall"
	"time"
)

const (
	// bound is the maximum age of what a node caches: the default.
	bound = 250 * time.Millisecond
	// several is how many nodes share a database.
	several = 3
)

// beside is where the server has a core of its own while load and PostgreSQL share the
// other: a cached check costs PostgreSQL next to nothing.
var beside = place{"server on one core, load and PostgreSQL on another", []int{0}, []int{1}}

// nodes measures what it costs to check a session on nodes that share a database, beside
// the server on SQLite.
func (b *bench) nodes(ctx context.Context) error {
	for _, v := range []struct {
		at        place
		staleness time.Duration
		many      int
	}{
		{shared, bound, several}, {shared, 0, several}, {beside, bound, 1}, {beside, 0, 1},
	} {
		if err := b.nodesAt(ctx, v.at, v.staleness, v.many); err != nil {
			return err
		}
	}

	return nil
}

// nodesAt measures one combination of place, staleness and number of nodes.
func (b *bench) nodesAt(ctx context.Context, at place, staleness time.Duration, many int) error {
	sqlite, g, done, err := b.twins(ctx, at, staleness, many)
	if err != nil {
		return err
	}
	defer done()

	l := check(b.sessions)
	subjects := []subject{b.get(sqlite, at, l), b.spread(g.list[:1], g.also, at, l)}
	if many > 1 {
		subjects = append(subjects, b.spread(g.list, g.also, at, l))
	}

	all, err := b.rounds(ctx, subjects...)
	if err != nil {
		return err
	}

	b.report.block(fmt.Sprintf("Session check on PostgreSQL, staleness %v, %s", staleness, at.name))
	b.report.add(row{what: "jeton on SQLite", unit: "req/s", sample: middle(all[0])})
	r := ratios(all[1], all[0])
	one := row{
		what:   "one node",
		unit:   "req/s",
		sample: middle(all[1]),
		ratio:  r,
	}
	// With staleness 0 a node asks the database for each request: that is what it is for,
	// and there is no aim.
	if staleness > 0 {
		one.aim, one.met = ">= 0.90 of SQLite", met(r >= .90)
	}

	b.report.add(one)
	if many > 1 {
		b.report.add(row{
			what:   fmt.Sprintf("%d nodes together", many),
			unit:   "req/s",
			sample: middle(all[2]),
			ratio:  ratios(all[2], all[0]),
		})
	}

	return nil
}

// twins starts a server on SQLite and nodes on PostgreSQL that hold the same sessions, all
// of them in memory.
func (b *bench) twins(
	ctx context.Context,
	at place,
	staleness time.Duration,
	many int,
) (sqlite *process, g *group, done func(), err error) {
	d, err := b.database(ctx, stored{sessions: b.sessions})
	if err != nil {
		return nil, nil, nil, err
	}
	if sqlite, err = b.jetonUp(ctx, b.sessions, at); err != nil {
		return nil, nil, nil, err
	}

	if g, err = b.nodesUp(ctx, d, staleness, many, at.server, setup{}); err != nil {
		sqlite.stop()
		return nil, nil, nil, err
	}

	done = func() {
		g.stop()
		sqlite.stop()
		// PostgreSQL goes on into the next block, which may want all cores.
		_ = pin(nil, family(g.also...)...)
	}

	err = pin(at.client, family(g.also...)...)
	if err == nil {
		err = b.warmUp(ctx, sqlite, b.sessions)
	}
	if err == nil {
		err = b.warmAll(ctx, g, check(b.sessions))
	}

	if err != nil {
		done()
		return nil, nil, nil, err
	}

	return sqlite, g, done, nil
}

// nodeUses measures what it costs to count on PostgreSQL: at the store, and over HTTP.
func (b *bench) nodeUses(ctx context.Context) error {
	if err := b.spends(ctx); err != nil {
		return err
	}

	at := shared
	sqlite, g, done, err := b.twins(ctx, at, bound, several)
	if err != nil {
		return err
	}
	defer done()

	// The first use of a login is another matter: it has to make the row.
	if err := b.warmWith(ctx, sqlite, use(b.sessions)); err != nil {
		return err
	}
	if err := b.warmWith(ctx, g.list[0], use(b.sessions)); err != nil {
		return err
	}

	widths := []int{1, 16, 64}
	var subjects []subject
	for _, n := range widths {
		l := use(b.sessions)
		l.Conns = n
		subjects = append(subjects, b.get(sqlite, at, l), b.spread(g.list[:1], g.also, at, l))
		if n > 1 {
			subjects = append(subjects, b.spread(g.list, g.also, at, l))
		}
	}

	all, err := b.rounds(ctx, subjects...)
	if err != nil {
		return err
	}

	sync, err := syncTime(b.dir)
	if err != nil {
		return err
	}

	b.report.block(fmt.Sprintf("Counted use on PostgreSQL, %s; fdatasync %d us", at.name, sync.Microseconds()))

	for _, n := range widths {
		on := ", connections: " + fmt.Sprint(n)
		base := all[0]
		b.report.add(row{what: "jeton on SQLite" + on, unit: "uses/s", sample: middle(base)})
		b.report.add(row{
			what:   "one node" + on,
			unit:   "uses/s",
			sample: middle(all[1]),
			ratio:  ratios(all[1], base),
		})
		all = all[2:]
		if n > 1 {
			b.report.add(row{
				what:   fmt.Sprintf("%d nodes together%s", several, on),
				unit:   "uses/s",
				sample: middle(all[0]),
				ratio:  ratios(all[0], base),
			})
			all = all[1:]
		}
	}

	return nil
}

// revokes measures how long a logout takes until it is answered: then no node accepts the
// session in any more.
func (b *bench) revokes(ctx context.Context) error {
	each := 300
	if b.quick {
		each = 50
	}

	b.report.block(fmt.Sprintf(
		"Logout on PostgreSQL, one after the other, until no node lets the session in; staleness %v",
		bound,
	))

	for _, v := range []struct {
		what  string
		many  int
		stuck bool
		each  int // logouts of one round
	}{
		{"one node", 1, false, each},
		{fmt.Sprintf("%d nodes", several), several, false, each},
		{fmt.Sprintf("%d nodes, one of which stands still", several), several, true, 20},
	} {
		s, err := b.revoke(ctx, v.many, v.stuck, v.each)
		if err != nil {
			return err
		}

		// The time of a commit is added to the bound.
		most := float64(bound.Milliseconds()) + 20
		b.report.add(row{what: v.what, unit: "logouts/s", sample: s})
		b.report.add(row{
			what:  v.what + ", p99",
			value: s.p99,
			unit:  "ms",
			aim:   fmt.Sprintf("<= %.0f ms", most),
			met:   met(s.p99 <= most),
		})
	}

	return nil
}

// revoke measures logouts at the first of several nodes, all of which have every session in
// memory. With stuck, the last node is stopped.
func (b *bench) revoke(ctx context.Context, many int, stuck bool, each int) (sample, error) {
	n := each * b.options.rounds
	d, err := b.newDatabase(ctx, stored{sessions: n})
	if err != nil {
		return sample{}, err
	}
	defer d.drop()

	g, err := b.nodesUp(ctx, d, bound, many, nil, setup{})
	if err != nil {
		return sample{}, err
	}
	defer g.stop()

	// Every node holds all of the sessions.
	if err := b.warmAll(ctx, g, check(n)); err != nil {
		return sample{}, err
	}

	first, last := g.list[0], g.list[many-1]
	if stuck {
		// A node that neither answers nor releases its lease: a logout has to wait until
		// that ends.
		if err := syscall.Kill(last.pid(), syscall.SIGSTOP); err != nil {
			return sample{}, os.NewSyscallError("stop a node", err)
		}
		defer func() { _ = syscall.Kill(last.pid(), syscall.SIGCONT) }()
	}

	var list []sample
	for i := range b.options.rounds {
		l := load{
			Kind:     kindLogout,
			Path:     "/logout",
			Sessions: each,
			From:     i * each,
			Each:     true,
			Conns:    1,
			Addrs:    []string{first.addr},
			Run:      time.Minute,
		}
		for _, p := range g.list {
			l.PIDs = append(l.PIDs, p.pid())
		}

		l.PIDs = append(l.PIDs, g.also...)
		result, err := generate(ctx, nil, l)
		if err != nil {
			return sample{}, err
		}

		if result.Status[200] != each || result.Broken > 0 {
			return sample{}, fmt.Errorf("logout: answers by status %v: %s", result.Status, first.logTail())
		}

		list = append(list, result.sample(200))
	}

	// The stopped node is left out, as it does not answer.
	return middle(list), b.loggedOut(ctx, g.list[:many-map[bool]int{true: 1}[stuck]], n)
}

// loggedOut checks that the sessions have ended: no node may accept one of them.
func (b *bench) loggedOut(ctx context.Context, nodes []*process, n int) error {
	for _, p := range slices.Backward(nodes) {
		l := check(n)
		l.Addrs = []string{p.addr}
		l.Conns = 16
		l.Each = true
		l.Run = time.Minute

		result, err := generate(ctx, nil, l)
		if err != nil {
			return err
		}
		if result.Status[401] != n {
			return fmt.Errorf(
				"after their logout, %d sessions are answered by status %v: %s",
				n, result.Status, p.logTail(),
			)
		}
	}

	return nil
}

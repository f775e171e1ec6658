package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/session"
	"github.com/jeton-auth/jeton/internal/store/postgres"
)

// acks measures how long a revocation waits for the acknowledgements of up to 100 nodes, and what these cost the
// database while nothing happens. A node is the store of a server alone, and all of them are in this process: so the
// protocol is the real one, and the machines and the network are not. The processor time is that of PostgreSQL alone.
func (b *bench) acks(ctx context.Context) error {
	crowds := []int{1, 3, 10, 30, 100}
	each, idle := 200, 10*time.Second
	if b.quick {
		crowds, each, idle = []int{1, 3}, 10, 300*time.Millisecond
	}

	b.report.block(fmt.Sprintf(
		"Revocation acknowledged by many nodes of one process, one after the other; staleness %v", bound,
	))

	for _, many := range crowds {
		s, cost, err := b.acknowledged(ctx, many, each, idle)
		if err != nil {
			return fmt.Errorf("%d nodes: %w", many, err)
		}

		what := fmt.Sprintf("nodes: %d", many)
		b.report.add(row{what: what, unit: "revocations/s", sample: s})
		b.report.add(row{
			what:  what + "; PostgreSQL, for each of them in a second without requests",
			value: cost,
			unit:  "us",
		})
	}

	return nil
}

// acknowledged measures revocations at the first of many nodes, and then the processor time that PostgreSQL needs for
// each node in a second without requests, in microseconds.
func (b *bench) acknowledged(ctx context.Context, many, each int, idle time.Duration) (sample, float64, error) {
	d, err := b.newDatabase(ctx, stored{sessions: each})
	if err != nil {
		return sample{}, 0, err
	}
	defer d.drop()

	nodes, err := openNodes(ctx, d, many)
	defer func() { _ = closeNodes(nodes) }()
	if err != nil {
		return sample{}, 0, err
	}

	postmaster, err := b.postmaster(ctx)
	if err != nil {
		return sample{}, 0, err
	}

	var h hist
	now := func() usage { return usage{cpuOf(postmaster), cpuOf(os.Getpid()), cpuOfAll()} }
	before, began := now(), time.Now()
	for i := range each {
		start := time.Now()
		n, err := nodes[0].EndSessions(ctx, session.Which{Login: int64(i + 1)}, revocation(start))
		if err != nil {
			return sample{}, 0, err
		}
		if n != 1 {
			return sample{}, 0, fmt.Errorf("revocation %d ended %d sessions, want 1", i+1, n)
		}
		h.add(time.Since(start))
	}

	seconds := time.Since(began).Seconds()
	server, others := now().since(before, seconds)
	s := sample{
		rate:   float64(each) / seconds,
		cpu:    server * 1e6 / float64(each),
		others: others,
		p50:    float64(h.quantile(.5)) / 1e6,
		p99:    float64(h.quantile(.99)) / 1e6,
	}

	before = now()
	select {
	case <-time.After(idle):
	case <-ctx.Done():
		return sample{}, 0, ctx.Err()
	}
	server, _ = now().since(before, idle.Seconds())

	return s, server * 1e6 / idle.Seconds() / float64(many), nil
}

// openNodes opens that many nodes of a database. Also with an error it returns those that it has opened.
func openNodes(ctx context.Context, d *database, many int) (nodes []*postgres.DB, err error) {
	for range many {
		db, err := postgres.Open(ctx, postgres.Config{
			URL:         jeton.NewSecret(d.url),
			Where:       "the benchmark's",
			Connections: 1,
			Staleness:   bound,
			Answer:      20 * time.Second,
			Connect:     20 * time.Second,
		})
		if err != nil {
			return nodes, err
		}
		nodes = append(nodes, db)
	}

	return nodes, nil
}

// closeNodes closes nodes.
func closeNodes(nodes []*postgres.DB) error {
	var errs []error
	for _, db := range nodes {
		errs = append(errs, db.Close())
	}

	return errors.Join(errs...)
}

// revocation is the audit event of a session that an operator ends.
func revocation(now time.Time) jeton.Event {
	return jeton.Event{
		Time:    now,
		Actor:   "operator",
		Action:  audit.SessionEnd,
		Outcome: audit.OK,
	}
}

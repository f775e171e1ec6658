package postgres

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/session"
)

// TestWhoFindsNothingLeftToEndIsAnsweredWhenAllHaveHeard has an end that waits for a node
// behind a line that hangs. Whoever is told meanwhile that there is nothing left to end takes
// that for its end.
func TestWhoFindsNothingLeftToEndIsAnsweredWhenAllHaveHeard(t *testing.T) {
	for _, tc := range []struct {
		name string
		ask  func(ctx context.Context, db *DB) error
	}{
		{"who ends it, too", func(ctx context.Context, db *DB) error { return end(ctx, db, "one") }},
		{"who does not find it", func(ctx context.Context, db *DB) error { return db.Settle(ctx) }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := shared.Cluster(t)
			name := empty(t, c)
			const bound = time.Second
			one, two := node(t, c.URL(name), Config{Staleness: bound}), node(t, c.URL(name), Config{Staleness: bound})
			p, via := line(t, c, name)
			far := node(t, via, Config{Staleness: bound})
			ear := listening(far)

			enter(t, one, person(t, one, "diane"), "one")
			must(t, far.Ping(t.Context()))
			p.Hang()
			first := make(chan error, 1)
			go func() { first <- end(context.WithoutCancel(t.Context()), one, "one") }()

			until(t, "the end to be committed", func() bool {
				_, err := two.FindSession(t.Context(), session.HashOf("one"))
				return errors.Is(err, jeton.ErrNotFound)
			})

			must(t, tc.ask(t.Context(), two))
			gone, cancel := context.WithCancel(t.Context())
			cancel() // so that it may not ask

			if far.Fresh(gone) == nil && ear.times(ended("one")) == 0 {
				t.Error("a node judges from what was before an end that was answered")
			}

			must(t, <-first)
			must(t, p.Heal())
		})
	}
}

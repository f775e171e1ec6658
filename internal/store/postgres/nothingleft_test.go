package postgres

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/secret"
)

// TestWhoFindsNothingLeftToEndIsAnsweredWhenAllHaveHeard has an end that waits for a node
// connect a line that hangs. Whoever is told meanwhile that there is nothing left to end takes
// that for its end.
func TestWhoFindsNothingLeftToEndIsAnsweredWhenAllHaveHeard(t *testing.T) {
	for _, tc := range []struct {
		name string
		ask  func(ctx context.Context, db *DB) error
	}{
		{"who ends it, too", func(ctx context.Context, db *DB) error { return endSession(ctx, db, "one") }},
		{"who does not find it", func(ctx context.Context, db *DB) error { return db.Settle(ctx) }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := shared.Cluster(t)
			name := newDatabase(t, c)
			const bound = time.Second
			one, two := openNode(t, c.URL(name), Config{Staleness: bound}), openNode(t, c.URL(name), Config{Staleness: bound})
			p, via := proxied(t, c, name)
			far := openNode(t, via, Config{Staleness: bound})
			ear := record(far)

			startSession(t, one, addUser(t, one, "diane"), "one")
			must(t, far.Ping(t.Context()))
			p.Hang()
			first := make(chan error, 1)
			go func() { first <- endSession(context.WithoutCancel(t.Context()), one, "one") }()

			eventually(t, "the end to be committed", func() bool {
				_, err := two.FindSession(t.Context(), secret.HashOf("one"))
				return errors.Is(err, jeton.ErrNotFound)
			})

			must(t, tc.ask(t.Context(), two))
			gone, cancel := context.WithCancel(t.Context())
			cancel() // so that it may not ask

			if far.Fresh(gone) == nil && ear.count(sessionEnded("one")) == 0 {
				t.Error("a node judges from what was before an end that was answered")
			}

			must(t, <-first)
			must(t, p.Heal())
		})
	}
}

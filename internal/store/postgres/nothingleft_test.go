package postgres

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/secret"
)

// TestARepeatedRevocationWaitsForTheFirst has a revocation wait for a node that is cut off. A
// second one finds nothing left to revoke, and must not be answered earlier.
func TestARepeatedRevocationWaitsForTheFirst(t *testing.T) {
	for _, tc := range []struct {
		name string
		ask  func(ctx context.Context, db *DB) error
	}{
		{"another logout", func(ctx context.Context, db *DB) error { return endSession(ctx, db, "one") }},
		{"a logout with an unknown secret", func(ctx context.Context, db *DB) error { return db.Settle(ctx) }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := shared.Cluster(t)
			name := newDatabase(t, c)
			const bound = time.Second
			one := openNode(t, c.URL(name), Config{Staleness: bound})
			two := openNode(t, c.URL(name), Config{Staleness: bound})
			p, via := proxied(t, c, name)
			far := openNode(t, via, Config{Staleness: bound})
			received := record(far)

			startSession(t, one, addUser(t, one, "diane"), "one")
			must(t, far.Ping(t.Context()))
			p.Hang()
			first := make(chan error, 1)
			go func() { first <- endSession(context.WithoutCancel(t.Context()), one, "one") }()

			eventually(t, "commit", func() bool {
				_, err := two.FindSession(t.Context(), secret.HashOf("one"))
				return errors.Is(err, jeton.ErrNotFound)
			})

			must(t, tc.ask(t.Context(), two))
			gone, cancel := context.WithCancel(t.Context())
			cancel() // so that it cannot poll

			if far.Fresh(gone) == nil && received.count(sessionEnded("one")) == 0 {
				t.Error("Fresh = nil after the answer on a node that has not received the revocation")
			}

			must(t, <-first)
			must(t, p.Heal())
		})
	}
}

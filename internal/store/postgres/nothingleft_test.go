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
				t.Error("Fresh = nil on a node that has not received the revocation, want an error")
			}

			must(t, <-first)
			must(t, p.Heal())
		})
	}
}

// TestSettleWritesNothing has many logouts with invented secrets. Any caller can send them: they
// must neither fill a table nor wake the other nodes.
func TestSettleWritesNothing(t *testing.T) {
	c := shared.Cluster(t)
	url := c.URL(newDatabase(t, c))
	one := openNode(t, url, Config{Staleness: time.Second})
	openNode(t, url, Config{Staleness: time.Second})

	conn := connect(t, url)
	execSQL(t, conn, "LISTEN "+channel)
	execSQL(t, conn, `CREATE TABLE written AS SELECT 0 AS row LIMIT 0`)
	execSQL(t, conn, `CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS
'BEGIN INSERT INTO written VALUES (1); RETURN NULL; END'`)
	for _, table := range []string{"changes", "audit", "sessions", "tokens", "revoked"} {
		execSQL(t, conn, "CREATE TRIGGER note AFTER INSERT ON "+table+" EXECUTE FUNCTION note()")
	}

	for range 20 {
		must(t, one.Settle(t.Context()))
	}

	var inserts int
	queryRow(t, conn, &inserts, "SELECT count(*) FROM written")
	if inserts != 0 {
		t.Errorf("20 calls of Settle made %d inserts, want 0", inserts)
	}

	execSQL(t, conn, "SELECT pg_notify($1, $2)", channel, "last")
	for {
		got, err := conn.WaitForNotification(t.Context())
		must(t, err)
		if got.Payload == "last" {
			return
		}
		t.Errorf("Settle notified the nodes of %s, want no notification", got.Payload)
	}
}

package move

import (
	"context"
	"testing"

	"github.com/jeton-auth/jeton/internal/store/statements"
)

// addTicket adds a ticket that was not taken.
func addTicket(t *testing.T, s Side) {
	t.Helper()
	must(t, s.Step(t.Context(), func(ctx context.Context, tx statements.Conn) error {
		_, err := tx.Exec(
			ctx, "INSERT INTO tickets (hash, purpose, account, login, service, data, expires) "+
				"VALUES ($1, 'setup', 0, 0, '', $1, 4102444800000)",
			[]byte("one"),
		)
		return err
	}))
}

// hasTickets returns how many tickets a database has.
func hasTickets(t *testing.T, s Source) (n int) {
	t.Helper()
	must(t, s.Snapshot(t.Context(), func(ctx context.Context, q statements.Queries) error {
		return q.QueryRow(ctx, "SELECT count(*) FROM tickets").Scan(&n)
	}))

	return n
}

// TestNoTicketIsBroughtBack moves databases with tickets in every way, also with the credentials
// trusted. A ticket that was taken after the backup would be valid again.
func TestNoTicketIsBroughtBack(t *testing.T) {
	for _, tc := range []struct {
		name string
		move func(t *testing.T, from, to Side)
		left int // in the database that was there before
	}{
		{"a restore", func(t *testing.T, from, to Side) {
			_, err := opened(t, backupOf(t, from)).Restore(t.Context(), to, trusting(), false, 0, silent)
			must(t, err)
		}, 1},
		{"a restore that replaces a database", func(t *testing.T, from, to Side) {
			addTicket(t, to)
			exec(t, to, "INSERT INTO budgets (service, name) VALUES ('shop', '*')")
			_, err := opened(t, backupOf(t, from)).Restore(t.Context(), to, trusting(), true, 0, silent)
			must(t, err)
		}, 1},
		{"a copy", func(t *testing.T, from, to Side) {
			addTicket(t, to) // of a first start
			_, err := Copy(t.Context(), from, to, silent)
			must(t, err)
		}, 1},
		{"a new epoch of a database that was brought back by other means", func(t *testing.T, from, _ Side) {
			_, err := Renew(t.Context(), from, trusting())
			must(t, err)
		}, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			both(t, func(t *testing.T, from, to Side) {
				fill(t, from, 2)
				addTicket(t, from)

				tc.move(t, from, to)

				if got := hasTickets(t, to); got != 0 {
					t.Errorf("%d tickets are in the new database, want none", got)
				}
				if got := hasTickets(t, from); got != tc.left {
					t.Errorf("%d tickets are in the old database, want %d", got, tc.left)
				}
			})
		})
	}
}

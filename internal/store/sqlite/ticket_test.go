package sqlite

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/ticket"
)

// TestATicketThatWasTakenStaysSpent opens the file again, and as a kill at this moment would leave it:
// with what is only in the log.
func TestATicketThatWasTakenStaysSpent(t *testing.T) {
	path := filepath.Join(t.TempDir(), "jeton.db")
	tickets := func(path string) (*ticket.Tickets, *DB) {
		db := opened(t, path)
		return ticket.New(ticket.Config{Store: db, Now: func() time.Time { return noon }}), db
	}

	before, db := tickets(path)
	text, err := before.Issue(t.Context(), ticket.Ticket{Purpose: ticket.Code, Expires: noon.Add(time.Minute)})
	must(t, err)
	_, err = before.Take(t.Context(), ticket.Code, text.Reveal())
	must(t, err)

	killed := filepath.Join(t.TempDir(), "jeton.db")
	for _, suffix := range []string{"", "-wal"} {
		b, err := os.ReadFile(path + suffix)
		must(t, err)
		must(t, os.WriteFile(killed+suffix, b, 0o600))
	}
	must(t, db.Close())

	for name, file := range map[string]string{"closed": path, "killed": killed} {
		after, _ := tickets(file)
		_, err := after.Take(t.Context(), ticket.Code, text.Reveal())
		if !errors.Is(err, jeton.ErrSpent) {
			t.Errorf("%s: Take = %v, want ErrSpent", name, err)
		}
	}
}

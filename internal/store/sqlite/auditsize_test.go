package sqlite

import (
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/audit"
)

// TestAFloodOfRefusalsDoesNotGrowTheFile appends more than three times what the log may have.
func TestAFloodOfRefusalsDoesNotGrowTheFile(t *testing.T) {
	const most, batch, batches = 1 << 20, 128, 12 // of about 75 kB each

	b := newBench(t)
	log := audit.New(audit.Config{
		Store:   b.DB,
		Log:     slog.New(slog.DiscardHandler),
		Now:     func() time.Time { return noon },
		Keep:    time.Hour,
		MaxSize: most,
	})

	size := func() int64 {
		_, err := b.aside.ExecContext(t.Context(), "PRAGMA wal_checkpoint(TRUNCATE)")
		must(t, err)
		info, err := os.Stat(b.path)
		must(t, err)

		return info.Size()
	}
	before := size()

	for round := range 4 {
		for i := range batches {
			events := make([]jeton.Event, batch)
			for j := range events {
				events[j] = jeton.Event{
					Time:    noon,
					Request: fmt.Sprintf("r%03d%03d%013d", round, i, j),
					Action:  audit.Request,
					Target:  "GET /" + strings.Repeat("p", 100),
					Service: "shop",
					Outcome: "no_credential",
					Reason:  "no credential",
					Source:  "192.0.2.1",
					Checks:  []jeton.Check{{Name: "credential", Value: "no credential", Result: "fail"}},
				}
			}
			must(t, b.Append(t.Context(), events))
		}
		must(t, log.Shrink(t.Context()))

		if round > 0 {
			continue
		}
		// Before the first event is deleted, the growth of the file is what the log has.
		grown := size() - before
		if log.Bytes() < grown*3/4 || log.Bytes() > grown*3/2 {
			t.Errorf("the log says that it has %d bytes, and the file has grown by %d", log.Bytes(), grown)
		}
	}

	grown := size() - before
	if log.Bytes() > most || grown > 2*most {
		t.Errorf("after the flood, the log has %d bytes and the file %d more, want %d", log.Bytes(), grown, most)
	}
}

package sqlite

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/store/change"
	"github.com/jeton-auth/jeton/internal/store/statements"

	lib "modernc.org/sqlite/lib"
)

const (
	// probeEvery is how long the outcome of a probe is reported again. Health checks may ask as often as
	// they like: the disk gets one write in this time.
	probeEvery = time.Second
	// probeSize is how many bytes a probe writes: about the pages of a login. A smaller write could find
	// room in a log that has none for a login.
	probeSize = 40 << 10
	// recoveredFree is how many bytes must be free before a disk that was full counts as writable again. On a full disk
	// a small write still succeeds now and then, in pages that a checkpoint gave back, and the next one fails.
	recoveredFree = 1 << 20
)

// probe finds out whether the file can be written: a full disk, or one that became read-only, is readable.
type probe struct {
	mu      sync.Mutex
	at      time.Time // when the last one ended
	err     error     // of the last one
	full    bool      // a write has found the disk full, and it has not counted as writable since
	count   int
	running chan struct{} // closed when the current one ends; nil: none runs
}

// Ping reports whether the file can be written durably. It reports the outcome of the last second, or
// of a write that it makes; callers that come meanwhile wait for the same write. A commit that failed for the disk is
// such an outcome, too. After a full disk, a write that succeeds is not enough: recoveredFree must be free.
func (db *DB) Ping(ctx context.Context) error {
	p := &db.probe

	p.mu.Lock()
	if p.running == nil && (p.at.IsZero() || time.Since(p.at) >= probeEvery) {
		p.running = make(chan struct{})
		// It outlives its caller, whose patience may be shorter than that of the writer.
		go db.runProbe(context.WithoutCancel(ctx))
	}

	running, err := p.running, p.err
	p.mu.Unlock()

	if running == nil {
		return err
	}

	select {
	case <-running:
	case <-ctx.Done():
		return fmt.Errorf("%w: the database was not written in time: %w", jeton.ErrUnavailable, ctx.Err())
	}

	p.mu.Lock()
	defer p.mu.Unlock()

	return p.err
}

// runProbe writes, and keeps the outcome.
func (db *DB) runProbe(ctx context.Context) {
	p := &db.probe

	// Another text each time: SQLite does not write pages that stay the same.
	p.mu.Lock()
	p.count++
	text := strings.Repeat(string(rune('a'+p.count%26)), probeSize)
	p.mu.Unlock()

	err := engine{db}.Do(ctx, statements.Step{
		Run: func(ctx context.Context, tx statements.Conn) ([]change.Change, error) {
			return nil, statements.SetMeta(ctx, tx, statements.MetaProbe, text)
		},
	})

	p.mu.Lock()
	defer p.mu.Unlock()

	if err == nil && p.full {
		// -1: the system does not report it.
		free := Free(filepath.Dir(db.c.Path))
		if free >= 0 && free < recoveredFree {
			err = fmt.Errorf("%w: the disk was full, and has %d kB free; want %d kB", jeton.ErrUnavailable, free>>10,
				recoveredFree>>10)
		} else {
			p.full = false
		}
	}

	p.at, p.err = time.Now(), err
	close(p.running)
	p.running = nil
}

// failed keeps why a commit failed, if the disk is the reason.
func (p *probe) failed(err error) {
	reason := code(err)
	switch reason {
	case lib.SQLITE_FULL, lib.SQLITE_IOERR, lib.SQLITE_READONLY:
	default:
		return
	}

	p.mu.Lock()
	defer p.mu.Unlock()

	p.at, p.err = time.Now(), fmt.Errorf("%w: %w", jeton.ErrUnavailable, err)
	p.full = p.full || reason == lib.SQLITE_FULL
}

package postgres

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/store/statements"
)

// openSide opens a side of a database and closes it when the test ends.
func openSide(t *testing.T, url string) *Side {
	t.Helper()
	s, err := OpenSide(t.Context(), patient(url, Config{}))
	if err != nil {
		t.Fatal(err)
	}

	t.Cleanup(func() { _ = s.Close() })
	return s
}

// setMeta sets a value in the table meta, in a step.
func setMeta(t *testing.T, s *Side, name, value string) error {
	t.Helper()
	return s.Step(t.Context(), func(ctx context.Context, tx statements.Conn) error {
		return statements.SetMeta(ctx, tx, name, value)
	})
}

// meta reads a value of the table meta.
func meta(t *testing.T, s *Side, name string) (value string) {
	t.Helper()
	if err := s.Snapshot(t.Context(), func(ctx context.Context, q statements.Queries) (err error) {
		value, err = statements.Meta(ctx, q, name)
		return err
	}); err != nil {
		t.Fatal(err)
	}

	return value
}

func TestANodeAndACopyExcludeEachOther(t *testing.T) {
	url := shared.Database(t)
	s := openSide(t, url)
	if err := setMeta(t, s, statements.MetaCopying, "another"); err != nil {
		t.Fatal(err)
	}

	open := func() (*DB, error) { return Open(t.Context(), patient(url, Config{})) }
	if _, err := open(); !errors.Is(err, statements.ErrHalf) || !strings.Contains(err.Error(), "jeton db copy") {
		t.Errorf("Open of half a copy = %v, want ErrHalf with what to do", err)
	}
	if n, err := heartbeats(t.Context(), s.pool); err != nil || len(n) != 0 {
		t.Errorf("nodes in the list after a refusal = %v, %v, want none", n, err)
	}

	for _, mark := range [][2]string{{statements.MetaCopying, ""}, {statements.MetaCopied, "another"}} {
		if err := setMeta(t, s, mark[0], mark[1]); err != nil {
			t.Fatal(err)
		}
	}

	id := meta(t, s, statements.MetaID)
	db, err := open()
	if err != nil {
		t.Fatal(err)
	}

	mark := meta(t, s, statements.MetaCopied)
	if got := meta(t, s, statements.MetaID); mark != "" || id == "" || got != id {
		t.Errorf("after the start of a node, copied = %q and id = %q, want no mark and id %q", mark, got, id)
	}
	if err := setMeta(t, s, "x", "y"); !errors.Is(err, jeton.ErrConflict) || meta(t, s, "x") != "" {
		t.Errorf("Step beside a node = %v, want ErrConflict", err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}

	if err := setMeta(t, s, "x", "y"); err != nil || meta(t, s, "x") != "y" {
		t.Errorf("Step after the node has closed = %v, want nil and the new value", err)
	}
}

func TestACrashedNodeDoesNotBlockACopy(t *testing.T) {
	url := shared.Database(t)
	s := openSide(t, url)
	const line = "INSERT INTO nodes (id, bound, beat, heard, gone) VALUES ('dead', 250, 7, '1', FALSE)"
	if _, err := s.pool.Exec(t.Context(), line); err != nil {
		t.Fatal(err)
	}

	s.maxHeartbeatAge = 200 * time.Millisecond
	if n, err := s.Served(t.Context()); n != 0 || err != nil {
		t.Errorf("Served = %d, %v, want 0", n, err)
	}
	if err := setMeta(t, s, "x", "y"); err != nil {
		t.Error(err)
	}

	// A node that sends a heartbeat is alive, however long it takes.
	s.maxHeartbeatAge = time.Minute
	if _, err := s.pool.Exec(t.Context(), line); err != nil {
		t.Fatal(err)
	}

	beat := time.AfterFunc(50*time.Millisecond, func() {
		_, _ = s.pool.Exec(context.Background(), "UPDATE nodes SET beat = beat + 1")
	})
	defer beat.Stop()

	if n, err := s.Served(t.Context()); n != 1 || err != nil {
		t.Errorf("Served = %d, %v, want 1", n, err)
	}

	ctx, cancel := context.WithCancel(t.Context())
	cancel()

	if _, err := s.Served(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Served with a canceled context = %v, want context.Canceled", err)
	}
}

func TestAdvanceContinuesAfterTheLastNumber(t *testing.T) {
	s := openSide(t, shared.Database(t))
	given := func(last int64) (n int64) {
		t.Helper()
		if err := s.Step(t.Context(), func(ctx context.Context, tx statements.Conn) error {
			if err := s.Advance(ctx, tx, "revoked", "seq", last); err != nil {
				return err
			}
			return tx.QueryRow(
				ctx, "INSERT INTO revoked (hash, until) VALUES ($1, 1) RETURNING seq",
				[]byte(t.Name()+time.Now().String()),
			).Scan(&n)
		}); err != nil {
			t.Fatal(err)
		}

		return n
	}

	for _, tc := range []struct{ last, want int64 }{{0, 1}, {100, 101}, {50, 102}, {1 << 45, 1<<45 + 1}} {
		if n := given(tc.last); n != tc.want {
			t.Errorf("after Advance(%d) the next number is %d, want %d", tc.last, n, tc.want)
		}
	}
}

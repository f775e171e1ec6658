package sqlite

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jeton-auth/jeton/internal/store/change"
	"github.com/jeton-auth/jeton/internal/store/statements"
)

// sideOf opens a side on a file and closes it when the test ends.
func sideOf(t *testing.T, path string) *Side {
	t.Helper()
	s, err := OpenSide(t.Context(), Config{Path: path})
	must(t, err)
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func setMeta(t *testing.T, s *Side, name, value string) {
	t.Helper()
	must(
		t,
		s.Step(t.Context(), func(ctx context.Context, tx statements.Conn) error {
			return statements.SetMeta(ctx, tx, name, value)
		}),
	)
}

func TestAServerDoesNotStartOnAnIncompleteCopy(t *testing.T) {
	path := filepath.Join(t.TempDir(), "jeton.db")
	s := sideOf(t, path)
	setMeta(t, s, statements.MetaCopying, "another")
	must(t, s.Close())
	refused(t, path, "an incomplete copy of another database", "jeton db copy")

	s = sideOf(t, path)
	setMeta(t, s, statements.MetaCopying, "")
	setMeta(t, s, statements.MetaCopied, "another")
	must(t, s.Close())
	db := opened(t, path)
	if mark, err := statements.Meta(t.Context(), engine{db}, statements.MetaCopied); mark != "" || err != nil {
		t.Errorf("mark of a copy after a start = %q, %v, want none", mark, err)
	}
}

func TestAFileThatIsServedIsReadAndNotWritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "jeton.db")
	db := opened(t, path)
	s, err := ReadSide(t.Context(), path)
	must(t, err)
	defer s.Close()

	var before, after string
	must(t, s.Snapshot(t.Context(), func(ctx context.Context, q statements.Queries) error {
		// Later writes of the server are not in the snapshot.
		err := engine{db}.Do(ctx, statements.Step{Run: func(
			ctx context.Context,
			tx statements.Conn,
		) ([]change.Change, error) {
			return nil, statements.SetMeta(ctx, tx, "x", "y")
		}})
		if err == nil {
			before, err = statements.Meta(ctx, q, "x")
		}

		return err
	}))

	must(t, s.Snapshot(t.Context(), func(ctx context.Context, q statements.Queries) (err error) {
		after, err = statements.Meta(ctx, q, "x")
		return err
	}))

	if before != "" || after != "y" {
		t.Errorf("value in the snapshot = %q, in the next %q, want none and y", before, after)
	}
	if err := s.Step(t.Context(), func(context.Context, statements.Conn) error { return nil }); err == nil {
		t.Error("Step on a file of a running server = nil, want an error")
	}
}

func TestAFailedStepWritesNothing(t *testing.T) {
	s := sideOf(t, filepath.Join(t.TempDir(), "jeton.db"))
	stop := errors.New("no further")

	err := s.Step(t.Context(), func(ctx context.Context, tx statements.Conn) error {
		return errors.Join(statements.SetMeta(ctx, tx, "x", "y"), stop)
	})
	if !errors.Is(err, stop) {
		t.Errorf("Step: %v", err)
	}

	setMeta(t, s, "z", "1") // the connection goes on
	must(t, s.Snapshot(t.Context(), func(ctx context.Context, q statements.Queries) error {
		value, err := statements.Meta(ctx, q, "x")
		if value != "" {
			t.Errorf("value of x = %q, want none", value)
		}
		return err
	}))
}

func TestReplaceKeepsTheOldFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "jeton.db")
	fresh := filepath.Join(dir, "new")
	kept := filepath.Join(dir, "old")
	db := opened(t, path)
	must(t, engine{db}.Do(t.Context(), statements.Step{Run: func(
		ctx context.Context,
		tx statements.Conn,
	) ([]change.Change, error) {
		return nil, statements.SetMeta(ctx, tx, statements.MetaEpoch, "12")
	}}))

	// As a crash leaves it: the last commits are in the log alone.
	crashed, log := filepath.Join(dir, "crashed.db"), []byte(nil)
	for _, end := range []string{"", logFile} {
		b, err := os.ReadFile(path + end)
		must(t, err)
		must(t, os.WriteFile(crashed+end, b, 0o600))
		log = b
	}

	if len(log) == 0 {
		t.Fatal("no log: the test tests nothing")
	}
	if epoch := Settle(t.Context(), crashed); epoch != 12 {
		t.Errorf("its epoch is %d, want 12 from the log", epoch)
	}

	must(t, os.WriteFile(fresh, []byte("new"), 0o600))
	must(t, Replace(crashed, fresh, kept))

	if b, err := os.ReadFile(crashed); err != nil || string(b) != "new" {
		t.Errorf("new file = %q, %v, want new", b, err)
	}
	if Exists(crashed+logFile) || Exists(fresh) {
		t.Error("the log of the old file, or the name of the new one, is left")
	}

	s := sideOf(t, kept)
	must(t, s.Snapshot(t.Context(), func(ctx context.Context, q statements.Queries) error {
		if epoch, err := statements.EpochOf(ctx, q); epoch != 12 || err != nil {
			t.Errorf("epoch of the old file = %d, %v, want the epoch from its log", epoch, err)
		}
		return nil
	}))

	must(t, os.WriteFile(fresh, []byte("newer"), 0o600))
	if err := Replace(crashed, fresh, kept); err == nil {
		t.Error("the first kept file was overwritten")
	}

	for name, harm := range map[string]string{"another's": "SQLite format 2", "empty": ""} {
		file := filepath.Join(dir, name)
		must(t, os.WriteFile(file, []byte(harm), 0o600))
		must(t, os.WriteFile(file+logFile, []byte("log"), 0o600))

		if epoch := Settle(t.Context(), file); epoch != 0 {
			t.Errorf("%s: epoch = %d, want 0", name, epoch)
		}
		if b, err := os.ReadFile(file + logFile); err != nil || !bytes.Equal(b, []byte("log")) {
			t.Errorf("%s: its log = %q, %v, want it unchanged", name, b, err)
		}
	}

	n := Settle(t.Context(), filepath.Join(dir, "nothing"))
	if n != 0 || strings.Contains(dir, "nothing") || Exists(filepath.Join(dir, "nothing")) {
		t.Error("a missing file was created")
	}
}

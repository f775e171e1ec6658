package sqlite

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/test/need"
)

// smallDisk mounts a file system of its own for the test, which runs as root. Some containers
// withhold the right to mount from root, too.
func smallDisk(t *testing.T, size string) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "mode=0700,size="+size); err != nil {
		need.Optional(t, fmt.Sprintf("root may not mount here: %v", err))
	}

	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Errorf("unmount %s: %v", dir, err)
		}
	})

	return dir
}

// TestAsRootAFullDiskLosesNoCommit fills a small file system for real: what was acknowledged
// before is there afterwards.
func TestAsRootAFullDiskLosesNoCommit(t *testing.T) {
	need.Root(t)

	dir := smallDisk(t, "3m")
	ballast := filepath.Join(dir, "ballast")
	must(t, os.WriteFile(ballast, make([]byte, 1<<20), 0o600))
	b := &bench{path: filepath.Join(dir, "jeton.db")}
	b.DB = opened(t, b.path)

	b.fill(t)
	answered := 0

	full := func() error {
		for range 1000 {
			if err := b.append(t, fmt.Sprint(answered, " ", strings.Repeat("x", 5000)))(); err != nil {
				return err
			}
			answered++
		}

		return nil
	}
	if err := full(); !errors.Is(err, jeton.ErrUnavailable) {
		t.Fatalf("Append to a full disk: %v, want ErrUnavailable", err)
	}

	granted := int64(0)
	for range 5 {
		switch _, err := b.Spend(t.Context(), b.use); {
		case err == nil:
			granted++ // there was room for something as small
		case !errors.Is(err, jeton.ErrUnavailable) && !errors.Is(err, jeton.ErrSpent):
			t.Errorf("Spend on a full disk: %v, want ErrUnavailable", err)
		}
	}

	b.left(t, 3-granted)
	check := func() {
		t.Helper()
		events, err := b.Events(t.Context(), audit.Filter{})
		must(t, err)
		n := 0
		for _, e := range events {
			if e.Action == audit.Request {
				if !strings.HasPrefix(e.Reason, fmt.Sprint(n, " ")) {
					t.Errorf("event %d = %.10q, want it to begin with its number", n, e.Reason)
				}
				n++
			}
		}

		if n != answered {
			t.Errorf("audit log has %d events, want %d", n, answered)
		}
	}

	check()
	must(t, os.Remove(ballast)) // the operator makes room; nothing is started again
	must(t, b.append(t, fmt.Sprint(answered, " after"))())
	answered++
	check()

	must(t, b.Close())
	b.DB = opened(t, b.path)
	check()
	b.left(t, 3-granted)
}

// TestPingFindsADiskThatCannotBeWritten checks that reads, which go on, do not count as health.
func TestAsRootPingFindsADiskThatCannotBeWritten(t *testing.T) {
	need.Root(t)

	dir := smallDisk(t, "3m")
	ballast := filepath.Join(dir, "ballast")
	db := opened(t, filepath.Join(dir, "jeton.db"))

	for _, tc := range []struct {
		name       string
		hurt, heal func()
	}{
		{
			"full",
			func() { fillDisk(t, ballast) },
			func() { must(t, os.Remove(ballast)) },
		},
		{
			"read-only",
			func() { pragma(t, db, "query_only = 1") },
			func() { pragma(t, db, "query_only = 0") },
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			db.ageProbe(-time.Hour)
			must(t, db.Ping(t.Context()))

			tc.hurt()
			db.ageProbe(time.Hour)
			if err := db.Ping(t.Context()); err != nil {
				t.Errorf("Ping soon after another one = %v, want its outcome", err)
			}

			db.ageProbe(-time.Hour)
			if err := db.Ping(t.Context()); !errors.Is(err, jeton.ErrUnavailable) {
				t.Errorf("Ping = %v, want ErrUnavailable", err)
			}

			tc.heal()
			db.ageProbe(-time.Hour)
			if err := db.Ping(t.Context()); err != nil {
				t.Errorf("Ping after the disk can be written = %v, want nil", err)
			}
		})
	}
}

func TestAsRootADiskThatWasFullIsReadyOnceItHasRoom(t *testing.T) {
	need.Root(t)

	dir := smallDisk(t, "6m")
	ballast, crumb := filepath.Join(dir, "ballast"), filepath.Join(dir, "crumb")
	db := opened(t, filepath.Join(dir, "jeton.db"))
	b := &bench{DB: db}

	db.ageProbe(-time.Hour)
	must(t, db.Ping(t.Context()))
	must(t, os.WriteFile(crumb, make([]byte, 512<<10), 0o600))
	fillDisk(t, ballast)

	// A login fails soon after a probe that succeeded.
	db.ageProbe(time.Hour)
	for err := error(nil); err == nil; {
		err = b.append(t, strings.Repeat("x", 5000))()
	}
	if err := db.Ping(t.Context()); !errors.Is(err, jeton.ErrUnavailable) {
		t.Errorf("Ping after a commit that found the disk full = %v, want ErrUnavailable", err)
	}

	// There is room for the write of a probe, and for little else.
	must(t, os.Remove(crumb))
	db.ageProbe(-time.Hour)
	if err := db.Ping(t.Context()); !errors.Is(err, jeton.ErrUnavailable) {
		t.Errorf("Ping with half a megabyte free = %v, want ErrUnavailable", err)
	}

	must(t, os.Remove(ballast))
	db.ageProbe(-time.Hour)
	if err := db.Ping(t.Context()); err != nil {
		t.Errorf("Ping with room = %v, want nil", err)
	}
}

// ageProbe makes the last probe one that ended so long from now.
func (db *DB) ageProbe(from time.Duration) {
	db.probe.mu.Lock()
	defer db.probe.mu.Unlock()
	db.probe.at = time.Now().Add(from)
}

// pragma sets an option on the connection of the writer.
func pragma(t *testing.T, db *DB, text string) {
	t.Helper()
	_, err := db.conn.ExecContext(t.Context(), "PRAGMA "+text)
	must(t, err)
}

// fillDisk writes a file until the disk is full.
func fillDisk(t *testing.T, path string) {
	t.Helper()

	f, err := os.Create(path)
	must(t, err)
	defer f.Close()

	for block := make([]byte, 4096); err == nil; {
		_, err = f.Write(block)
	}
}

func TestAsRootAFullDiskRefusesANewFile(t *testing.T) {
	need.Root(t)

	dir := smallDisk(t, "64k")
	must(t, os.WriteFile(filepath.Join(dir, "ballast"), make([]byte, 56<<10), 0o600))
	refused(t, filepath.Join(dir, "jeton.db"), "free space")
}

func TestAReadOnlyFolderIsRefusedWithAdvice(t *testing.T) {
	for _, exists := range []bool{false, true} {
		t.Run(fmt.Sprintf("file exists %t", exists), func(t *testing.T) {
			var path string
			if os.Geteuid() == 0 { // whom modes do not stop
				dir := smallDisk(t, "1m")
				path = filepath.Join(dir, "jeton.db")

				if exists {
					must(t, opened(t, path).Close())
				}

				must(t, syscall.Mount("", dir, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""))
			} else {
				dir := t.TempDir()
				path = filepath.Join(dir, "jeton.db")

				if exists {
					must(t, opened(t, path).Close())
				}

				must(t, os.Chmod(dir, 0o500))
				t.Cleanup(func() { _ = os.Chmod(dir, 0o700) })
			}

			refused(t, path, "write")
		})
	}
}

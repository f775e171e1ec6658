package sqlite

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/audit"
)

// smallDisk mounts a file system of its own for the test. Only root may do that.
func smallDisk(t *testing.T, size string) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "mode=0700,size="+size); err != nil {
		t.Skipf("a small disk cannot be mounted (%v); run this test as root", err)
	}

	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Errorf("unmount %s: %v", dir, err)
		}
	})

	return dir
}

// TestAFullDiskLosesNoCommit fills a small file system for real: what was acknowledged
// before is there afterwards.
func TestAFullDiskLosesNoCommit(t *testing.T) {
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

func TestAFullDiskRefusesANewFile(t *testing.T) {
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

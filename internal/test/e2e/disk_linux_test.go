package e2e

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/jeton-auth/jeton/internal/test/need"
)

// mounted makes a file system in memory of that many bytes, and returns its folder. It
// needs root, and the right to mount, which some containers withhold.
func mounted(t *testing.T, size int) string {
	t.Helper()
	need.Root(t)

	dir := t.TempDir()
	if err := syscall.Mount("jeton", dir, "tmpfs", 0, fmt.Sprintf("size=%d,mode=0700", size)); err != nil {
		need.Optional(t, fmt.Sprintf("root may not mount here: %v", err))
	}

	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })

	return dir
}

// fillUp fills a file system and returns the file that does so.
func fillUp(t *testing.T, dir string) string {
	t.Helper()
	path := filepath.Join(dir, "ballast")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()

	for block := make([]byte, 4096); err == nil; {
		_, err = f.Write(block)
	}

	return path
}

func TestAsRootAFullDisk(t *testing.T) {
	disk := mounted(t, 4<<20)
	s := Start(t, Options{Config: counted, DataDir: filepath.Join(disk, "data")})
	c, l := s.Client(t), &ledger{}
	for range 3 {
		if err := l.login(c); err != nil {
			t.Fatal(err)
		}
	}

	ballast := fillUp(t, disk)
	// Grants are fine until the space that the store has reserved is full, too.
	full := func() bool {
		before := l.lost

		for _, login := range l.logins {
			if err := l.use(c, login, 1); err != nil {
				t.Fatal(err)
			}
		}

		return l.lost == before+len(l.logins)
	}

	Wait(t, "the disk to be full", full)

	for range 5 {
		if !full() {
			t.Error("a use was granted after the disk was full, want a refusal")
		}
	}

	if _, a, err := c.Login(crashName, crashPW); err != nil || a.Status != http.StatusServiceUnavailable {
		t.Errorf("login = %v %v, want 503", a, err)
	}
	if _, a, err := c.Login(crashName, "wrong "+crashPW); err != nil || a.Status != http.StatusUnauthorized {
		t.Errorf("login with a wrong password = %v %v, want 401", a, err)
	}
	if a := c.MustDo(t, http.MethodGet, "/free", l.logins[0].cookies); a.Status != http.StatusOK {
		t.Errorf("request without a write = %v, want 200", a)
	}
	if !strings.Contains(s.Err.String(), "full") {
		t.Errorf("log, want a report of the full disk:\n%s", tail(s.Err.String()))
	}

	// While the disk is full it cannot start again, and reports why.
	s.Kill()
	again := Launch(t, s.Options)
	if again.Up(t) {
		again.Stop(t)
	} else if code := again.Code(t); code == 0 || !strings.Contains(again.Err.String(), "jeton: ") {
		t.Errorf("on a full disk the server exited with %d, want a failure with a reason:\n%s", code, again.Err)
	}

	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}

	s = s.Restart(t)
	l.checkAll(s.Client(t), 0)

	for _, text := range l.faults {
		t.Error(text)
	}
}

// TestAsRootAFullDiskThatIsCleared checks that the server recovers without a restart.
func TestAsRootAFullDiskThatIsCleared(t *testing.T) {
	disk := mounted(t, 4<<20)
	s := Start(t, Options{Config: counted, DataDir: filepath.Join(disk, "data")})
	c, l := s.Client(t), &ledger{}
	if err := l.login(c); err != nil {
		t.Fatal(err)
	}

	use := func() bool {
		before := l.grants
		if err := l.use(c, l.logins[0], 1); err != nil {
			t.Fatal(err)
		}
		return l.grants > before
	}

	ballast := fillUp(t, disk)
	Wait(t, "the disk to be full", func() bool { return !use() })

	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}

	Wait(t, "uses to be granted again", use)
	c.MustLogin(t, crashName, crashPW)
	l.checkAll(s.Restart(t).Client(t), 0)

	for _, text := range l.faults {
		t.Error(text)
	}
}

func TestAsRootADataFolderThatIsReadOnly(t *testing.T) {
	disk := mounted(t, 4<<20)
	o := Options{Config: counted, DataDir: filepath.Join(disk, "data")}
	Start(t, o).Stop(t)

	if err := syscall.Mount("", disk, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}

	s := Launch(t, o)
	if s.Up(t) {
		t.Fatal("the server started, want a refusal")
	}

	code := s.Code(t)
	if code != 1 {
		t.Errorf("the server exited with code %d, want 1", code)
	}

	contains(t, s.Err.String(), "jeton: ", s.DataDir, "read-only file system")
}

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/jeton-auth/jeton/internal/test/need"
)

// TestACrashAtAnyPointOfTheFirstStart kills the server as it enters a call of its first
// start: while it makes its database, certificate and folder. The next start goes on.
func TestACrashAtAnyPointOfTheFirstStart(t *testing.T) {
	needStrace(t)
	var killed atomic.Int64
	t.Run("points", func(t *testing.T) {
		for _, p := range points() {
			t.Run(p.name(), func(t *testing.T) {
				t.Parallel()
				o := Options{Config: counted, DataDir: filepath.Join(t.TempDir(), "data")}
				o.Under = append(
					strace(), "-o", os.DevNull, "-e", "trace="+p.calls, "-e",
					fmt.Sprintf("inject=%s:signal=KILL:when=%d", p.calls, p.k),
				)
				if p.file != "" {
					o.Under = append(o.Under, "-P", filepath.Join(o.DataDir, p.file))
				}

				o.Under = append(o.Under, outlive()...)
				s := Launch(t, o)
				if !s.Up(t) {
					killed.Add(1)
				} else if p.file != "" {
					t.Error("the server exited by itself, want it killed")
				}

				s = s.Restart(t)
				s.Client(t).MustLogin(t, crashName, crashPW)
				s.Stop(t)
			})
		}
	})

	t.Logf("%d of %d starts were killed", killed.Load(), len(points()))
	if killed.Load() < 3 {
		t.Errorf("%d starts were killed, want at least 3", killed.Load())
	}
}

// point is where a start is killed: as a thread enters its k-th call of a kind, which
// may be one that no thread gets to.
type point struct {
	calls string
	k     int
	file  string // when not "": only calls on this file of the data directory
}

func (p point) name() string {
	first, _, _ := strings.Cut(p.calls, ",")
	return fmt.Sprintf("%s %d %s", first, p.k, p.file)
}

// points are the system calls at which the first start is killed: each write, sync and
// rename may be the last.
func points() []point {
	const syncs, renames = "fsync,fdatasync", "rename,renameat,renameat2"
	list := []point{{renames, 1, "private.pem"}, {renames, 1, "pubkey.pem"}}
	for _, k := range []int{1, 2, 3, 5} {
		list = append(list, point{syncs, k, ""}, point{"pwrite64", k * k * k, ""})
	}

	for k := 6; need.Soaking() && k <= 60; k++ {
		list = append(list, point{syncs, k, ""}, point{"pwrite64", k, ""})
	}

	return list
}

// TestAFullDiskWhileTheCertificateIsMade makes one write of a certificate or key fail. The
// next start succeeds: no partial file is left.
func TestAFullDiskWhileTheCertificateIsMade(t *testing.T) {
	needStrace(t)

	for _, name := range []string{"private.pem.new", "pubkey.pem.new"} {
		for _, k := range []int{1, 2, 5, 9, 10, 11, 12} {
			t.Run(fmt.Sprintf("%s %d", name, k), func(t *testing.T) {
				t.Parallel()
				o := Options{Config: counted, DataDir: filepath.Join(t.TempDir(), "data")}
				o.Under = append(
					strace(), "-o", os.DevNull, "-e", "trace=write", "-e",
					fmt.Sprintf("inject=write:error=ENOSPC:when=%d", k), "-P",
					filepath.Join(o.DataDir, name),
				)
				o.Under = append(o.Under, outlive()...)
				s := Launch(t, o)
				if !s.Up(t) {
					contains(t, s.Err.String(), "jeton: ", "certificate", name, "no space left on device")
				} else if k == 1 {
					t.Error("the server started without a certificate, want a refusal")
				}

				s = s.Restart(t)
				s.Client(t).MustLogin(t, crashName, crashPW)
			})
		}
	}
}

package password

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/test/need"
)

func TestChildHasTheLowestPriority(t *testing.T) {
	p := running(t, Config{Workers: 1, Command: as("hasher")})
	for range 3 {
		if _, err := p.Hash(t.Context(), jeton.NewSecret("12345678")); err != nil {
			t.Fatal(err)
		}
	}

	stats, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid(p)))
	if err != nil || len(stats) == 0 {
		t.Fatalf("no threads: %v", err)
	}

	for _, name := range stats {
		nice := statField(t, name, 19)
		if nice != "19" {
			t.Errorf("%s has niceness %s, want 19", name, nice)
		}
	}
}

// statField returns a field of a stat file by its number in proc(5).
func statField(t *testing.T, name string, n int) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}

	after := string(b[strings.LastIndexByte(string(b), ')')+2:]) // from field 3 on
	return strings.Fields(after)[n-3]
}

func TestChildEnvironmentIsBare(t *testing.T) {
	t.Setenv("JETON_TEST_SECRET", "not for the child")
	p := running(t, Config{Workers: 1, Command: as("hasher")})
	if _, err := p.Hash(t.Context(), jeton.NewSecret("12345678")); err != nil {
		t.Fatal(err)
	}

	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid(p)))
	got := strings.TrimRight(string(b), "\x00")
	if err != nil || got != "GOMAXPROCS=1" {
		t.Errorf("environment is %q, %v, want GOMAXPROCS=1 alone", got, err)
	}
}

func TestChildDiesWithAKilledServer(t *testing.T) {
	server := exec.Command(as("parent")[0], "parent")
	out, err := server.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}

	if err := server.Start(); err != nil {
		t.Fatal(err)
	}

	line, err := bufio.NewReader(out).ReadString('\n')
	child, _ := strconv.Atoi(strings.TrimSpace(line))
	if err != nil || child == 0 {
		t.Fatalf("server output = %q, %v", line, err)
	}

	kill(t, server.Process.Pid)
	_ = server.Wait()

	for deadline := time.Now().Add(time.Minute); alive(child); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			kill(t, child)
			t.Fatalf("process %d still runs a minute after its server was killed, want it ended", child)
		}
	}
}

// alive reports whether pid is a process that is not only waiting to be collected.
func alive(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && !strings.Contains(string(b), ") Z ")
}

func TestChildIgnoresSIGTERM(t *testing.T) {
	p := running(t, Config{Workers: 1, Command: as("hasher")})
	if _, err := p.Hash(t.Context(), jeton.NewSecret("12345678")); err != nil {
		t.Fatal(err)
	}

	before := pid(p)

	for _, sig := range []os.Signal{os.Interrupt, syscall.SIGTERM} {
		if err := p.children[0].proc.cmd.Process.Signal(sig); err != nil {
			t.Fatal(err)
		}
	}

	if _, err := p.Hash(t.Context(), jeton.NewSecret("12345678")); err != nil || pid(p) != before {
		t.Errorf("Hash after signals: %v, by process %d, want %d", err, pid(p), before)
	}
}

// TestChildMemory checks that each hasher needs little more memory than one block.
func TestChildMemory(t *testing.T) {
	if raceEnabled {
		need.Elsewhere(t, "the race detector multiplies memory: scripts/race.sh runs this test without it, too")
	}
	need.Slow(t) // sixty hashes of the full cost, at the lowest priority

	const workers = 2
	p := running(t, Config{Workers: workers, Queue: 100, Command: as("hasher")})
	p.params = Default
	load(t.Context(), t, p, 60, 10)

	for i := range workers {
		got, limit := peakMiB(t, p.children[i].proc.cmd.Process.Pid), float64(Default.MemoryKiB)/1024+16
		t.Logf("peak RSS %.1f MiB", got)
		if got > limit {
			t.Errorf("peak RSS is %.1f MiB, want at most %.1f", got, limit)
		}
	}
}

// load makes n hashes with that many callers.
func load(ctx context.Context, t testing.TB, p *Pool, n, callers int) {
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() {
			for range n/callers + min(1, max(0, n%callers-i)) {
				if _, _, err := p.Verify(ctx, "", jeton.NewSecret("12345678")); err != nil {
					t.Errorf("Verify: %v", err)
				}
			}
		})
	}

	wg.Wait()
}

// peakMiB returns the peak memory of a process.
func peakMiB(t testing.TB, pid int) float64 {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}

	_, after, _ := strings.Cut(string(b), "VmHWM:")
	kib, err := strconv.Atoi(strings.Fields(after)[0])
	if err != nil {
		t.Fatal(err)
	}

	return float64(kib) / 1024
}

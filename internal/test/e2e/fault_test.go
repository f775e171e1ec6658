package e2e

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/jeton-auth/jeton/internal/test/need"
)

// fault is a system call that fails in the server.
type fault struct {
	inject   string // as strace reads it
	prepared bool   // the data directory has been used before
	database bool   // only calls on the database's files
}

// faults are failing syncs from the first to the 20th of each thread, once and from then
// on, on a new data directory and on one that has been used, and a disk that is full.
func faults() []fault {
	ks, full := []int{1, 2, 3, 5, 8, 13, 20}, []int{1, 9, 25}
	if need.Soaking() {
		ks, full = nil, nil
		for k := range 20 {
			ks, full = append(ks, k+1), append(full, 5*k+1)
		}
	}

	var list []fault
	for i, k := range ks {
		list = append(list, fault{fmt.Sprintf("fsync,fdatasync:error=EIO:when=%d", k), i%2 == 0, false})
		if need.Soaking() || i == 1 || i == 4 {
			list = append(list, fault{fmt.Sprintf("fsync,fdatasync:error=EIO:when=%d+", k), i%2 == 0, false})
		}
		if need.Soaking() {
			list = append(list, fault{fmt.Sprintf("fsync,fdatasync:error=EIO:when=%d", k), i%2 != 0, false})
		}
	}

	for i, k := range full {
		list = append(list, fault{fmt.Sprintf("write,pwrite64:error=ENOSPC:when=%d", k), i%2 == 0, true})
		if need.Soaking() || i == 1 {
			list = append(list, fault{fmt.Sprintf("write,pwrite64:error=ENOSPC:when=%d+", k), true, true})
		}
		if need.Soaking() {
			list = append(list, fault{fmt.Sprintf("write,pwrite64:error=ENOSPC:when=%d", k), false, false})
		}
	}

	return list
}

// TestGrantsAreDurable makes calls of the server fail while clients use it, kills
// it, and starts it again without faults: everything that was acknowledged is there.
func TestGrantsAreDurable(t *testing.T) {
	needStrace(t)
	var mu sync.Mutex

	refused := 0
	injected := 0
	grants := 0
	unsure := 0
	t.Run("faults", func(t *testing.T) {
		for _, f := range faults() {
			t.Run(strings.NewReplacer(
				":", " ", "when=", "",
			).Replace(f.inject)+fmt.Sprintf(" prepared %t", f.prepared), func(t *testing.T) {
				t.Parallel()
				r := f.run(t)
				mu.Lock()
				defer mu.Unlock()

				injected, grants, unsure = injected+r.injected, grants+r.ledger.grants, unsure+r.ledger.lost
				if r.refused {
					refused++
				}
			})
		}
	})

	t.Logf(
		"%d runs, %d starts refused, %d calls failed, %d uses acknowledged and %d without an answer; "+
			"0 grants that were not durable",
		len(faults()),
		refused,
		injected,
		grants,
		unsure,
	)
	if injected == 0 || refused == 0 || grants == 0 {
		t.Errorf("%d faults injected, %d refusals and %d grants; want some of each", injected, refused, grants)
	}
}

// faultRun is what came of one run.
type faultRun struct {
	refused  bool // the server did not start
	injected int
	ledger   *ledger
}

// run starts a server under strace, which makes system calls fail, and works until it does.
// Then the server is killed and started without faults: what was answered must be there.
func (f fault) run(t *testing.T) faultRun {
	dir := filepath.Join(t.TempDir(), "data")
	o := Options{Config: counted, DataDir: dir}

	if f.prepared {
		Start(t, o).Stop(t)
	}

	trace := filepath.Join(t.TempDir(), "trace")
	calls, _, _ := strings.Cut(f.inject, ":")
	o.Under = append(strace(), "-o", trace, "-e", "trace="+calls, "-e", "inject="+f.inject)
	if f.database {
		db := filepath.Join(dir, "jeton.db")
		o.Under = append(o.Under, "-P", db, "-P", db+"-wal", "-P", db+"-journal")
	}

	o.Under = append(o.Under, outlive()...)
	r := faultRun{ledger: &ledger{}}
	s := Launch(t, o)
	if s.Up(t) {
		cut := strings.HasPrefix(calls, "write") && !f.database
		r.ledger.work(t, s.Client(t), cut, func() bool { return count(t, trace) > 0 })
	} else {
		r.refused = true
		if code, text := s.Code(t), s.Err.String(); code != 1 && code != 7 || !strings.Contains(text, "jeton: ") {
			t.Errorf("exit code %d with %q, want 1 or 7 and the reason", code, text)
		}
	}

	s.Kill()
	r.injected = count(t, trace)
	s = s.Restart(t)
	r.ledger.checkAll(s.Client(t), 0)

	for _, text := range r.ledger.faults {
		t.Error(text)
	}

	return r
}

// work has four clients log in and spend uses until shortly after the first failure, or
// until enough requests succeeded. With cut, connections may break.
func (l *ledger) work(t *testing.T, c *Client, cut bool, failed func() bool) {
	const after, most = 10, 120 // by each client
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for n, rest := 0, after; n < most && rest > 0; n++ {
				if err := act(c, l, 0); err != nil && !cut {
					t.Errorf("request: %v, want an answer", err)
					return
				}

				if n%8 == 0 && failed() || rest < after {
					rest--
				}
			}
		})
	}

	wg.Wait()
}

// count returns how many calls were made to fail.
func count(t *testing.T, trace string) int {
	b, err := os.ReadFile(trace)
	if err != nil && !os.IsNotExist(err) {
		t.Error(err)
	}
	return strings.Count(string(b), "(INJECTED)")
}

// strace is the command that injects the faults; options go behind it.
func strace() []string { return []string{"strace", "-f", "-qq"} }

// outlive kills the traced program with strace, which would leave it running.
func outlive() []string {
	if path, err := exec.LookPath("setpriv"); err == nil {
		return []string{path, "--pdeathsig", "KILL"}
	}
	return nil
}

// needStrace leaves the test out where strace is missing or forbidden, as in some
// containers.
func needStrace(t *testing.T) {
	t.Helper()
	need.Program(t, "strace")

	p := Run(t, Command{Args: append(strace(), "-e", "trace=none", "true")})
	if p.Code(t) != 0 {
		need.Missing(t, "strace may not trace here (ptrace is not permitted): "+p.Err.String())
	}
}

// attach makes calls of a running server fail, or be slow, until the function it returns
// is called.
func attach(t *testing.T, s *Server, inject string) (detach func()) {
	t.Helper()
	calls, _, _ := strings.Cut(inject, ":")
	p := Run(t, Command{
		Args: []string{
			"strace",
			"-f",
			"-o",
			os.DevNull,
			"-e",
			"trace=" + calls,
			"-e",
			"inject=" + inject,
			"-p",
			strconv.Itoa(s.PID),
		},
	})
	Wait(t, "strace to take hold of the server", func() bool {
		select {
		case <-p.Ended():
			need.Missing(t, "strace may not trace a running server here: "+p.Err.String())
		default:
		}

		return strings.Contains(p.Err.String(), " attached")
	})

	return func() {
		t.Helper()
		p.Signal(t, os.Interrupt)
		p.Code(t)
	}
}

// A crash keeps the page cache of the system, so it cannot prove that a commit was synced.
// This does: while no sync succeeds, nothing may be acknowledged.
func TestNothingIsGrantedWhileTheDiskDoesNotSync(t *testing.T) {
	needStrace(t)
	s := Start(t, Options{Config: counted})
	c := s.Client(t)
	s.Must(t, "the first one of p", "user", "add", "p", "--password-stdin")
	l := &ledger{}
	for range 4 {
		if err := l.login(c); err != nil {
			t.Fatal(err)
		}
	}

	for _, login := range l.logins {
		if err := l.use(c, login, 0); err != nil {
			t.Fatal(err)
		}
	}

	before := l.grants

	detach := attach(t, s, "fsync,fdatasync:error=EIO")

	for range 10 {
		for _, login := range l.logins {
			if err := l.use(c, login, 1); err != nil {
				t.Fatal(err)
			}
		}
	}

	if l.grants != before {
		t.Errorf("%d of 40 uses were granted while no sync succeeded, want none", l.grants-before)
	}
	if a := c.MustDo(
		t, http.MethodPost, "/three", l.logins[0].cookies,
	); a.Status != http.StatusServiceUnavailable || a.Header.Get("Retry-After") == "" {
		t.Errorf("use = %v with Retry-After %q, want 503 with one", a, a.Header.Get("Retry-After"))
	}

	l.logins[0].unknown[0]++
	if _, a, err := c.Login(crashName, crashPW); err != nil || a.Status != http.StatusServiceUnavailable {
		t.Errorf("login = %v %v, want 503", a, err)
	}
	if a := c.MustDo(t, http.MethodPost, "/logout", l.logins[3].cookies); a.Status != http.StatusServiceUnavailable {
		t.Errorf("logout = %v, want 503", a)
	}

	l.logins[3].logout = unknown
	r := s.Jeton(t, "", "user", "disable", "p")
	if r.Code != 7 {
		t.Errorf("disable exited with code %d, want 7: %s", r.Code, r.Err)
	}

	if a := c.MustDo(t, http.MethodGet, "/free", l.logins[1].cookies); a.Status != http.StatusOK {
		t.Errorf("request without a write = %v, want 200", a)
	}

	detach()

	for _, login := range l.logins[:3] {
		Wait(t, "uses to be granted again", func() bool {
			granted := l.grants
			if err := l.use(c, login, 1); err != nil {
				t.Fatal(err)
			}
			return l.grants > granted
		})
	}

	if !strings.Contains(s.Err.String(), "writes were not committed") {
		t.Errorf("log, want a report of the failed commit:\n%s", s.Err)
	}

	l.checkAll(s.Restart(t).Client(t), 0)

	for _, text := range l.faults {
		t.Error(text)
	}
}

// An operator or client whose request failed with an unknown outcome tries again. Once that
// has succeeded, the change holds, whatever became of the first try.
func TestARepeatedChangeHolds(t *testing.T) {
	needStrace(t)
	s := Start(t, Options{Config: counted})
	c := s.Client(t)
	changes := []string{"logout", "disable"}
	cookies := map[string]string{}
	for _, name := range changes {
		s.Must(t, "the first of "+name, "user", "add", name, "--password-stdin")
		cookies[name] = c.MustLogin(t, name, "the first of "+name)
		if a := c.MustDo(t, http.MethodGet, "/free", cookies[name]); a.Status != http.StatusOK {
			t.Fatalf("GET /free = %v, want 200", a)
		}
	}

	ask := func(name string) bool {
		if name == "logout" {
			return c.MustDo(t, http.MethodPost, "/logout", cookies[name]).Status == http.StatusOK
		}
		return s.Jeton(t, "", "user", name, name).Code == 0
	}

	for _, name := range changes {
		// The commit takes longer than the server waits for it, and succeeds in the end. A
		// change of a user may touch many rows, so the server waits longer for it.
		detach := attach(t, s, "fsync,fdatasync:delay_enter="+map[string]string{"logout": "3s", "disable": "12s"}[name])
		if ask(name) {
			t.Errorf("%s was answered before it was durable, want no answer", name)
		}

		detach()
	}

	for _, name := range changes {
		Wait(t, name+" to be answered", func() bool { return ask(name) })
		if a := c.MustDo(t, http.MethodGet, "/free", cookies[name]); a.Status != http.StatusUnauthorized {
			t.Errorf("login after %s = %v, want 401", name, a)
		}
	}
}

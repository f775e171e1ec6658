package postgres

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/secret"

	"golang.org/x/sys/unix"
)

// island is a network of its own with one way to it, on which a server is reached. What is
// sent while the way is closed is lost without a word, as with a cable that was pulled out.
type island struct {
	name string
	addr string // host and port of what passes connections on
}

// newIsland skips the test where it may not make networks: in most containers. There
// pgtest.Proxy.Hang comes near it.
func newIsland(t *testing.T, target string) *island {
	t.Helper()
	n := os.Getpid() % 10000
	i := &island{name: fmt.Sprintf("jeton%d", n)}
	if err := ip("netns", "add", i.name); err != nil {
		t.Skipf("no network of our own is to be had here: %v", err)
	}

	t.Cleanup(func() { _ = ip("netns", "delete", i.name) })
	here := fmt.Sprintf("jeton%da", n)
	for _, args := range [][]string{
		{"link", "add", here, "type", "veth", "peer", "name", "far", "netns", i.name},
		{"address", "add", "198.18.77.1/30", "dev", here},
		{"link", "set", here, "up"},
		{"-n", i.name, "address", "add", "198.18.77.2/30", "dev", "far"},
		{"-n", i.name, "link", "set", "far", "up"},
	} {
		if err := ip(args...); err != nil {
			t.Skipf("no way to a network of our own: %v", err)
		}
	}

	l, err := i.listen("198.18.77.2:0")
	must(t, err)
	t.Cleanup(func() { _ = l.Close() })
	i.addr = l.Addr().String()
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go pass(conn, target)
		}
	}()

	return i
}

func ip(args ...string) error {
	out, err := exec.Command("ip", args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("ip %v: %w: %s", args, err, out)
	}
	return nil
}

// listen listens on the island. The thread that goes there does not come back.
func (i *island) listen(addr string) (l net.Listener, err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)

		runtime.LockOSThread() // and the thread ends with the goroutine
		f, ferr := os.Open("/var/run/netns/" + i.name)
		if err = ferr; err != nil {
			return
		}
		defer f.Close()

		if err = unix.Setns(int(f.Fd()), syscall.CLONE_NEWNET); err == nil {
			l, err = net.Listen("tcp", addr)
		}
	}()

	<-done

	return l, err
}

func pass(from net.Conn, target string) {
	defer from.Close()

	to, err := net.Dial("tcp", target)
	if err != nil {
		return
	}
	defer to.Close()

	go func() { _, _ = io.Copy(to, from) }()
	_, _ = io.Copy(from, to)
}

func (i *island) way(t *testing.T, state string) {
	t.Helper()
	must(t, ip("-n", i.name, "link", "set", "far", state))
}

func TestPacketsThatAreLostWithoutAWord(t *testing.T) {
	c := shared.Cluster(t)
	name := newDatabase(t, c)
	island := newIsland(t, c.Addr())
	const bound = 300 * time.Millisecond
	far, near := openImpatient(t, c.Via(island.addr, name), Config{
		Staleness: bound,
	}), openNode(t, c.URL(name), Config{Staleness: bound})
	login := startSession(t, near, addUser(t, near, "diane"), "one")

	startSession(t, near, findUser(t, near, "diane"), "two")
	budget := policy.Budget{ID: 1, Max: 5}
	_, err := far.Spend(t.Context(), use(login, budget))
	must(t, err)
	must(t, far.Fresh(t.Context()))

	island.way(t, "down")
	began := time.Now()
	must(t, endSession(t.Context(), near, "two"))

	if took := time.Since(began); took < bound {
		t.Errorf("the end was answered after %v; a node that hears nothing may judge from memory for %v", took, bound)
	}
	if err := far.Fresh(t.Context()); err == nil {
		t.Error("a node that is cut off judges from memory after the end was answered")
	}

	for range 5 {
		asked := time.Now()
		_, err := far.Spend(t.Context(), use(login, budget))
		wantUnavailable(t, "a use", err)

		if took := time.Since(asked); took > answered {
			t.Errorf("an answer took %v", took)
		}
	}

	island.way(t, "up")
	back := time.Now()
	eventually(t, "health", func() bool {
		_, err := far.FindSession(t.Context(), secret.HashOf("one"))
		return err == nil && far.Fresh(t.Context()) == nil
	})

	if took := time.Since(back); took > healthy {
		t.Errorf("it took %v until all was well", took)
	}
	if _, err := far.FindSession(t.Context(), secret.HashOf("two")); !errors.Is(err, jeton.ErrNotFound) {
		t.Errorf("the session that was ended meanwhile: %v", err)
	}

	var o outcomes
	for range 6 {
		_, err := far.Spend(t.Context(), use(login, budget))
		o.count(t, err)
	}

	if o.granted.Load() > 4 {
		t.Errorf("%d more uses were granted of 5, one of which was taken", o.granted.Load())
	}
}

// TestACrashThatTakesNumbersBack kills one process of the server. It comes up again under the
// same name, with numbers of transactions that were not written down given anew: whoever
// went on from the last snapshot would not see them.
func TestACrashThatTakesNumbersBack(t *testing.T) {
	c := faulty.Cluster(t)
	name := newDatabase(t, c)
	db := openNode(t, c.TCP(name), Config{Staleness: 100 * time.Millisecond})
	ear := record(db)
	startSession(t, db, addUser(t, db, "diane"), "one")

	pollNow(t, db)
	ear.take()
	conn := connect(t, c.Superuser(name))
	var pid int
	queryRow(t, conn, &pid, "SELECT pg_backend_pid()")

	must(t, syscall.Kill(pid, syscall.SIGKILL))
	eventually(t, "everything to be dropped", func() bool { return ear.count(everything) > 0 })
	eventually(t, "a lease", func() bool { return db.Fresh(t.Context()) == nil && db.Ping(t.Context()) == nil })
}

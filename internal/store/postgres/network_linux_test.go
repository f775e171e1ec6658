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
	"github.com/jeton-auth/jeton/internal/test/need"

	"golang.org/x/sys/unix"
)

// island is a network namespace, with one link to it, that forwards connections to a server.
// While the link is down, packets are dropped silently, as with an unplugged cable.
type island struct {
	name string
	addr string // host and port of the forwarder
}

// newIsland needs root, and the right to make network namespaces, which some containers withhold.
// pgtest.Proxy.Hang is similar.
func newIsland(t *testing.T, target string) *island {
	t.Helper()
	need.Root(t)
	need.Program(t, "ip")

	n := os.Getpid() % 10000
	i := &island{name: fmt.Sprintf("jeton%d", n)}
	if err := ip("netns", "add", i.name); err != nil {
		need.Optional(t, fmt.Sprintf("root may not make a network namespace here: %v", err))
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
			need.Optional(t, fmt.Sprintf("root may not make a link to a network namespace here: %v", err))
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

// ip runs the program of that name. It takes a link down, which drops packets silently.
func ip(args ...string) error {
	out, err := exec.Command("ip", args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("ip %v: %w: %s", args, err, out)
	}
	return nil
}

// listen listens in the namespace. The thread that enters it is not used again.
func (i *island) listen(addr string) (l net.Listener, err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)

		runtime.LockOSThread() // and the thread ends with the goroutine
		var f *os.File
		f, err = os.Open("/var/run/netns/" + i.name)
		if err != nil {
			return
		}
		defer f.Close()

		err = unix.Setns(int(f.Fd()), syscall.CLONE_NEWNET)
		if err == nil {
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

// setLink takes the far end of the cable up or down.
func (i *island) setLink(t *testing.T, state string) {
	t.Helper()
	must(t, ip("-n", i.name, "link", "set", "far", state))
}

func TestAsRootPacketsAreDroppedSilently(t *testing.T) {
	c := shared.Cluster(t)
	name := newDatabase(t, c)
	island := newIsland(t, c.Addr())
	const bound = 300 * time.Millisecond
	late := measureLateness(t)
	far := openImpatient(t, c.Via(island.addr, name), Config{Staleness: bound})
	near := openNode(t, c.URL(name), Config{Staleness: bound})
	login := startSession(t, near, addUser(t, near, "diane"), "one")

	startSession(t, near, findUser(t, near, "diane"), "two")
	budget := policy.Budget{ID: 1, Max: 5}
	_, err := near.Spend(t.Context(), use(login, budget))
	must(t, err)
	eventually(t, "lease", func() bool { return far.Fresh(t.Context()) == nil })

	island.setLink(t, "down")
	began := time.Now()
	must(t, endSession(t.Context(), near, "two"))

	if took := time.Since(began); took < bound {
		t.Errorf("the logout was answered after %v, want at least %v, the lease of the other node", took, bound)
	}
	if err := far.Fresh(t.Context()); err == nil {
		t.Error("Fresh = nil on a node that is cut off, want an error after the answer")
	}

	for range 5 {
		asked := time.Now()
		_, err := far.Spend(t.Context(), use(login, budget))
		wantUnavailable(t, "a use", err)

		if took := time.Since(asked); took > late.allow(answered) {
			t.Errorf("an answer took %v, want at most %v", took, late.allow(answered))
		}
	}

	island.setLink(t, "up")
	back := time.Now()
	eventually(t, "lease and answer", func() bool {
		_, err := far.FindSession(t.Context(), secret.HashOf("one"))
		return err == nil && far.Fresh(t.Context()) == nil
	})

	if took := time.Since(back); took > late.allow(healthy) {
		t.Errorf("healthy after %v, want at most %v", took, late.allow(healthy))
	}
	if _, err := far.FindSession(t.Context(), secret.HashOf("two")); !errors.Is(err, jeton.ErrNotFound) {
		t.Errorf("FindSession after its logout = %v, want ErrNotFound", err)
	}

	var o outcomes
	for range 6 {
		_, err := far.Spend(t.Context(), use(login, budget))
		o.count(t, err)
	}

	if o.granted.Load() > 4 {
		t.Errorf("%d more uses were granted, want at most 4 of 5", o.granted.Load())
	}
}

// TestACrashThatReusesTransactionNumbers kills one process of the server, which then restarts
// without a new postmaster. It gives transaction numbers again that were not written out: a node
// that continued from its last snapshot would not see them.
func TestACrashThatReusesTransactionNumbers(t *testing.T) {
	c := faulty.Cluster(t)
	name := newDatabase(t, c)
	db := openNode(t, c.TCP(name), Config{Staleness: 100 * time.Millisecond})
	received := record(db)
	startSession(t, db, addUser(t, db, "diane"), "one")

	pollNow(t, db)
	received.take()
	conn := connect(t, c.Superuser(name))
	var pid int
	queryRow(t, conn, &pid, "SELECT pg_backend_pid()")

	must(t, syscall.Kill(pid, syscall.SIGKILL))
	eventually(t, "invalidation of everything", func() bool { return received.count(everything) > 0 })
	eventually(t, "lease", func() bool { return db.Fresh(t.Context()) == nil && db.Ping(t.Context()) == nil })
}

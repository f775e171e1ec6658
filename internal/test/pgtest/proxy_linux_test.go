package pgtest_test

import (
	"errors"
	"io"
	"net"
	"os"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/jeton-auth/jeton/internal/test/pgtest"
)

// echo is a server that says what it hears, and ends when its client has ended.
func echo(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}

	var work sync.WaitGroup
	t.Cleanup(func() {
		_ = l.Close()
		work.Wait()
	})

	work.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}

			work.Go(func() {
				_, _ = io.Copy(conn, conn)
				_ = conn.Close()
			})
		}
	})

	return l.Addr().String()
}

// line is a proxy for an echo. At the end of the test nothing of it may be left.
func line(t *testing.T, target string) *pgtest.Proxy {
	t.Helper()
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, before) })

	if target == "" {
		target = echo(t)
	}

	p, err := pgtest.NewProxy(target)
	if err != nil {
		t.Fatal(err)
	}

	t.Cleanup(func() {
		p.Close()
		p.Close() // is not an error
		if err := p.Heal(); err == nil {
			t.Error("a closed proxy was healed")
		}
	})

	return p
}

// call connects to a proxy and hears that it passes what is said.
func call(t *testing.T, p *pgtest.Proxy) *net.TCPConn {
	t.Helper()
	conn := connect(t, p)
	say(t, conn, "hello")
	hear(t, conn, "hello")
	return conn
}

func connect(t *testing.T, p *pgtest.Proxy) *net.TCPConn {
	t.Helper()
	conn, err := net.Dial("tcp", p.Addr())
	if err != nil {
		t.Fatal(err)
	}

	t.Cleanup(func() { _ = conn.Close() })
	return conn.(*net.TCPConn)
}

func say(t *testing.T, conn net.Conn, text string) {
	t.Helper()
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
}

func hear(t *testing.T, conn net.Conn, want string) {
	t.Helper()
	_ = conn.SetReadDeadline(time.Now().Add(time.Minute))
	got := make([]byte, len(want))
	if n, err := io.ReadFull(conn, got); err != nil || string(got) != want {
		t.Fatalf("heard %q, %v; want %q", got[:n], err, want)
	}
}

// silent gives something that may not come a chance to come.
func silent(t *testing.T, conn net.Conn) {
	t.Helper()
	_ = conn.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if n, err := conn.Read(make([]byte, 1)); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("heard %d bytes, %v; want silence", n, err)
	}
}

func lost(t *testing.T, conn net.Conn) {
	t.Helper()
	_ = conn.SetReadDeadline(time.Now().Add(time.Minute))
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the connection ended with %v, want a reset", err)
	}
}

func heal(t *testing.T, p *pgtest.Proxy) {
	t.Helper()
	if err := p.Heal(); err != nil {
		t.Fatal(err)
	}
}

func TestASoundLinePassesEverything(t *testing.T) {
	p := line(t, "")
	conn := connect(t, p)
	sent := make([]byte, 5<<20)
	for i := range sent {
		sent[i] = byte(i * 7 >> 3)
	}

	go func() {
		_, _ = conn.Write(sent)
		_ = conn.CloseWrite()
	}()

	got, err := io.ReadAll(conn) // ends as the end comes back
	if err != nil || string(got) != string(sent) {
		t.Errorf("%d bytes came back, %v; want the %d that were sent", len(got), err, len(sent))
	}
}

func TestACutLineResetsAndRefuses(t *testing.T) {
	p := line(t, "")
	one, two := call(t, p), call(t, p)
	p.Cut()
	lost(t, one)
	lost(t, two)

	if conn, err := net.Dial("tcp", p.Addr()); !errors.Is(err, syscall.ECONNREFUSED) {
		if err == nil {
			_ = conn.Close()
		}
		t.Errorf("Dial = %v, want refused", err)
	}

	heal(t, p)
	call(t, p)
}

func TestACutReachesTheServer(t *testing.T) {
	server, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = server.Close() }()

	p := line(t, server.Addr().String())
	say(t, connect(t, p), "hello")
	conn, err := server.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()

	hear(t, conn, "hello")
	p.Cut()
	lost(t, conn)
}

func TestAHangingLineLosesNothing(t *testing.T) {
	p := line(t, "")
	old := call(t, p)
	p.Hang()
	say(t, old, "one ")
	fresh := connect(t, p) // is accepted
	say(t, fresh, "three")

	silent(t, old)
	silent(t, fresh)
	say(t, old, "two")

	if err := old.CloseWrite(); err != nil {
		t.Fatal(err)
	}

	silent(t, old)
	heal(t, p)
	hear(t, old, "one two")
	hear(t, fresh, "three")
	_ = old.SetReadDeadline(time.Now().Add(time.Minute))

	if _, err := old.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("the end of the connection came as %v", err)
	}
}

func TestAHangingLineCanBeCut(t *testing.T) {
	p := line(t, "")
	old := call(t, p)
	p.Hang()
	say(t, old, "lost")
	fresh := connect(t, p)
	silent(t, fresh) // the proxy has it now

	p.Cut()
	lost(t, old)
	lost(t, fresh)
	heal(t, p)
	call(t, p)
}

func TestADelayIsPaidInEachDirection(t *testing.T) {
	p := line(t, "")
	conn := call(t, p)
	const d = 30 * time.Millisecond
	p.Delay(d)
	began := time.Now()

	say(t, conn, "slow")
	hear(t, conn, "slow")
	took := time.Since(began)
	if took < 2*d { // never less; how much more is the machine's
		t.Errorf("there and back took %v, want at least %v", took, 2*d)
	}

	p.Delay(time.Hour)
	say(t, conn, "too late")
	silent(t, conn)
	p.Cut()
	lost(t, conn)
}

func TestAServerThatIsNotThere(t *testing.T) {
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}

	p := line(t, gone.Addr().String())
	if err := gone.Close(); err != nil {
		t.Fatal(err)
	}

	conn, err := net.Dial("tcp", p.Addr())
	if err == nil { // the reset can come before or after it
		defer func() { _ = conn.Close() }()
		_, err = conn.Read(make([]byte, 1))
	}

	if !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the connection ended with %v, want a reset", err)
	}
}

func TestAResetComesBehindWhatWasSaid(t *testing.T) {
	server, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = server.Close() }()

	p := line(t, server.Addr().String())
	conn := connect(t, p)
	say(t, conn, "hello")
	far, err := server.Accept()
	if err != nil {
		t.Fatal(err)
	}

	hear(t, far, "hello")
	p.Delay(20 * time.Millisecond)
	say(t, far, "goodbye")
	_ = far.(*net.TCPConn).SetLinger(0)
	_ = far.Close()

	hear(t, conn, "goodbye")
	lost(t, conn)
}

func TestALineToPostgreSQL(t *testing.T) {
	c := postgres.Cluster(t)
	db := create(t, c)
	p := line(t, c.Addr())
	conn := dial(t, c.Via(p.Addr(), db))
	exec1(t, conn, `CREATE TABLE things (n int)`)

	p.Cut()
	if _, err := conn.Exec(t.Context(), `INSERT INTO things VALUES (1)`); err == nil {
		t.Error("a statement went through a line that is cut")
	}

	heal(t, p)
	n := ask[int](t, dial(t, c.Via(p.Addr(), db)), `SELECT count(*) FROM things`)
	if n != 0 {
		t.Errorf("%d rows came through a line that is cut", n)
	}
}

func TestAProxyClosesAlthoughTheServerLetsItWait(t *testing.T) {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = syscall.Close(fd) }()

	err = errors.Join(syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}), syscall.Listen(fd, 0))
	if err != nil {
		t.Fatal(err)
	}

	name, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}

	p := line(t, net.JoinHostPort("127.0.0.1", strconv.Itoa(name.(*syscall.SockaddrInet4).Port)))
	for range 4 { // the queue has room for one
		silent(t, connect(t, p))
	}

	closed := make(chan struct{})
	go func() {
		p.Close()
		close(closed)
	}()

	select {
	case <-closed:
	case <-time.After(time.Minute): // the kernel would dial for two
		t.Fatal("Close waits for a server that takes no connections")
	}
}

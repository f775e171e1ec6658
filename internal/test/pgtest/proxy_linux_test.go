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

// echo is a server that sends back what it receives, and ends when its client has ended.
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

// newProxy makes a proxy for a target, "" for an echo. No goroutine may be left at the end.
func newProxy(t *testing.T, target string) *pgtest.Proxy {
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
			t.Error("Heal of a closed proxy = nil, want an error")
		}
	})

	return p
}

// call connects to a proxy and checks that it forwards.
func call(t *testing.T, p *pgtest.Proxy) *net.TCPConn {
	t.Helper()
	conn := connect(t, p)
	write(t, conn, "hello")
	wantRead(t, conn, "hello")
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

func write(t *testing.T, conn net.Conn, text string) {
	t.Helper()
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
}

func wantRead(t *testing.T, conn net.Conn, want string) {
	t.Helper()
	_ = conn.SetReadDeadline(time.Now().Add(time.Minute))
	got := make([]byte, len(want))
	if n, err := io.ReadFull(conn, got); err != nil || string(got) != want {
		t.Fatalf("read %q, %v, want %q", got[:n], err, want)
	}
}

// wantSilence checks that nothing arrives for a moment.
func wantSilence(t *testing.T, conn net.Conn) {
	t.Helper()
	_ = conn.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if n, err := conn.Read(make([]byte, 1)); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("read %d bytes, %v, want silence", n, err)
	}
}

func wantReset(t *testing.T, conn net.Conn) {
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

func TestAProxyForwardsEverything(t *testing.T) {
	p := newProxy(t, "")
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
		t.Errorf("%d bytes came back, %v, want the %d sent", len(got), err, len(sent))
	}
}

func TestCutResetsAndRefuses(t *testing.T) {
	p := newProxy(t, "")
	one, two := call(t, p), call(t, p)
	p.Cut()
	wantReset(t, one)
	wantReset(t, two)

	if conn, err := net.Dial("tcp", p.Addr()); !errors.Is(err, syscall.ECONNREFUSED) {
		if err == nil {
			_ = conn.Close()
		}
		t.Errorf("Dial = %v, want refused", err)
	}

	heal(t, p)
	call(t, p)
}

func TestCutReachesTheServer(t *testing.T) {
	server, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = server.Close() }()

	p := newProxy(t, server.Addr().String())
	write(t, connect(t, p), "hello")
	conn, err := server.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()

	wantRead(t, conn, "hello")
	p.Cut()
	wantReset(t, conn)
}

func TestHangLosesNothing(t *testing.T) {
	p := newProxy(t, "")
	old := call(t, p)
	p.Hang()
	write(t, old, "one ")
	fresh := connect(t, p) // is accepted
	write(t, fresh, "three")

	wantSilence(t, old)
	wantSilence(t, fresh)
	write(t, old, "two")

	if err := old.CloseWrite(); err != nil {
		t.Fatal(err)
	}

	wantSilence(t, old)
	heal(t, p)
	wantRead(t, old, "one two")
	wantRead(t, fresh, "three")
	_ = old.SetReadDeadline(time.Now().Add(time.Minute))

	if _, err := old.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("read at the end of the connection = %v, want EOF", err)
	}
}

func TestCutEndsAHang(t *testing.T) {
	p := newProxy(t, "")
	old := call(t, p)
	p.Hang()
	write(t, old, "lost")
	fresh := connect(t, p)
	wantSilence(t, fresh) // the proxy has it now

	p.Cut()
	wantReset(t, old)
	wantReset(t, fresh)
	heal(t, p)
	call(t, p)
}

func TestDelayAppliesToEachDirection(t *testing.T) {
	p := newProxy(t, "")
	conn := call(t, p)
	const d = 30 * time.Millisecond
	p.Delay(d)
	began := time.Now()

	write(t, conn, "slow")
	wantRead(t, conn, "slow")
	took := time.Since(began)
	if took < 2*d { // never less; how much more is the machine's
		t.Errorf("a round trip took %v, want at least %v", took, 2*d)
	}

	p.Delay(time.Hour)
	write(t, conn, "too late")
	wantSilence(t, conn)
	p.Cut()
	wantReset(t, conn)
}

func TestAServerThatIsDown(t *testing.T) {
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}

	p := newProxy(t, gone.Addr().String())
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

func TestAResetComesAfterTheData(t *testing.T) {
	server, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = server.Close() }()

	p := newProxy(t, server.Addr().String())
	conn := connect(t, p)
	write(t, conn, "hello")
	far, err := server.Accept()
	if err != nil {
		t.Fatal(err)
	}

	wantRead(t, far, "hello")
	p.Delay(20 * time.Millisecond)
	write(t, far, "goodbye")
	_ = far.(*net.TCPConn).SetLinger(0)
	_ = far.Close()

	wantRead(t, conn, "goodbye")
	wantReset(t, conn)
}

func TestAProxyToPostgreSQL(t *testing.T) {
	c := postgres.Cluster(t)
	db := create(t, c)
	p := newProxy(t, c.Addr())
	conn := dial(t, c.Via(p.Addr(), db))
	execSQL(t, conn, `CREATE TABLE things (n int)`)

	p.Cut()
	if _, err := conn.Exec(t.Context(), `INSERT INTO things VALUES (1)`); err == nil {
		t.Error("a statement went through a proxy that is cut")
	}

	heal(t, p)
	n := ask[int](t, dial(t, c.Via(p.Addr(), db)), `SELECT count(*) FROM things`)
	if n != 0 {
		t.Errorf("%d rows came through a proxy that is cut", n)
	}
}

func TestCloseDoesNotWaitForTheServer(t *testing.T) {
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

	p := newProxy(t, net.JoinHostPort("127.0.0.1", strconv.Itoa(name.(*syscall.SockaddrInet4).Port)))
	for range 4 { // the queue has room for one
		wantSilence(t, connect(t, p))
	}

	closed := make(chan struct{})
	go func() {
		p.Close()
		close(closed)
	}()

	select {
	case <-closed:
	case <-time.After(time.Minute): // the kernel would dial for two
		t.Fatal("Close waits for a server that accepts no connections")
	}
}

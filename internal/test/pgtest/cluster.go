// Package pgtest starts PostgreSQL servers for tests, and injects faults into them.
//
// A Cluster is a private server in a temporary folder: it listens on a unix socket and on
// the loopback interface, keeps committed data through a kill, and ends with the process that
// started it, however that ends. A Proxy between client and server cuts, stalls or delays
// connections. The server of the system is not used. The schema is left to the packages that
// are tested: a new database is empty.
package pgtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"time"
)

// ErrMissing means that PostgreSQL is not installed, or that the package cannot end what it
// starts on this system.
var ErrMissing = errors.New("no PostgreSQL to test with")

// Role owns the databases, and is not a superuser. It needs Password over TCP.
const (
	Role     = "jeton"
	Password = "only-for-tests"
)

const (
	superuser = "postgres"
	timeout   = 60 * time.Second // to start or to stop the server
	pause     = 5 * time.Millisecond
	// The path of a socket may have 107 bytes on Linux; some clients take fewer.
	longestSocket = 99
)

// Cluster is a PostgreSQL server with its data. Methods are safe for concurrent use; those
// that start, stop or pause wait for each other.
type Cluster struct {
	bin     string // folder of the programs
	folder  string // data, log and usually the socket
	sockets string
	port    int
	owner   *owner
	noSync  bool
	log     *os.File
	starts  chan func() // run on the thread that the server is bound to

	mu     sync.Mutex
	server *process // nil before the first start
	paused bool
	closed bool
}

// New makes a cluster in a new folder below dir and starts it; "" is the folder of the
// system for temporary files. The context is for the making only. PostgreSQL refuses to run as
// root: then the server runs as the user postgres, who must be able to enter dir, and
// cannot enter t.TempDir. New returns ErrMissing where there is no PostgreSQL.
func New(ctx context.Context, dir string) (*Cluster, error) { return newCluster(ctx, dir, false) }

func newCluster(ctx context.Context, dir string, noSync bool) (*Cluster, error) {
	bin, err := programs()
	if err != nil {
		return nil, err
	}

	who, err := runAs()
	if err != nil {
		return nil, err
	}

	c := &Cluster{
		bin:    bin,
		owner:  who,
		noSync: noSync,
		starts: make(chan func()),
	}
	go func() {
		// Linux ends a bound process when the thread that started it ends, so this thread
		// does nothing else and lives as long as the cluster.
		runtime.LockOSThread()

		for start := range c.starts {
			start()
		}
	}()

	// What create has made so far is removed: the folder is not in that of a test.
	if err := c.create(ctx, dir); err != nil {
		err = fmt.Errorf("make a PostgreSQL cluster: %w%s", err, c.logSuffix())
		return nil, errors.Join(err, c.Close())
	}

	return c, nil
}

// start starts the server and waits until it answers. The caller holds the lock, or nothing
// else uses the cluster yet.
func (c *Cluster) start(ctx context.Context) error {
	p := &process{ended: make(chan struct{})}
	p.cmd = c.command(context.WithoutCancel(ctx), "postgres", "-D", c.data())
	// At SIGQUIT the server ends all its processes, also stopped ones; a SIGKILL would leave
	// these behind.
	c.owner.bind(p.cmd, syscall.SIGQUIT)

	if err := c.onThread(p.cmd.Start); err != nil {
		return fmt.Errorf("start postgres: %w", err)
	}

	c.server = p
	c.paused = false
	go func() {
		_ = p.cmd.Wait() // how it ended is in its log
		close(p.ended)
	}()

	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()

	for {
		err := c.Exec(ctx, "postgres", "")
		if err == nil {
			return nil
		}

		select {
		case <-p.ended:
			return errors.New("start postgres: the server has ended")
		case <-ctx.Done():
			return fmt.Errorf("start postgres: no answer: %w", errors.Join(err, c.kill()))
		case <-time.After(pause):
		}
	}
}

// Addr returns the TCP address of the server, a host and a port. It stays the same through
// restarts.
func (c *Cluster) Addr() string { return address(c.port) }

// Log returns what the server wrote after its first offset bytes, at most the last 16 KiB.
func (c *Cluster) Log(offset int64) string {
	const limit = 16 << 10
	offset = max(offset, c.logSize()-limit)
	b, err := io.ReadAll(io.NewSectionReader(c.log, offset, limit))
	if err != nil {
		return err.Error()
	}

	return string(bytes.ToValidUTF8(b, []byte("?")))
}

// logSize returns how many bytes the log has.
func (c *Cluster) logSize() int64 {
	info, err := c.log.Stat()
	if err != nil {
		return 0
	}
	return info.Size()
}

// logSuffix returns the log as part of an error.
func (c *Cluster) logSuffix() string {
	if c.log == nil || c.logSize() == 0 {
		return ""
	}
	return "\n" + c.Log(0)
}

// Close ends the server and removes its folder. Closing twice is not an error.
func (c *Cluster) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()

	if c.closed {
		return nil
	}

	c.closed = true
	err := c.end(syscall.SIGQUIT) // the data need not be written: it is removed
	close(c.starts)

	if c.log != nil {
		err = errors.Join(err, c.log.Close())
	}

	for _, folder := range []string{c.folder, c.sockets} {
		if folder != "" {
			err = errors.Join(err, os.RemoveAll(folder))
		}
	}

	return err
}

// Secure turns TLS on, with a certificate and its key as PEM, and returns when it is on.
func (c *Cluster) Secure(ctx context.Context, cert, key []byte) error {
	for name, text := range map[string][]byte{"server.crt": cert, "server.key": key} {
		path := filepath.Join(c.data(), name)
		if err := errors.Join(os.WriteFile(path, text, 0o600), c.owner.give(path)); err != nil {
			return fmt.Errorf("give postgres a certificate: %w", err)
		}
	}

	for _, sql := range []string{"ALTER SYSTEM SET ssl = on", "SELECT pg_reload_conf()"} {
		if err := c.Exec(ctx, "postgres", sql); err != nil {
			return err
		}
	}

	const check = "DO $$BEGIN IF current_setting('ssl') <> 'on' THEN RAISE 'not yet'; END IF; END$$"
	for end := time.Now().Add(timeout); ; time.Sleep(pause) {
		err := c.Exec(ctx, "postgres", check)
		if err == nil || time.Now().After(end) {
			return err
		}
	}
}

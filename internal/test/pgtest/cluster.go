// Package pgtest gives tests a PostgreSQL of their own, and the means to hurt it.
//
// A Cluster is a private server in a temporary folder: it listens on a unix socket and on
// the loopback interface, keeps what it has committed through a kill, and ends with the
// process that started it, however that ends. A Proxy stands between a client and a server
// and spoils the line. The service of the system is neither used nor touched. The package
// knows nothing of our schema: a database that it makes is empty.
package pgtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// ErrMissing means that the programs of PostgreSQL are not installed, or that this system
// is none on which the package can end what it starts.
var ErrMissing = errors.New("no PostgreSQL to test with")

// Role is who owns the databases; Password is what the role needs over TCP. It is no
// superuser.
const (
	Role     = "jeton"
	Password = "only-for-tests"
)

const (
	superuser = "postgres"
	patience  = 60 * time.Second // how long the server may take to start or to stop
	pause     = 5 * time.Millisecond
	// A socket's path has room for 107 bytes on Linux; some clients count fewer.
	longestSocket = 99
)

// Cluster is a PostgreSQL server with its data. Methods are safe for concurrent use; those
// that start, stop or pause wait for each other.
type Cluster struct {
	bin     string // folder of the programs
	folder  string // of this cluster: data, log and usually the socket
	sockets string
	port    int
	owner   *owner
	log     *os.File
	starts  chan func() // run on the thread that the server is bound to

	mu     sync.Mutex
	server *process // nil when there was none yet
	paused bool
	closed bool
}

// process is a running postmaster.
type process struct {
	cmd   *exec.Cmd
	ended chan struct{} // closed when it has ended
}

func (p *process) running() bool {
	if p == nil {
		return false
	}

	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// New makes a cluster in a new folder below dir and starts it; "" is the folder of the
// system for temporary files. The context is for the making only. As root the server runs
// as the system's user postgres, who must be able to reach dir: t.TempDir is then out of
// reach. New returns ErrMissing where there is no PostgreSQL.
func New(ctx context.Context, dir string) (*Cluster, error) {
	bin, err := programs()
	if err != nil {
		return nil, err
	}

	who, err := runAs()
	if err != nil {
		return nil, err
	}

	c := &Cluster{bin: bin, owner: who, starts: make(chan func())}
	go func() {
		// Linux ends a bound process when the thread that started it ends, so this thread
		// does nothing else and lives as long as the cluster.
		runtime.LockOSThread()

		for start := range c.starts {
			start()
		}
	}()

	if err := c.create(ctx, dir); err != nil {
		err = fmt.Errorf("make a PostgreSQL cluster: %w%s", err, c.said())
		return nil, errors.Join(err, c.Close())
	}

	return c, nil
}

// programs returns the folder of initdb and postgres: the newest of Debian, or that on PATH.
func programs() (string, error) {
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb") // the pattern is a good one
	version := func(file string) int {
		n, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(file))))
		return n
	}

	if len(found) > 0 {
		newest := slices.MaxFunc(found, func(a, b string) int { return version(a) - version(b) })
		return filepath.Dir(newest), nil
	}

	file, err := exec.LookPath("initdb")
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrMissing, err)
	}
	if file, err = filepath.EvalSymlinks(file); err != nil {
		return "", fmt.Errorf("find initdb: %w", err)
	}

	return filepath.Dir(file), nil
}

func (c *Cluster) create(ctx context.Context, dir string) error {
	var err error
	c.folder, err = c.own(dir)
	if err != nil {
		return err
	}

	c.sockets = c.folder
	if len(c.socket(65535)) > longestSocket {
		c.sockets, err = c.own("/tmp")
		if err != nil {
			return err
		}
	}

	c.log, err = os.Create(filepath.Join(c.folder, "log"))
	if err != nil {
		return err
	}

	// A kill of the server loses nothing that the kernel has, so initdb need not sync; the
	// server itself does.
	err = c.initdb(ctx, "--username="+superuser, "--auth-local=trust", "--auth-host=scram-sha-256",
		"--encoding=UTF8", "--locale=C", "--no-sync", "--no-instructions", "--pgdata="+c.data())
	if err != nil {
		return err
	}

	for tries := 0; ; tries++ {
		c.port, err = freePort()
		if err != nil {
			return err
		}
		if err = c.configure(); err != nil {
			return err
		}

		if err = c.start(ctx); err == nil {
			break
		}
		// Someone else may have taken the port in the meantime.
		if tries == 5 || !strings.Contains(c.Log(0), "could not create any TCP/IP sockets") {
			return err
		}
	}

	return c.Exec(ctx, "postgres", fmt.Sprintf("CREATE ROLE %s LOGIN PASSWORD '%s'", Role, Password))
}

// own makes a folder below dir for the user as whom the server runs.
func (c *Cluster) own(dir string) (string, error) {
	folder, err := os.MkdirTemp(dir, "jeton-pg-")
	if err != nil {
		return "", err
	}
	return folder, c.owner.give(folder)
}

func (c *Cluster) data() string { return filepath.Join(c.folder, "data") }

func (c *Cluster) socket(port int) string {
	return filepath.Join(c.sockets, ".s.PGSQL."+strconv.Itoa(port))
}

// listen takes a free port of the loopback interface. It is below the ports that Linux gives
// to clients: one of these could be taken by a connection while its server is down, or a
// client that keeps dialling could reach itself.
func listen() (net.Listener, error) {
	var err error
	for range 100 {
		var l net.Listener
		if l, err = net.Listen("tcp", address(10000+rand.IntN(22000))); err == nil {
			return l, nil
		}
	}

	return nil, fmt.Errorf("find a free port: %w", err)
}

// freePort returns a port that listen has found and left.
func freePort() (int, error) {
	l, err := listen()
	if err != nil {
		return 0, err
	}
	return l.Addr().(*net.TCPAddr).Port, l.Close()
}

func address(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

func (c *Cluster) command(ctx context.Context, program string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, filepath.Join(c.bin, program), args...)
	cmd.Dir = c.folder
	cmd.Env = []string{"PATH=/usr/bin:/bin", "LC_ALL=C"} // no PGDATA or PGPORT of the caller
	cmd.Stdout, cmd.Stderr = c.log, c.log
	return cmd
}

func (c *Cluster) initdb(ctx context.Context, args ...string) error {
	cmd := c.command(ctx, "initdb", args...)
	cmd.Cancel = func() error { return killGroup(cmd) }
	c.owner.bind(cmd, syscall.SIGKILL)

	if err := c.onThread(cmd.Start); err != nil {
		return fmt.Errorf("start initdb: %w", err)
	}
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("run initdb: %w", err)
	}

	return nil
}

func (c *Cluster) onThread(start func() error) error {
	done := make(chan error)
	c.starts <- func() { done <- start() }
	return <-done
}

// configure writes the settings into the server's file rather than its arguments, so that
// a test can overrule them by ALTER SYSTEM. Of equal settings the last one counts.
func (c *Cluster) configure() error {
	f, err := os.OpenFile(filepath.Join(c.data(), "postgresql.conf"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}

	_, err = fmt.Fprintf(f, `
listen_addresses = '127.0.0.1'
port = %d
unix_socket_directories = '%s'
max_connections = 100
shared_buffers = 32MB
fsync = on
synchronous_commit = on
full_page_writes = on
password_encryption = 'scram-sha-256'
log_line_prefix = '%%m [%%p] %%u@%%d '
`, c.port, strings.ReplaceAll(c.sockets, "'", "''"))

	return errors.Join(err, f.Close())
}

// start starts the server and waits until it answers. The caller holds the lock, or is the
// only one who has the cluster.
func (c *Cluster) start(ctx context.Context) error {
	p := &process{ended: make(chan struct{})}
	p.cmd = c.command(context.WithoutCancel(ctx), "postgres", "-D", c.data())
	// At SIGQUIT the server takes all its processes along at once, also those that stand
	// still; a SIGKILL would leave these behind.
	c.owner.bind(p.cmd, syscall.SIGQUIT)

	if err := c.onThread(p.cmd.Start); err != nil {
		return fmt.Errorf("start postgres: %w", err)
	}

	c.server, c.paused = p, false
	go func() {
		_ = p.cmd.Wait() // how it ended is in its log
		close(p.ended)
	}()

	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()

	for {
		err := c.Exec(ctx, "postgres", "")
		if err == nil {
			return nil
		}

		select {
		case <-p.ended:
			return errors.New("start postgres: it ended")
		case <-ctx.Done():
			return fmt.Errorf("start postgres: it does not answer: %w", errors.Join(err, c.kill()))
		case <-time.After(pause):
		}
	}
}

// URL returns how the role reaches a database by the unix socket, without a password.
func (c *Cluster) URL(db string) string { return c.local(Role, db) }

// Superuser returns how the superuser reaches a database; "postgres" is always there.
func (c *Cluster) Superuser(db string) string { return c.local(superuser, db) }

func (c *Cluster) local(role, db string) string {
	at := url.Values{"host": {c.sockets}, "port": {strconv.Itoa(c.port)}, "sslmode": {"disable"}}
	u := url.URL{
		Scheme:   "postgres",
		User:     url.User(role),
		Path:     "/" + db,
		RawQuery: at.Encode(),
	}
	return u.String()
}

// TCP returns how the role reaches a database by TCP, with its password.
func (c *Cluster) TCP(db string) string { return c.Via(c.Addr(), db) }

// Via is TCP by way of another address, that of a Proxy.
func (c *Cluster) Via(addr, db string) string {
	u := url.URL{
		Scheme:   "postgres",
		User:     url.UserPassword(Role, Password),
		Host:     addr,
		Path:     "/" + db,
		RawQuery: "sslmode=disable",
	}
	return u.String()
}

// Addr returns the TCP address of the server, a host and a port. It stays the same through
// restarts.
func (c *Cluster) Addr() string { return address(c.port) }

// Create makes an empty database that belongs to the role, and returns its name.
func (c *Cluster) Create(ctx context.Context) (string, error) {
	db := fmt.Sprintf("t%016x", rand.Uint64())
	sql := fmt.Sprintf("CREATE DATABASE %s OWNER %s TEMPLATE template0 ENCODING 'UTF8'", db, Role)
	return db, c.Exec(ctx, "postgres", sql)
}

// Drop takes a database away, with the connections to it.
func (c *Cluster) Drop(ctx context.Context, db string) error {
	return c.Exec(ctx, "postgres", "DROP DATABASE "+pgx.Identifier{db}.Sanitize()+" WITH (FORCE)")
}

// Database makes an empty database and returns its URL for the socket. drop takes it away
// when the server is there to do so; what is left goes with the cluster.
func (c *Cluster) Database(ctx context.Context) (url string, drop func(), err error) {
	db, err := c.Create(ctx)
	if err != nil {
		return "", nil, err
	}

	drop = func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		_ = c.Drop(ctx, db)
	}

	return c.URL(db), drop, nil
}

// Exec runs SQL as the superuser on a connection of its own. Several statements are one
// transaction; ALTER SYSTEM has to be alone.
func (c *Cluster) Exec(ctx context.Context, db, sql string) error {
	conn, err := pgx.Connect(ctx, c.Superuser(db))
	if err != nil {
		return fmt.Errorf("run SQL as %s: %w", superuser, err)
	}

	_, err = conn.PgConn().Exec(ctx, sql).ReadAll()
	if err != nil {
		err = fmt.Errorf("run %q: %w", sql, err)
	}

	return errors.Join(err, conn.Close(context.WithoutCancel(ctx)))
}

// Log returns what the server wrote after its first offset bytes, at most the last 16 KiB.
func (c *Cluster) Log(offset int64) string {
	const most = 16 << 10
	offset = max(offset, c.logged()-most)
	b, err := io.ReadAll(io.NewSectionReader(c.log, offset, most))
	if err != nil {
		return err.Error()
	}

	return string(bytes.ToValidUTF8(b, []byte("?")))
}

// logged returns how many bytes the log has.
func (c *Cluster) logged() int64 {
	info, err := c.log.Stat()
	if err != nil {
		return 0
	}
	return info.Size()
}

// said is the log as part of an error.
func (c *Cluster) said() string {
	if c.log == nil || c.logged() == 0 {
		return ""
	}
	return "\n" + c.Log(0)
}

// Stop ends the server in good order: connections are ended, transactions rolled back. What
// is paused goes on first. It is no error when nothing runs.
func (c *Cluster) Stop() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stop()
}

func (c *Cluster) stop() error {
	if !c.server.running() {
		return nil
	}
	if err := c.resume(); err != nil {
		return err
	}
	if err := c.server.cmd.Process.Signal(os.Interrupt); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stop postgres: %w", err)
	}

	select {
	case <-c.server.ended:
		return nil
	case <-time.After(patience):
		return errors.Join(errors.New("stop postgres: it does not end"), c.kill())
	}
}

// Kill ends all processes of the server as kill -9 does, and waits until they are gone.
func (c *Cluster) Kill() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.kill()
}

func (c *Cluster) kill() error {
	if !c.server.running() {
		return nil
	}
	if err := killTree(c.server.cmd.Process.Pid); err != nil {
		return fmt.Errorf("kill postgres: %w", err)
	}

	<-c.server.ended
	return nil
}

// Restart starts the server again, on the same port and socket, and waits until it answers.
// One that runs is stopped first.
func (c *Cluster) Restart(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()

	if c.closed {
		return errors.New("restart postgres: the cluster is closed")
	}
	if err := c.stop(); err != nil {
		return err
	}

	return c.start(ctx)
}

// Pause makes all processes of the server stand still, and returns when they do. The kernel
// still takes connections for them.
func (c *Cluster) Pause() error {
	c.mu.Lock()
	defer c.mu.Unlock()

	if !c.server.running() {
		return errors.New("pause postgres: it does not run")
	}

	c.paused = true // also when it fails: some may stand still
	if err := pauseTree(c.server.cmd.Process.Pid); err != nil {
		return fmt.Errorf("pause postgres: %w", err)
	}

	return nil
}

// Resume lets go on what Pause has stopped.
func (c *Cluster) Resume() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.resume()
}

func (c *Cluster) resume() error {
	if !c.paused || !c.server.running() {
		return nil
	}
	if err := resumeTree(c.server.cmd.Process.Pid); err != nil {
		return fmt.Errorf("resume postgres: %w", err)
	}

	c.paused = false
	return nil
}

// Close stops the server and removes its folder. Closing twice is not an error.
func (c *Cluster) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()

	if c.closed {
		return nil
	}

	c.closed = true
	err := c.stop()
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

// Secure makes the server speak TLS to whoever asks for it over TCP, with a certificate and its
// key as PEM, and returns when it does.
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
	for end := time.Now().Add(patience); ; time.Sleep(pause) {
		err := c.Exec(ctx, "postgres", check)
		if err == nil || time.Now().After(end) {
			return err
		}
	}
}

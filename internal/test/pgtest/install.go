package pgtest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// programs returns the folder of initdb and postgres: the newest of Debian, or that on PATH.
func programs() (string, error) {
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb") // the pattern is valid
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
		return "", fmt.Errorf("%w: initdb is not installed", ErrMissing)
	}

	file, err = filepath.EvalSymlinks(file)
	if err != nil {
		return "", fmt.Errorf("find initdb: %w", err)
	}

	return filepath.Dir(file), nil
}

// create makes the folders, the data and the role, and starts the server. What it has made
// so far, Close removes.
func (c *Cluster) create(ctx context.Context, dir string) error {
	var err error
	c.folder, err = c.own(dir)
	if err != nil {
		return err
	}

	c.sockets = c.folder
	// The temporary folder of a test may be too deep for the path of a socket.
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

	// initdb need not sync: a kill of the server loses nothing that the kernel has.
	if err := c.initdb(ctx,
		"--username="+superuser,
		"--auth-local=trust",
		"--auth-host=scram-sha-256",
		"--encoding=UTF8",
		"--locale=C",
		"--no-sync",
		"--no-instructions",
		"--pgdata="+c.data(),
	); err != nil {
		return err
	}

	if err := c.startOnFreePort(ctx); err != nil {
		return err
	}

	return c.Exec(ctx, "postgres", fmt.Sprintf("CREATE ROLE %s LOGIN PASSWORD '%s'", Role, Password))
}

// startOnFreePort starts the server, on another port if a program has taken the one that was
// free a moment ago.
func (c *Cluster) startOnFreePort(ctx context.Context) error {
	for tries := 0; ; tries++ {
		var err error
		c.port, err = FreePort()
		if err != nil {
			return err
		}
		if err := c.configure(); err != nil {
			return err
		}

		err = c.start(ctx)
		if err == nil || tries == 5 || !strings.Contains(c.Log(0), "could not create any TCP/IP sockets") {
			return err
		}
	}
}

// own makes a folder below dir for the user as whom the server runs.
func (c *Cluster) own(dir string) (string, error) {
	folder, err := os.MkdirTemp(dir, "jeton-pg-")
	if err != nil {
		return "", err
	}
	return folder, c.owner.give(folder)
}

// data is the folder of the data.
func (c *Cluster) data() string { return filepath.Join(c.folder, "data") }

// socket is the path of the Unix socket for a port.
func (c *Cluster) socket(port int) string {
	return filepath.Join(c.sockets, ".s.PGSQL."+strconv.Itoa(port))
}

// listen takes a free port of the loopback interface, below the ports that Linux gives to
// clients: a connection could take one of these while the server is down, or a client that
// keeps dialling could reach itself.
func listen() (net.Listener, error) {
	var err error
	for range 100 {
		var l net.Listener
		l, err = net.Listen("tcp", address(10000+rand.IntN(22000)))
		if err == nil {
			return l, nil
		}
	}

	return nil, fmt.Errorf("find a free port: %w", err)
}

// FreePort returns a port that was free a moment ago.
func FreePort() (int, error) {
	l, err := listen()
	if err != nil {
		return 0, err
	}
	return l.Addr().(*net.TCPAddr).Port, l.Close()
}

// address is the TCP address of a port on this machine.
func address(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// command returns a program of PostgreSQL, not started, whose output goes to the log.
func (c *Cluster) command(ctx context.Context, program string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, filepath.Join(c.bin, program), args...)
	cmd.Dir = c.folder
	cmd.Env = []string{"PATH=/usr/bin:/bin", "LC_ALL=C"} // no PGDATA or PGPORT of the caller
	cmd.Stdout, cmd.Stderr = c.log, c.log
	return cmd
}

// initdb makes the data. It is killed with its children when ctx ends.
func (c *Cluster) initdb(ctx context.Context, args ...string) error {
	cmd := c.command(ctx, "initdb", args...)
	// initdb starts children; killing it alone would leave them.
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

// onThread calls start on the thread that newCluster keeps.
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

	sync := "on"
	if c.noSync {
		sync = "off"
	}

	_, err = fmt.Fprintf(f, `
listen_addresses = '127.0.0.1'
port = %d
unix_socket_directories = '%s'
max_connections = 200
shared_buffers = 32MB
fsync = %s
synchronous_commit = on
full_page_writes = on
password_encryption = 'scram-sha-256'
log_line_prefix = '%%m [%%p] %%u@%%d '
`, c.port, strings.ReplaceAll(c.sockets, "'", "''"), sync)

	return errors.Join(err, f.Close())
}

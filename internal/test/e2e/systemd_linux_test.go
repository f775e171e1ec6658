package e2e

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jeton-auth/jeton/internal/test/need"
)

// manager plays the service manager: it holds a socket for the server and reads the states that the server reports.
type manager struct {
	socket *os.File
	port   int
	states *net.UnixConn
	dir    string
}

func newManager(t *testing.T) *manager {
	t.Helper()
	m := &manager{dir: t.TempDir()}

	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	m.port = l.Addr().(*net.TCPAddr).Port
	if m.socket, err = l.File(); err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	t.Cleanup(func() { _ = m.socket.Close() })

	m.states, err = net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(m.dir, "notify"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.states.Close() })

	return m
}

// options starts a server as systemd does. The shell is there to name its own process id, which exec keeps.
func (m *manager) options(config string, env ...string) Options {
	return Options{
		Config: config,
		Env:    append(env, "NOTIFY_SOCKET="+filepath.Join(m.dir, "notify"), "LISTEN_FDS=1"),
		Under:  []string{"sh", "-c", `LISTEN_PID=$$ exec "$0" "$@"`},
		Files:  []*os.File{m.socket},
	}
}

// await reads states until one has a line.
func (m *manager) await(t *testing.T, want string) {
	t.Helper()
	if err := m.states.SetReadDeadline(time.Now().Add(Patience)); err != nil {
		t.Fatal(err)
	}

	var seen []string
	b := make([]byte, 4096)
	for {
		n, err := m.states.Read(b)
		if err != nil {
			t.Fatalf("states of the server: got %q and then %v, want %s", seen, err, want)
		}

		state := string(b[:n])
		seen = append(seen, state)
		for line := range strings.Lines(state) {
			if strings.TrimSpace(line) == want {
				return
			}
		}
	}
}

// config writes a configuration with a service on a port.
func (m *manager) config(t *testing.T, port int, more string) string {
	t.Helper()
	path := filepath.Join(m.dir, "jeton.yaml")
	text := fmt.Sprintf(`%s
admin: {listen: "127.0.0.1:0"}
services:
  - name: app
    listen: 127.0.0.1:%d
    plain_http: true
    routes:
      - match: /
        open: true
        respond: {text: hello}
`, more, port)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}

	return path
}

func TestTheServiceManagerLearnsTheStates(t *testing.T) {
	t.Parallel()
	m := newManager(t)
	s := Start(t, m.options(m.config(t, m.port, ""), "WATCHDOG_USEC=60000000"))
	m.await(t, "READY=1")
	m.await(t, "WATCHDOG=1") // the first comes at once; the next would be in half a minute

	s.Signal(t, syscall.SIGHUP)
	m.await(t, "RELOADING=1")
	m.await(t, "READY=1")

	m.config(t, m.port, "misspelt: yes")
	s.Signal(t, syscall.SIGHUP)
	m.await(t, "RELOADING=1")
	m.await(t, "READY=1") // the configuration before stays

	s.Stop(t)
	m.await(t, "STOPPING=1")
}

func TestNoConnectionIsRefusedDuringARestart(t *testing.T) {
	t.Parallel()
	m := newManager(t)
	o := m.options(m.config(t, m.port, ""))
	s := Start(t, o)
	o.DataDir = s.DataDir
	s.Stop(t)

	// There is no server now: the socket keeps the connection.
	conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", m.port))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n\r\n", m.port); err != nil {
		t.Fatal(err)
	}

	Start(t, o)
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode != http.StatusOK {
		t.Errorf("a request during a restart: got %s, want 200", res.Status)
	}
}

func TestASocketThatNoListenNamesStopsTheStart(t *testing.T) {
	t.Parallel()
	m := newManager(t)
	s := Launch(t, m.options(m.config(t, 0, "")))
	if s.Up(t) {
		t.Fatal("the server started, want an error")
	}

	want := fmt.Sprintf("systemd passes a socket for 127.0.0.1:%d, which is no listen address", m.port)
	if !strings.Contains(s.Err.String(), want) {
		t.Errorf("error: got %s, want %q", s.Err, want)
	}
}

// TestAUnixSocketIsTakenIfItIsPrivate has the socket of the proxies' listener, of whom every peer is trusted.
func TestAUnixSocketIsTakenIfItIsPrivate(t *testing.T) {
	t.Parallel()

	for _, tc := range []struct {
		name string
		mode os.FileMode
		want string // in the error; "": the server starts
	}{
		{"as systemd opens it", 0o666, "set SocketMode=0660"},
		{"for the group", 0o660, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m := newManager(t)
			path := filepath.Join(m.dir, "data", "forward.sock")
			if err := os.Mkdir(filepath.Dir(path), 0o700); err != nil {
				t.Fatal(err)
			}
			l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = l.Close() }()
			socket, err := l.File()
			if err != nil {
				t.Fatal(err)
			}
			defer socket.Close()
			if err := os.Chmod(path, tc.mode); err != nil {
				t.Fatal(err)
			}

			o := m.options(m.config(t, 0, "forward: {listen: \"unix:forward.sock\"}"))
			o.Files, o.DataDir = []*os.File{socket}, filepath.Dir(path)
			s := Launch(t, o)
			up := s.Up(t)
			if up != (tc.want == "") || !strings.Contains(s.Err.String(), tc.want) {
				t.Errorf("up: got %t and %s, want the error %q", up, s.Err, tc.want)
			}
		})
	}
}

// TestASecretIsReadFromTheCredentials has a file that the server must not need: in the unit only systemd reads it.
func TestASecretIsReadFromTheCredentials(t *testing.T) {
	t.Parallel()
	m := newManager(t)
	credentials := t.TempDir()
	secret := filepath.Join(credentials, "keys.secret")

	// The first start makes a secret; it moves.
	first := Start(t, Options{Config: m.config(t, 0, "")})
	first.Stop(t)
	b, err := os.ReadFile(filepath.Join(first.DataDir, "keys.secret"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(first.DataDir, "keys.secret")); err != nil {
		t.Fatal(err)
	}
	// systemd makes the group's permission the mask of an access list.
	if err := os.WriteFile(secret, b, 0o440); err != nil {
		t.Fatal(err)
	}

	s := Start(t, Options{
		Config:  m.config(t, 0, "keys_secret_file: /nonexistent/keys.secret"),
		DataDir: first.DataDir,
		Env:     []string{"CREDENTIALS_DIRECTORY=" + credentials},
	})
	s.Stop(t)
	if _, err := os.Stat(filepath.Join(first.DataDir, "keys.secret")); !os.IsNotExist(err) {
		t.Errorf("keys.secret in the data directory: got %v, want none", err)
	}
}

func TestTheUnitIsConfined(t *testing.T) {
	t.Parallel()
	const unit = "../../../packaging/systemd/jeton.service"
	tool := need.Program(t, "systemd-analyze")
	out, err := exec.Command(tool, "security", "--offline=yes", "--no-pager", "--threshold=15", unit).CombinedOutput()
	score := regexp.MustCompile(`Overall exposure level.*: ([0-9.]+)`).FindSubmatch(out)
	if err != nil || score == nil {
		t.Fatalf("systemd-analyze security: %v, want a score of at most 1.5\n%s", err, tail(string(out)))
	}
	t.Logf("exposure of the unit: %s", score[1])
}

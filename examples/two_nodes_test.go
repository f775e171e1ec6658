package examples_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"go.yaml.in/yaml/v4"

	"github.com/jeton-auth/jeton/internal/test/e2e"
	"github.com/jeton-auth/jeton/internal/test/need"
	"github.com/jeton-auth/jeton/internal/test/pgtest"
)

// twoNodes is the example two-nodes on ports of its own, with a database of its own.
type twoNodes struct {
	*reader
	database string
	ports    map[string]string // as the README shows it, and as it is
	nodes    map[string]*e2e.Server
	nginx    *e2e.Process
}

// The ports that the README shows.
const (
	frontPort = "5100"
	onePort   = "5101"
	twoPort   = "5102"
)

func newTwoNodes(t *testing.T) *twoNodes {
	t.Helper()
	needs(t)
	cluster := pgtest.Start(t)
	name, err := cluster.Create(t.Context())
	if err != nil {
		t.Fatal(err)
	}

	n := &twoNodes{
		reader:   newReader(t, "two-nodes"),
		database: cluster.TCP(name),
		ports:    map[string]string{},
		nodes:    map[string]*e2e.Server{},
	}
	for _, shown := range []string{frontPort, onePort, twoPort, "9101", "9102"} {
		is := e2e.FreePort(t)
		n.ports[shown] = is
		for _, host := range []string{"localhost:", "127.0.0.1:"} {
			n.address[host+shown] = host + is
		}
	}

	text, err := os.ReadFile(filepath.Join("two-nodes", "nginx.conf"))
	if err != nil {
		t.Fatal(err)
	}

	conf := filepath.Join(n.root, "examples", "two-nodes", "nginx.conf")
	if err := os.WriteFile(conf, []byte(n.real(string(text))), 0o600); err != nil {
		t.Fatal(err)
	}

	return n
}

var (
	nodeServed = regexp.MustCompile(
		`^PORT=(\d+) ADMIN_PORT=(\d+) go run \./cmd/jeton serve --config (\S+) --data-dir (\S+)$`,
	)
	frontUp  = regexp.MustCompile(`^nginx (.*)$`)
	exported = regexp.MustCompile(`^export JETON_DATABASE='.*'$`)
)

// follow runs the README up to a command, or to its end.
func (n *twoNodes) follow(t *testing.T, until string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("two-nodes", "README.md"))
	if err != nil {
		t.Fatal(err)
	}

	for _, b := range blocks(t, string(text)) {
		for _, part := range strings.Split("\n"+b.text, "\n$ ")[1:] {
			command, want, _ := strings.Cut(part, "\n")
			if until != "" && strings.HasPrefix(command, until) {
				return
			}

			n.commands++
			got := n.command(t, command)
			if !like(got, strings.TrimSuffix(want, "\n")) {
				t.Errorf("$ %s: got\n%s\nwant, as in the README,\n%s", command, got, want)
			}
		}
	}

	if until != "" {
		t.Fatalf("the README has no command %q", until)
	}
}

// command runs a command of the page. Servers are started by the test, which must be able
// to end them.
func (n *twoNodes) command(t *testing.T, command string) string {
	t.Helper()
	if m := nodeServed.FindStringSubmatch(command); m != nil {
		return n.serve(t, m[1], m[2], m[3], m[4])
	}

	if m := frontUp.FindStringSubmatch(command); m != nil {
		n.front(t, strings.Fields(m[1]))
		return ""
	}

	if exported.MatchString(command) {
		command = "export JETON_DATABASE='" + n.database + "'"
	}

	return n.sh(t, command)
}

// serve starts a node, after the one before it on its port has ended.
func (n *twoNodes) serve(t *testing.T, port, admin, conf, data string) string {
	t.Helper()
	old := n.nodes[port]
	if old != nil {
		e2e.Wait(t, "the previous node to end", func() bool {
			select {
			case <-old.Ended():
				return true
			default:
				return false
			}
		})
	}

	n.nodes[port] = e2e.Start(t, e2e.Options{
		Config:  filepath.Join(n.root, conf),
		DataDir: filepath.Join(n.root, data),
		Port:    n.ports[port],
		Env:     []string{"JETON_DATABASE=" + n.database, "ADMIN_PORT=" + n.ports[admin]},
	})

	n.servers++

	return n.shown(n.nodes[port].Out.String())
}

// front starts nginx and waits until it answers.
func (n *twoNodes) front(t *testing.T, args []string) {
	t.Helper()
	n.nginx = startNginx(t, n.root, n.ports[frontPort], args...)
	n.servers++
}

// startNginx starts nginx in a directory and waits until it answers at a port.
func startNginx(t *testing.T, dir, port string, args ...string) *e2e.Process {
	t.Helper()
	args = append([]string{need.Program(t, "nginx", "/usr/sbin/nginx")}, args...)
	nginx := e2e.Run(t, e2e.Command{Args: args, Dir: dir})
	t.Cleanup(func() { stopNginx(t, nginx) })

	awaitPort(t, "nginx to answer", port)

	return nginx
}

// awaitPort waits until a program listens on a port of this machine.
func awaitPort(t *testing.T, what, port string) {
	t.Helper()
	e2e.Wait(t, what, func() bool {
		conn, err := net.Dial("tcp", "127.0.0.1:"+port)
		if err == nil {
			_ = conn.Close()
		}

		return err == nil
	})
}

// stopNginx ends nginx with its workers, which a kill of the first process would leave behind.
func stopNginx(t *testing.T, nginx *e2e.Process) {
	select {
	case <-nginx.Ended():
	default:
		nginx.Signal(t, syscall.SIGTERM)
		nginx.Code(t)
	}
}

// listed returns the number of nodes that the others wait for.
func (n *twoNodes) listed(t *testing.T) (count int) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), n.database)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()

	if err := conn.QueryRow(t.Context(), "SELECT count(*) FROM nodes").Scan(&count); err != nil {
		t.Fatal(err)
	}

	return count
}

// user requests a page of a service through nginx, with a connection for each request.
type user struct {
	t       *testing.T
	url     string
	http    *http.Client
	cookies string
}

func (n *twoNodes) user(t *testing.T) *user {
	t.Helper()
	pem, err := os.ReadFile(filepath.Join(n.dir, "shared", "pubkey.pem"))
	if err != nil {
		t.Fatal(err)
	}

	trust := x509.NewCertPool()
	trust.AppendCertsFromPEM(pem)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: trust}}
	t.Cleanup(transport.CloseIdleConnections)

	return &user{
		t:    t,
		url:  "https://localhost:" + n.ports[frontPort],
		http: &http.Client{Transport: transport, Timeout: e2e.Patience},
	}
}

// ask returns the status of the response; 0 is none.
func (p *user) ask(method, path, form string) int {
	r, err := http.NewRequest(method, p.url+path, strings.NewReader(form))
	if err != nil {
		p.t.Error(err)
		return 0
	}

	r.Header.Set("Cookie", p.cookies)
	if form != "" {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}

	a, err := p.http.Do(r)
	if err != nil {
		p.t.Errorf("%s %s: %v", method, path, err)
		return 0
	}
	defer a.Body.Close()

	_, _ = io.Copy(io.Discard, a.Body)

	for _, c := range a.Cookies() {
		p.cookies = c.Name + "=" + c.Value
	}

	return a.StatusCode
}

// slowDatabase is in the log line of a request that the database did not answer in time.
const slowDatabase = `context deadline exceeded"}`

func (p *user) enter() int {
	return p.ask(http.MethodPost, "/login", "username=diane&password=dianes_password")
}

// day returns the statuses of a login, a use, a look, two uses and one too many, a logout and a look.
func (p *user) day() string {
	return fmt.Sprint(
		p.enter(),
		p.ask("GET", "/limited-info", ""),
		p.ask("GET", "/whoami", ""),
		p.ask("GET", "/limited-info", ""),
		p.ask("GET", "/limited-info", ""),
		p.ask("GET", "/limited-info", ""),
		p.ask("POST", "/logout", ""),
		p.ask("GET", "/whoami", ""),
	)
}

// TestTwoNodes runs the README of two-nodes.
func TestTwoNodes(t *testing.T) {
	t.Parallel()
	n := newTwoNodes(t)
	n.follow(t, "")

	if n.commands < 30 || n.servers != 6 {
		t.Errorf("the README was not understood: %d commands, %d servers", n.commands, n.servers)
	}
}

// TestRollingRestartInterruptsNoUser has users log in, use a counted session to its last use,
// and log out, while both nodes are replaced.
func TestRollingRestartInterruptsNoUser(t *testing.T) {
	t.Parallel()
	n := newTwoNodes(t)
	n.follow(t, "ask() ")
	var done atomic.Bool
	var rounds, slow atomic.Int64

	var work sync.WaitGroup
	for range 6 {
		p := n.user(t)
		work.Go(func() {
			for !done.Load() && !t.Failed() {
				got := p.day()
				if strings.Contains(got, "503") {
					// On a busy machine the database may not answer in time. Below, the logs have to say so.
					slow.Add(1)
					continue
				}
				if got != "200 200 200 200 200 403 200 401" {
					t.Errorf("login, a use, a look, two uses and one too many, logout, a look: %s", got)
				}

				rounds.Add(1)
			}
		})
	}

	nodes := []*e2e.Server{n.nodes[onePort], n.nodes[twoPort]}
	for _, port := range []string{onePort, twoPort} {
		before := rounds.Load()
		e2e.Wait(t, "the users to go on", func() bool { return rounds.Load() > before+12 || t.Failed() })
		n.nodes[port].Signal(t, syscall.SIGTERM)
		name := map[string]string{onePort: "one", twoPort: "two"}[port]
		n.nodes[port].Code(t)

		left := n.listed(t)
		if left != 1 {
			t.Errorf("%d nodes are on the list after one of two has stopped", left)
		}

		n.serve(t, port, "9"+port[1:], "examples/two-nodes/jeton.yaml", "examples/two-nodes/data/"+name)
		nodes = append(nodes, n.nodes[port])
	}

	before := rounds.Load()
	e2e.Wait(t, "the users to go on", func() bool { return rounds.Load() > before+12 || t.Failed() })
	done.Store(true)
	work.Wait()

	var excused int64
	for _, node := range nodes {
		excused += int64(strings.Count(node.Err.String(), slowDatabase))
	}
	if slow.Load() > excused {
		t.Errorf("%d users got 503, want %d at most, as often as a database was slow in the logs", slow.Load(), excused)
	}
}

// TestACountedUseIsNotSentTwice has one of the nodes read requests and exit without a response.
func TestACountedUseIsNotSentTwice(t *testing.T) {
	t.Parallel()
	n := newTwoNodes(t)
	n.follow(t, "ask() ")
	p := n.user(t)
	if code := p.enter(); code != http.StatusOK {
		t.Fatalf("login: %d", code)
	}

	n.nodes[onePort].Kill()
	taken := n.dying(t, n.ports[onePort])
	var lost, used int
	for range 20 {
		before := taken.Load()
		switch code := p.ask("GET", "/limited-info", ""); {
		case taken.Load() > before+1:
			t.Fatalf("the node that exits got %d requests for one, want 1", taken.Load()-before)
		case taken.Load() == before+1 && code == http.StatusBadGateway:
			lost++
			// nginx leaves the node out for a second after that.
			e2e.Wait(t, "the node to be asked again", func() bool {
				before := taken.Load()
				return p.ask("GET", "/whoami", "") == http.StatusOK && taken.Load() > before
			})
		case taken.Load() == before && code == http.StatusOK:
			used++
		case taken.Load() == before && code == http.StatusForbidden && used == 3:
			if lost == 0 {
				t.Error("the node that exits got no counted use")
			}
			return
		default:
			t.Fatalf("status %d, %d requests to the node that exits, after %d uses", code, taken.Load()-before, used)
		}
	}

	t.Errorf("%d uses and %d requests that were lost, and no end", used, lost)
}

// dying reads complete requests at a port, and closes each connection without a response. It
// returns their number.
func (n *twoNodes) dying(t *testing.T, port string) *atomic.Int64 {
	t.Helper()
	shared := filepath.Join(n.dir, "shared")
	cert, err := tls.LoadX509KeyPair(filepath.Join(shared, "pubkey.pem"), filepath.Join(shared, "private.pem"))
	if err != nil {
		t.Fatal(err)
	}

	l, err := net.Listen("tcp", "127.0.0.1:"+port)
	if err != nil {
		t.Fatal(err)
	}

	var taken atomic.Int64
	s := &http.Server{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		taken.Add(1)
		panic(http.ErrAbortHandler)
	})}

	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = s.Serve(tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{cert}}))
	}()

	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = s.Shutdown(ctx)
		<-ended
	})

	return &taken
}

// TestComposeFileFits checks compose.yaml without containers: it must name files that exist,
// and the ports of the upstreams of nginx.
func TestComposeFileFits(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("two-nodes", "compose.yaml"))
	if err != nil {
		t.Fatal(err)
	}

	var c struct {
		Services map[string]struct {
			Environment map[string]string `yaml:"environment"`
			Network     string            `yaml:"network_mode"`
		} `yaml:"services"`
	}
	if err := yaml.Unmarshal(text, &c); err != nil {
		t.Fatal(err)
	}

	nginx, err := os.ReadFile(filepath.Join("two-nodes", "nginx.conf"))
	if err != nil {
		t.Fatal(err)
	}

	for _, name := range []string{"one", "two"} {
		env := c.Services[name].Environment
		if !strings.Contains(string(nginx), "server 127.0.0.1:"+env["PORT"]+" ") {
			t.Errorf("nginx has no upstream for node %s on port %q", name, env["PORT"])
		}
		if env["JETON_CONFIG"] != "/two-nodes/jeton.yaml" ||
			env["JETON_DATA_DIR"] != "/two-nodes/data/"+name || !strings.HasPrefix(
			env["JETON_DATABASE"],
			"postgres://",
		) {
			t.Errorf("node %s has the environment %v", name, env)
		}
	}

	for _, name := range []string{"database", "one", "two", "nginx"} {
		if c.Services[name].Network != "host" {
			t.Errorf("%s is not on the host's network, where the addresses are those of the README", name)
		}
	}
}

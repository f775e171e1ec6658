package postgres

import (
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/secret"
	"github.com/jeton-auth/jeton/internal/test/pgtest"
)

// pooled starts a PgBouncer before a database, with the line that the guide has for it, and
// returns the URL of the database by way of it.
func pooled(t *testing.T, cluster *pgtest.Cluster, name, mode string) string {
	t.Helper()
	program, err := exec.LookPath("pgbouncer")
	if err != nil {
		if program, err = exec.LookPath("/usr/sbin/pgbouncer"); err != nil && os.Getenv("JETON_CI") == "" {
			t.Skip(err)
		}
		must(t, err)
	}

	guide, err := os.ReadFile("../../../docs/guide/many-nodes.md")
	must(t, err)
	line := regexp.MustCompile(`(?m)^ignore_startup_parameters = .*$`).Find(guide)
	if line == nil {
		t.Fatal("the guide has no line for PgBouncer")
	}

	host, port, err := net.SplitHostPort(cluster.Addr())
	must(t, err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	own := l.Addr().(*net.TCPAddr).Port

	must(t, l.Close())
	// It may have to run as somebody else, who can read what is here.
	dir, err := os.MkdirTemp("", "pgbouncer-")
	must(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	must(t, os.Chmod(dir, 0o755))

	users := filepath.Join(dir, "users")
	for path, text := range map[string]string{
		users: strconv.Quote(pgtest.Role) + " " + strconv.Quote(pgtest.Password) + "\n",
		filepath.Join(dir, "ini"): fmt.Sprintf(`[databases]
%s = host=%s port=%s
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = %d
unix_socket_dir =
auth_type = plain
auth_file = %s
pool_mode = %s
%s
`, name, host, port, own, users, mode, line),
	} {
		must(t, os.WriteFile(path, []byte(text), 0o644))
	}

	args := []string{filepath.Join(dir, "ini")}
	if os.Getuid() == 0 { // which it refuses to be
		args = append([]string{"-u", "postgres"}, args...)
	}

	cmd := exec.Command(program, args...)
	var said strings.Builder
	cmd.Stdout, cmd.Stderr = &said, &said
	must(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("PgBouncer wrote\n%s", said.String())
		}
	})

	addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(own))
	eventually(t, "PgBouncer", func() bool {
		conn, err := net.Dial("tcp", addr)
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	})

	at, err := url.Parse(cluster.TCP(name))
	must(t, err)
	at.Host = addr

	return at.String()
}

func TestAPoolerThatKeepsSessionsWorks(t *testing.T) {
	cluster := shared.Cluster(t)
	name := newDatabase(t, cluster)
	// The bound is far away: an end is answered because the others have heard.
	c := Config{Staleness: MaxStaleness}
	db, other := openNode(t, pooled(t, cluster, name, "session"), c), openNode(t, cluster.URL(name), c)
	ear := record(other)

	login := startSession(t, db, addUser(t, db, "diane"), "one")
	left, err := db.Spend(t.Context(), use(login, policy.Budget{ID: 1, Max: 3}))
	must(t, err)

	if left[0] != 2 {
		t.Errorf("%d of 3 uses are left after one", left[0])
	}

	pollNow(t, other)
	must(t, endSession(t.Context(), db, "one"))

	if ear.count(sessionEnded("one")) == 0 {
		t.Error("another node has not heard of an end that was answered")
	}

	_, err = other.FindSession(t.Context(), secret.HashOf("one"))
	wantError(t, "a session that was ended", err, jeton.ErrNotFound)
}

func TestAPoolerThatHandsConnectionsOnIsRefused(t *testing.T) {
	cluster := shared.Cluster(t)
	url := pooled(t, cluster, newDatabase(t, cluster), "transaction")
	wantOpenError(t, Config{URL: jeton.NewSecret(url)}, "pool_mode = session")
}

func TestAPoolerWithNothingLeftToGiveIsNotWaitedForForever(t *testing.T) {
	cluster := shared.Cluster(t)
	url := pooled(t, cluster, newDatabase(t, cluster), "transaction\ndefault_pool_size = 1")
	wantOpenError(t, Config{URL: jeton.NewSecret(url), Answer: 200 * time.Millisecond}, "whether a pooler shares connections")
}

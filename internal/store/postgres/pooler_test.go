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
	"github.com/jeton-auth/jeton/internal/test/need"
	"github.com/jeton-auth/jeton/internal/test/pgtest"
)

// pooled starts a PgBouncer in front of a database, with the setting that the guide shows, and
// returns the URL of the database through it.
func pooled(t *testing.T, cluster *pgtest.Cluster, name, mode string) string {
	t.Helper()
	program := need.Program(t, "pgbouncer", "/usr/sbin/pgbouncer")

	guide, err := os.ReadFile("../../../docs/guide/many-nodes.md")
	must(t, err)
	line := regexp.MustCompile(`(?m)^ignore_startup_parameters = .*$`).Find(guide)
	if line == nil {
		t.Fatal("the guide shows no setting for PgBouncer, want one")
	}

	host, port, err := net.SplitHostPort(cluster.Addr())
	must(t, err)
	own, err := pgtest.FreePort()
	must(t, err)

	// It may run as another user, who must be able to read this.
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
	if os.Getuid() == 0 { // PgBouncer refuses to run as root
		args = append([]string{"-u", "postgres"}, args...)
	}

	cmd := exec.Command(program, args...)
	var output strings.Builder
	cmd.Stdout, cmd.Stderr = &output, &output
	must(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("PgBouncer wrote\n%s", output.String())
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
	// The bound is far away: the answer comes by acknowledgement.
	c := Config{Staleness: MaxStaleness}
	db, other := openNode(t, pooled(t, cluster, name, "session"), c), openNode(t, cluster.URL(name), c)
	received := record(other)

	login := startSession(t, db, addUser(t, db, "diane"), "one")
	left, err := db.Spend(t.Context(), use(login, policy.Budget{ID: 1, Max: 3}))
	must(t, err)

	if left[0] != 2 {
		t.Errorf("%d of 3 uses are left after one, want 2", left[0])
	}

	pollNow(t, other)
	must(t, endSession(t.Context(), db, "one"))

	if received.count(sessionEnded("one")) == 0 {
		t.Error("the logout was answered, want it received by the other node before")
	}

	_, err = other.FindSession(t.Context(), secret.HashOf("one"))
	wantError(t, "FindSession after its logout", err, jeton.ErrNotFound)
}

// TestAPoolerThatSharesConnectionsIsRefused runs PgBouncer in transaction mode, in which
// locks and settings of one client would reach another.
func TestAPoolerThatSharesConnectionsIsRefused(t *testing.T) {
	cluster := shared.Cluster(t)
	url := pooled(t, cluster, newDatabase(t, cluster), "transaction")
	wantOpenError(t, Config{URL: jeton.NewSecret(url)}, "pool_mode = session")
}

func TestAPoolerWithoutAFreeConnectionIsRefusedInTime(t *testing.T) {
	cluster := shared.Cluster(t)
	url := pooled(t, cluster, newDatabase(t, cluster), "transaction\ndefault_pool_size = 1")
	c := Config{URL: jeton.NewSecret(url), Answer: 200 * time.Millisecond}
	wantOpenError(t, c, "whether a pooler shares connections")
}

package server_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jeton-auth/jeton/internal/test/pgtest"
	"github.com/jeton-auth/jeton/jetontest"
)

// logged is a log that may be read while it is written.
type logged struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *logged) has(text string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Contains(l.text.String(), text)
}

// until waits until ok returns true.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()

	for end := time.Now().Add(time.Minute); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("timeout; want %s", what)
		}
	}
}

// proxied starts a PostgreSQL of the test's own with an empty database, a proxy before it, and
// writes the file of the secret that its nodes share.
func proxied(t *testing.T) (cluster *pgtest.Cluster, name string, proxy *pgtest.Proxy, secret string) {
	t.Helper()
	cluster = pgtest.Start(t)
	var err error
	if name, err = cluster.Create(t.Context()); err != nil {
		t.Fatal(err)
	}

	if proxy, err = pgtest.NewProxy(cluster.Addr()); err != nil {
		t.Fatal(err)
	}

	t.Cleanup(proxy.Close)
	secret = filepath.Join(t.TempDir(), "keys.secret")
	if err := os.WriteFile(secret, []byte(strings.Repeat("0f", 32)), 0o600); err != nil {
		t.Fatal(err)
	}

	return cluster, name, proxy, secret
}

func TestAnOperatorSeesTheSharedDatabase(t *testing.T) {
	cluster, name, proxy, secret := proxied(t)
	conf := "keys_secret_file: " + secret + "\ndatabase: {url: '${DATABASE}', allow_weak_tls: true}\n" + easy + shop()
	var log logged

	// The second host is another machine. It is never asked: the first one answers.
	away := strings.Replace(cluster.Via(proxy.Addr(), name), "/"+name, ",192.0.2.1:5432/"+name, 1)
	one := jetontest.Start(t, conf, jetontest.Env("DATABASE", away), jetontest.Log(&log, slog.LevelInfo))
	two := jetontest.Start(t, conf, jetontest.Env("DATABASE", cluster.TCP(name)))

	metrics := func(has string) bool {
		return strings.Contains("\n"+one.Send(http.DefaultClient, "GET", one.Admin()+"/metrics", "").Body, "\n"+has)
	}

	where := proxy.Addr() + ",192.0.2.1:5432/" + name
	for _, line := range []string{
		`"msg":"data is in a shared database","database":"` + where + `"`,
		`"msg":"the database connection is weaker than the default",` +
			`"option":"allow_weak_tls: sslmode=disable sends everything in clear text"`,
	} {
		if !log.has(line) {
			t.Errorf("no such line in the log, want %s", line)
		}
	}

	if log.has(pgtest.Password) {
		t.Error("the log has the password of the database, want it nowhere")
	}

	one.AddUser("diane", right)
	cookie := one.Enter("shop", "diane", right)
	if a := two.Ask("GET", "shop", "/me", "Cookie", cookie); a.Status != 200 {
		t.Fatalf("GET /me at the other node = %d, want 200", a.Status)
	}

	one.MustControl("DELETE", "/api/v1/sessions?user=diane", nil, nil)
	if a := two.Ask("GET", "shop", "/me", "Cookie", cookie); a.Status != 401 {
		t.Errorf("an ended session at the other node: %d, want 401", a.Status)
	}

	for _, has := range []string{
		"jeton_database_up 1\n",
		"jeton_database_heard_age_seconds 0.",
		"jeton_database_connections_max 12\n",
		`jeton_database_connections{state="idle"} `,
		`jeton_database_connections{state="in_use"} `,
		"jeton_database_connection_waits_total ",
	} {
		// A poll of the database may be late on a busy machine.
		until(t, "the metric "+has, func() bool { return metrics(has) })
	}

	if metrics("jeton_database_end_seconds_count 0\n") {
		t.Error("jeton_database_end_seconds_count = 0 after a revocation, want more")
	}

	proxy.Cut()
	until(t, "the metrics to say that the database is away", func() bool {
		return metrics("jeton_database_up 0\n") && metrics("jeton_database_heard_age_seconds +Inf\n")
	})

	if err := proxy.Heal(); err != nil {
		t.Fatal(err)
	}

	until(t, "the metrics to say that the database is back", func() bool { return metrics("jeton_database_up 1\n") })
}

func TestNoMetricsOfADatabaseThatIsNotShared(t *testing.T) {
	s := jetontest.Start(t, shop())
	a := s.Send(http.DefaultClient, "GET", s.Admin()+"/metrics", "")
	if a.Status != 200 || strings.Contains(a.Body, "jeton_database") {
		t.Errorf("metrics = %d, with one of a database; want 200 and none", a.Status)
	}
}

// A proxy that keeps connections open must learn from a response that one closes. A server that
// closes an idle connection may do so just as the next request arrives.
func TestAStoppingServerClosesConnectionsAfterAResponse(t *testing.T) {
	s := jetontest.Start(t, "shutdown: {delay: 2s}\n"+shop())
	c := s.Client(jetontest.HTTP1())

	closes := func() bool {
		resp, err := c.Get(s.URL("shop") + "/open")
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()

		if resp.StatusCode != http.StatusOK {
			t.Errorf("status %d, want 200", resp.StatusCode)
		}

		return resp.Close
	}
	if closes() {
		t.Error("connection closed after an answer of a server that is up, want it kept")
	}

	s.Interrupt()
	until(t, "an answer that closes the connection", closes)
	s.Stop()
}

// A connection that was accepted before the stop is served: net/http would drop a request that
// it reads after it has begun to shut down.
func TestAStoppingServerAnswersTheLastRequest(t *testing.T) {
	s := jetontest.Start(t, "shutdown: {delay: 2s}\n"+shop())
	c := s.Client(jetontest.HTTP1())
	s.Interrupt()
	until(t, "the server to be stopping", func() bool {
		resp, err := c.Get(s.URL("shop") + "/open")
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()

		return resp.Close
	})

	conf := s.TLS()
	conf.NextProtos = []string{"http/1.1"}
	conn, err := tls.Dial("tcp", s.Addr("shop"), conf)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()

	waitClosed(t, s.Addr("shop"))
	if _, err := io.WriteString(conn, "GET /open HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
		t.Fatal(err)
	}

	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatalf("the last request has no answer: %v", err)
	}
	if resp.Body.Close(); resp.StatusCode != http.StatusOK || !resp.Close {
		t.Errorf("the last request: %d, and the connection closes: %t; want 200, true", resp.StatusCode, resp.Close)
	}

	s.Stop()
}

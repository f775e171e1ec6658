package postgres

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/test/pgtest"
)

const where = "db.example:5432/jeton"

// wantOpenError checks that a database does not open, and that the error names it, says what to do,
// and contains no secret.
func wantOpenError(t *testing.T, c Config, says ...string) {
	t.Helper()
	c.Where = where
	db, err := Open(t.Context(), c)
	if err == nil {
		_ = db.Close()
		t.Fatal("Open = nil, want an error")
	}

	for _, want := range append(says, where) {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("Open = %q, want %q in it", err, want)
		}
	}

	for _, secret := range []string{pgtest.Password, c.URL.Reveal(), "hunter2"} {
		if secret != "" && strings.Contains(err.Error(), secret) {
			t.Errorf("Open = %q, want no password in it", err)
		}
	}
}

// changeURL returns a changed URL.
func changeURL(t *testing.T, text string, change func(u *url.URL)) jeton.Secret {
	t.Helper()
	u, err := url.Parse(text)
	must(t, err)
	change(u)
	return jeton.NewSecret(u.String())
}

func TestADatabaseThatDoesNotOpenSaysWhatToDo(t *testing.T) {
	c := shared.Cluster(t)
	name := newDatabase(t, c)
	tcp := c.TCP(name)
	silent, err := net.Listen("tcp", "127.0.0.1:0") // accepts connections and sends nothing
	must(t, err)

	t.Cleanup(func() { _ = silent.Close() })
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	must(t, closed.Close())

	for _, tc := range []struct {
		name string
		url  jeton.Secret
		says []string
	}{
		{
			"no server",
			changeURL(t, tcp, func(u *url.URL) { u.Host = closed.Addr().String() }),
			[]string{"does not answer", "check that it runs"},
		},
		{
			"a server that sends nothing",
			changeURL(t, tcp, func(u *url.URL) { u.Host = silent.Addr().String() }),
			[]string{"does not answer"},
		},
		{
			"a wrong password",
			changeURL(t, tcp, func(u *url.URL) { u.User = url.UserPassword(pgtest.Role, "hunter2") }),
			[]string{"refuses this user", "pg_hba.conf"},
		},
		{
			"an unknown user",
			changeURL(t, tcp, func(u *url.URL) { u.User = url.UserPassword("unknown", "hunter2") }),
			[]string{"refuses this user"},
		},
		{
			"no such database",
			changeURL(t, tcp, func(u *url.URL) { u.Path = "/missing" }),
			[]string{"does not exist", "CREATE DATABASE"},
		},
		{"no URL", jeton.NewSecret("postgres://u:hunter2@[::1/x"), []string{"invalid URL"}},
		{"nothing", jeton.NewSecret("host=/nowhere password=hunter2 user=x dbname=y"), []string{"does not answer"}},
		{
			"a schema that is not there",
			changeURL(t, tcp, func(u *url.URL) { u.RawQuery += "&search_path=missing" }),
			[]string{"CREATE SCHEMA"},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			wantOpenError(t, Config{URL: tc.url, Connect: 500 * time.Millisecond}, tc.says...)
		})
	}
}

// TestADatabaseThatIsNotOursIsLeftAsItIs stands for a URL that names the wrong database.
func TestADatabaseThatIsNotOursIsLeftAsItIs(t *testing.T) {
	c := shared.Cluster(t)
	for _, tc := range []struct {
		name string
		harm []string // run in an empty database, or after Open
		open bool
		says []string
	}{
		{
			"tables of another program",
			[]string{"CREATE TABLE users (name TEXT)"},
			false,
			[]string{"another program", "search_path"},
		},
		{
			"another program's table of migrations",
			[]string{"CREATE TABLE migrations (version INT)"},
			false,
			[]string{"not ours", "another database"},
		},
		{
			"a newer schema that needs itself",
			[]string{`INSERT INTO migrations SELECT number + 1, '0099_later.sql', 'sum', number + 1, 0
FROM migrations ORDER BY number DESC LIMIT 1`},
			true,
			[]string{"newer version", "0099_later.sql", "run that version", "backup"},
		},
		{
			"a step with another past",
			[]string{"UPDATE migrations SET sum = 'other' WHERE number = 1"},
			true,
			[]string{"0001_first.sql", "another build"},
		},
		{
			"a user without its own schema",
			[]string{
				"ALTER SCHEMA public OWNER TO postgres",
				"REVOKE ALL ON SCHEMA public FROM PUBLIC, jeton",
				"GRANT USAGE ON SCHEMA public TO jeton",
			},
			false,
			[]string{"must own its schema"},
		},
		{
			"a database without writes, as a standby",
			[]string{"ALTER ROLE jeton IN DATABASE %s SET default_transaction_read_only = on"},
			false,
			[]string{"takes no writes", "standby"},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			name := newDatabase(t, c)
			if tc.open {
				must(t, openNode(t, c.URL(name), Config{}).Close())
			}

			for _, s := range tc.harm {
				must(t, c.Exec(t.Context(), name, strings.ReplaceAll(s, "%s", name)))
			}

			look := connect(t, c.Superuser(name))
			var before, after string
			queryRow(t, look, &before, tablesSQL)
			wantOpenError(t, Config{URL: jeton.NewSecret(c.TCP(name))}, tc.says...)

			queryRow(t, look, &after, tablesSQL)
			if after != before {
				t.Errorf("tables after Open = %s, want %s", after, before)
			}
		})
	}
}

// TestAnEmptySchemaBesideAnotherProgramIsUsed shares a database with another program, in a
// schema of its own.
func TestAnEmptySchemaBesideAnotherProgramIsUsed(t *testing.T) {
	c := shared.Cluster(t)
	name := newDatabase(t, c)
	must(
		t,
		c.Exec(
			t.Context(), name,
			"CREATE TABLE public.migrations (version INT); CREATE SCHEMA ours AUTHORIZATION jeton",
		),
	)
	db := openNode(t, c.URL(name)+"&search_path=ours,public", Config{})
	addUser(t, db, "diane")

	var n int
	queryRow(t, connect(t, c.Superuser(name)), &n, "SELECT count(*) FROM ours.users")

	if n != 1 {
		t.Errorf("%d users are in the schema, want 1", n)
	}
}

func TestTooManyConnectionsAreExplained(t *testing.T) {
	c := faulty.Cluster(t)
	name := newDatabase(t, c)
	t.Cleanup(func() { must(t, c.Exec(context.Background(), "postgres", "ALTER ROLE jeton CONNECTION LIMIT -1")) })
	must(t, c.Exec(t.Context(), "postgres", "ALTER ROLE jeton CONNECTION LIMIT 0"))
	wantOpenError(t, Config{
		URL: jeton.NewSecret(c.TCP(name)),
	}, "no connection left", "max_connections", "database.connections")
}

// tablesSQL lists the tables of a database, with how many columns each has.
const tablesSQL = `SELECT COALESCE(string_agg(relname || relnatts, ',' ORDER BY relname), '')
FROM pg_class WHERE relnamespace = 'public'::regnamespace`

// authority signs certificates.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	file string // its certificate, as PEM
}

// newAuthority makes a certificate authority for verify-full.
func newAuthority(t *testing.T) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	a := &authority{key: key, file: filepath.Join(t.TempDir(), "ca.pem")}

	a.cert = &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: "an authority"},
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(time.Hour),
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign,
	}

	der, err := x509.CreateCertificate(rand.Reader, a.cert, a.cert, &key.PublicKey, key)
	must(t, err)
	a.cert, err = x509.ParseCertificate(der)
	must(t, err)
	must(t, os.WriteFile(a.file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))

	return a
}

// server returns a certificate for a host and its key, as PEM.
func (a *authority) server(t *testing.T, host string) (cert, secret []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)

	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(2),
		Subject:      pkix.Name{CommonName: host},
		DNSNames:     []string{host},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(time.Hour),
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, a.cert, &key.PublicKey, a.key)

	must(t, err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	must(t, err)

	return pem.EncodeToMemory(&pem.Block{
		Type:  "CERTIFICATE",
		Bytes: der,
	}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})
}

func TestTLSVerifiesTheServer(t *testing.T) {
	c := faulty.Cluster(t)
	name := newDatabase(t, c)
	_, port, err := net.SplitHostPort(c.Addr())
	must(t, err)
	ours, theirs := newAuthority(t), newAuthority(t)

	at := func(host, ca string) Config {
		return Config{URL: changeURL(t, c.TCP(name), func(u *url.URL) {
			u.Host = net.JoinHostPort(host, port)
			u.RawQuery = "sslmode=verify-full&sslrootcert=" + url.QueryEscape(ca)
		})}
	}

	t.Run("a server without TLS", func(t *testing.T) {
		wantOpenError(t, at("localhost", ours.file), "does not offer TLS", "ssl = on")
	})

	cert, key := ours.server(t, "localhost")
	t.Cleanup(func() {
		for _, sql := range []string{"ALTER SYSTEM RESET ssl", "SELECT pg_reload_conf()"} {
			must(t, c.Exec(context.Background(), "postgres", sql))
		}
	})
	must(t, c.Secure(t.Context(), cert, key))
	t.Run("the right one", func(t *testing.T) {
		conf := at("localhost", ours.file)
		db := openImpatient(t, conf.URL.Reveal(), Config{})
		var encrypted int
		queryRow(t, connect(t, c.Superuser(name)), &encrypted, `SELECT count(*)
FROM pg_stat_ssl s JOIN pg_stat_activity a USING (pid) WHERE a.usename = 'jeton' AND s.ssl`)

		must(t, db.Ping(t.Context()))
		if encrypted == 0 {
			t.Error("no connection is encrypted, want some")
		}
	})

	t.Run("another authority", func(t *testing.T) {
		wantOpenError(t, at("localhost", theirs.file), "certificate", "sslrootcert")
	})

	t.Run("another host", func(t *testing.T) {
		wantOpenError(t, at("127.0.0.1", ours.file), "certificate", "127.0.0.1")
	})

	t.Run("no such file", func(t *testing.T) {
		missing := filepath.Join(t.TempDir(), "missing.pem")
		wantOpenError(t, at("localhost", missing), "sslrootcert")
	})
}

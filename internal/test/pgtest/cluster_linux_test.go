package pgtest_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/jeton-auth/jeton/internal/test/pgtest"
)

var postgres pgtest.Shared

func TestMain(m *testing.M) {
	if os.Getenv(orphan) != "" {
		os.Exit(startAndWait())
	}
	os.Exit(postgres.Main(m))
}

// dial connects, and closes with the test.
func dial(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}

	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

func execSQL(t *testing.T, conn *pgx.Conn, sql string) {
	t.Helper()
	if _, err := conn.Exec(t.Context(), sql); err != nil {
		t.Fatal(err)
	}
}

func ask[T any](t *testing.T, conn *pgx.Conn, sql string) T {
	t.Helper()
	var got T
	if err := conn.QueryRow(t.Context(), sql).Scan(&got); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}

	return got
}

func create(t *testing.T, c *pgtest.Cluster) string {
	t.Helper()
	db, err := c.Create(t.Context())
	if err != nil {
		t.Fatal(err)
	}

	return db
}

func TestDatabasesAreSeparate(t *testing.T) {
	one, two := dial(t, postgres.Database(t)), dial(t, postgres.Database(t))
	execSQL(t, one, `CREATE TABLE things (n int)`)

	if ask[bool](t, two, `SELECT to_regclass('things') IS NOT NULL`) {
		t.Error("the table of one database is in the other")
	}

	got := ask[string](t, one, `SELECT current_setting('server_encoding')`)
	if got != "UTF8" {
		t.Errorf("the encoding is %s, want UTF8", got)
	}
}

func TestADatabaseIsDroppedWhileItIsUsed(t *testing.T) {
	c := postgres.Cluster(t)
	url, drop, err := c.Database(t.Context())
	if err != nil {
		t.Fatal(err)
	}

	db := ask[string](t, dial(t, url), `SELECT current_database()`)
	drop()
	admin := dial(t, c.Superuser("postgres"))
	if ask[bool](t, admin, `SELECT EXISTS (SELECT FROM pg_database WHERE datname = '`+db+`')`) {
		t.Errorf("database %s is still there", db)
	}
}

func TestTheServerSyncs(t *testing.T) {
	conn := dial(t, postgres.Database(t))
	for _, setting := range []string{"fsync", "synchronous_commit", "full_page_writes"} {
		got := ask[string](t, conn, `SELECT current_setting('`+setting+`')`)
		if got != "on" {
			t.Errorf("%s is %s, want on", setting, got)
		}
	}
}

func TestEmptied(t *testing.T) {
	var cluster pgtest.Shared
	t.Cleanup(func() {
		if err := cluster.Close(); err != nil {
			t.Error(err)
		}
	})

	cluster.NoSync = true
	cluster.Cluster(t) // without PostgreSQL the test ends here

	prepared := 0
	prepare := func(url string) {
		prepared++
		conn := dial(t, url)
		execSQL(t, conn, `CREATE TABLE things (n INT GENERATED ALWAYS AS IDENTITY, name TEXT)`)
		execSQL(t, conn, `CREATE TABLE kept (n int)`)
		execSQL(t, conn, `INSERT INTO kept VALUES (1)`)
	}

	for _, name := range []string{"first", "second"} {
		t.Run(name, func(t *testing.T) {
			conn := dial(t, cluster.Emptied(t, prepare, "kept"))
			if n := ask[int](t, conn, `INSERT INTO things (name) VALUES ('x') RETURNING n`); n != 1 {
				t.Errorf("the first number = %d, want 1", n)
			}
			if n := ask[int](t, conn, `SELECT (SELECT count(*) FROM things) + (SELECT count(*) FROM kept)`); n != 2 {
				t.Errorf("%d rows, want the new one and the one to keep", n)
			}
			if got := ask[string](t, conn, `SELECT current_setting('fsync')`); got != "off" {
				t.Errorf("fsync = %s with NoSync, want off", got)
			}
		})
	}

	if prepared != 1 {
		t.Errorf("prepare ran %d times, want once", prepared)
	}
}

func TestAuthentication(t *testing.T) {
	c := postgres.Cluster(t)
	db := create(t, c)
	for _, tc := range []struct {
		name string
		url  string
		want string // SQLSTATE, "" for a connection
	}{
		{"the role by the socket needs no password", c.URL(db), ""},
		{"the role by TCP with its password", c.TCP(db), ""},
		{"the role by TCP with another password", strings.Replace(c.TCP(db), pgtest.Password, "guess", 1), "28P01"},
		{
			"the superuser by TCP, who has no password",
			strings.Replace(c.TCP(db), pgtest.Role+":", "postgres:", 1),
			"28P01",
		},
		{"the superuser by the socket", c.Superuser(db), ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			conn, err := pgx.Connect(t.Context(), tc.url)
			if err == nil {
				_ = conn.Close(t.Context())
			}

			var refused *pgconn.PgError
			switch {
			case tc.want == "" && err != nil:
				t.Error(err)
			case tc.want != "" && (!errors.As(err, &refused) || refused.Code != tc.want):
				t.Errorf("Connect = %v, want SQLSTATE %s", err, tc.want)
			}
		})
	}

	if ask[bool](t, dial(t, c.URL(db)), `SELECT rolsuper FROM pg_roles WHERE rolname = current_user`) {
		t.Error("the role is a superuser, want a role whose rights are limited")
	}
}

func TestExecInjectsFaults(t *testing.T) {
	c := postgres.Cluster(t)
	db := create(t, c)
	conn := dial(t, c.TCP(db))

	err := c.Exec(t.Context(), db, `ALTER DATABASE `+db+` SET default_transaction_read_only = on;
		SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '`+db+`' AND pid <> pg_backend_pid()`)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Exec(t.Context(), `SELECT 1`); err == nil {
		t.Error("the connection works after its termination")
	}

	var refused *pgconn.PgError

	_, err = dial(t, c.TCP(db)).Exec(t.Context(), `CREATE TABLE things (n int)`)
	if !errors.As(err, &refused) || refused.Code != "25006" {
		t.Errorf("CREATE TABLE = %v, want read_only_sql_transaction", err)
	}
	if err := c.Exec(t.Context(), db, `SELECT nonsense`); err == nil {
		t.Error("Exec of an invalid statement = nil, want an error")
	}
}

func TestCommittedRowsSurviveEveryEnd(t *testing.T) {
	c := pgtest.Start(t)
	db, addr := create(t, c), c.Addr()
	conn := dial(t, c.URL(db))
	execSQL(t, conn, `CREATE TABLE things (n int)`)

	for i, tc := range []struct {
		name string
		end  func() error
	}{
		{"a kill", c.Kill},
		{"a stop", c.Stop},
		{"a kill while it is paused", func() error { return errors.Join(c.Pause(), c.Kill()) }},
		{"a stop while it is paused", func() error { return errors.Join(c.Pause(), c.Stop()) }},
		{"a restart alone", func() error { return nil }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			conn := dial(t, c.URL(db))
			execSQL(t, conn, fmt.Sprintf(`INSERT INTO things VALUES (%d)`, i))
			execSQL(t, conn, `BEGIN`)
			execSQL(t, conn, `INSERT INTO things VALUES (-1)`)
			pids := servers(t, c)

			if err := tc.end(); err != nil {
				t.Fatal(err)
			}

			if tc.name != "a restart alone" {
				if l, err := net.Listen("tcp", addr); err != nil {
					t.Errorf("the port is in use after the end: %v", err)
				} else {
					_ = l.Close()
				}

				if err := c.Exec(t.Context(), db, ""); err == nil {
					t.Error("the server answers after its end")
				}

				ended(t, pids)
			}

			if err := c.Restart(t.Context()); err != nil {
				t.Fatal(err)
			}
			if c.Addr() != addr {
				t.Errorf("the address is %s after the restart, want %s", c.Addr(), addr)
			}

			again := dial(t, c.TCP(db))
			if got := ask[int](t, again, `SELECT count(*) FROM things WHERE n >= 0`); got != i+1 {
				t.Errorf("%d committed rows are left, want %d", got, i+1)
			}
			if got := ask[int](t, again, `SELECT count(*) FROM things WHERE n < 0`); got != 0 {
				t.Errorf("%d rows are there without a commit", got)
			}
		})
	}
}

func TestAPausedServerAnswersWhenItIsResumed(t *testing.T) {
	c := pgtest.Start(t)
	conn := dial(t, c.TCP("postgres"))

	if err := c.Pause(); err != nil {
		t.Fatal(err)
	}

	for _, pid := range servers(t, c) {
		// A worker that ended as the pause came stays a zombie: its parent is stopped and cannot reap it.
		s := state(pid)
		if s != "T" && s != "Z" {
			t.Errorf("process %d is in state %s, want T or Z", pid, s)
		}
	}

	answered := make(chan error, 1)
	go func() {
		_, err := conn.Exec(context.Background(), `SELECT 1`)
		answered <- err
	}()

	select {
	case err := <-answered:
		t.Fatalf("a paused server answered: %v", err)
	case <-time.After(50 * time.Millisecond): // absence cannot be proved, only given a chance
	}

	if err := c.Resume(); err != nil {
		t.Fatal(err)
	}
	if err := <-answered; err != nil {
		t.Errorf("the query during the pause = %v", err)
	}
	if err := c.Kill(); err != nil {
		t.Fatal(err)
	}

	if err := c.Pause(); err == nil {
		t.Error("Pause of a server that does not run = nil, want an error")
	}
}

func TestNothingIsLeftOfAClosedCluster(t *testing.T) {
	for _, tc := range []struct {
		name string
		dir  string
	}{
		{"in a short folder", ""},
		{"in a folder too long for a socket", strings.Repeat("long", 30)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			postgres.Cluster(t) // or there is none here
			top, err := os.MkdirTemp("", "pgtest-")
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = os.RemoveAll(top) }()

			dir := filepath.Join(top, tc.dir)
			if err := os.MkdirAll(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(top, 0o755); err != nil { // the user postgres must enter it
				t.Fatal(err)
			}

			c, err := pgtest.New(t.Context(), dir)
			if err != nil {
				t.Fatal(err)
			}

			socket := ask[string](
				t, dial(t, c.Superuser("postgres")), `SELECT current_setting('unix_socket_directories')`,
			)
			n := len(socket + "/.s.PGSQL.65535")
			if n >= 100 {
				t.Errorf("the path of the socket has %d bytes", n)
			}

			pids := servers(t, c)

			for range 2 { // twice is not an error
				if err := c.Close(); err != nil {
					t.Fatal(err)
				}
			}

			ended(t, pids)
			if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
				t.Errorf("the folder contains %v (%v), want nothing", left, err)
			}
			if _, err := os.Stat(socket); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("the folder of the socket still exists: %v", err)
			}

			if err := c.Restart(t.Context()); err == nil {
				t.Error("Restart of a closed cluster = nil, want an error")
			}
		})
	}
}

func TestNewReportsWhyThereIsNoCluster(t *testing.T) {
	postgres.Cluster(t) // or there is none here
	t.Run("a folder that does not exist", func(t *testing.T) {
		if _, err := pgtest.New(t.Context(), filepath.Join(t.TempDir(), "none")); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("New = %v, want os.ErrNotExist", err)
		}
	})

	t.Run("a context that has ended", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := pgtest.New(ctx, ""); !errors.Is(err, context.Canceled) {
			t.Errorf("New = %v, want context.Canceled", err)
		}
	})
}

// orphan makes the test binary a process that starts a cluster and waits to be killed.
const orphan = "JETON_PGTEST_ORPHAN"

func startAndWait() int {
	c, err := pgtest.New(context.Background(), os.Getenv(orphan))
	if err != nil {
		fmt.Println(err)
		return 1
	}

	conn, err := pgx.Connect(context.Background(), c.Superuser("postgres"))
	if err != nil {
		fmt.Println(err)
		return 1
	}

	var file string
	if err := conn.QueryRow(context.Background(), `SELECT current_setting('data_directory')`).Scan(&file); err != nil {
		fmt.Println(err)
		return 1
	}

	if os.Getenv(orphan+"_PAUSED") != "" {
		if err := c.Pause(); err != nil {
			fmt.Println(err)
			return 1
		}
	}

	fmt.Println(file)
	time.Sleep(10 * time.Minute) // it is killed long before

	return 1
}

func TestAServerEndsWithItsProcess(t *testing.T) {
	for _, tc := range []struct{ name, paused string }{
		{"while it runs", ""},
		{"while it is paused", "yes"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			postgres.Cluster(t) // or there is none here
			dir, err := os.MkdirTemp("", "pgtest-")
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = os.RemoveAll(dir) }()

			if err := os.Chmod(dir, 0o755); err != nil { // the user postgres must enter it
				t.Fatal(err)
			}

			cmd := exec.Command(os.Args[0])
			cmd.Env = append(os.Environ(), orphan+"="+dir, orphan+"_PAUSED="+tc.paused)
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}

			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}

			line := make([]byte, 4096)
			n, err := out.Read(line)
			if err != nil {
				t.Fatal(err)
			}

			pid, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(line[:n])), "postmaster.pid"))
			if err != nil {
				t.Errorf("%v: the process printed %s", err, line[:n])
			}

			pids := tree(t, string(pid))
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}

			_ = cmd.Wait()
			if len(pids) < 5 {
				t.Errorf("the server has the processes %v, want more", pids)
			}

			deadline := time.Now().Add(time.Minute)
			for _, pid := range pids {
				for s := state(pid); s != "" && s != "Z"; s = state(pid) {
					if time.Now().After(deadline) {
						_ = syscall.Kill(pid, syscall.SIGKILL)
						t.Fatalf("process %d is in state %s after its starter was killed", pid, s)
					}
					time.Sleep(10 * time.Millisecond)
				}
			}
		})
	}
}

// servers returns the processes of a server, the postmaster last.
func servers(t *testing.T, c *pgtest.Cluster) []int {
	t.Helper()
	pid, err := os.ReadFile(filepath.Join(c.Folder(), "data", "postmaster.pid"))
	if err != nil {
		t.Fatal(err)
	}

	return tree(t, string(pid))
}

// tree returns the processes of a server whose postmaster.pid this is, the postmaster last.
func tree(t *testing.T, file string) []int {
	t.Helper()
	first, _, _ := strings.Cut(file, "\n")
	postmaster, err := strconv.Atoi(first)
	if err != nil {
		t.Fatal(err)
	}

	list, err := pgtest.Children(postmaster)
	if err != nil {
		t.Fatal(err)
	}

	return append(list, postmaster)
}

func ended(t *testing.T, pids []int) {
	t.Helper()

	for _, pid := range pids {
		s := state(pid)
		if s != "" && s != "Z" {
			t.Errorf("process %d is still there", pid)
		}
	}
}

func state(pid int) string {
	s, _ := pgtest.Status(pid)
	return s
}

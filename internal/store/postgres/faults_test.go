package postgres

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/account"
	"github.com/jeton-auth/jeton/internal/count"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/secret"
	"github.com/jeton-auth/jeton/internal/test/pgtest"

	"github.com/jackc/pgx/v5"
)

// What is promised during a fault, and after it: see lateness for a machine that is busy.
const (
	answered = 4 * time.Second
	healthy  = 10 * time.Second
)

// lateness measures for how long this process did not get to run although it was due. A limit
// for what the store does has that many times the lateness on top: how long one thing may be
// late that is made of several steps.
type lateness struct {
	longest atomic.Int64
	stop    chan struct{}
}

// stepsOfAnAnswer is in how many places an answer may wait for the scheduler.
const stepsOfAnAnswer = 10

// measureLateness measures how late goroutines run on this machine. Limits are extended by
// that: a busy machine must not fail the test, and a slow store must.
func measureLateness(t *testing.T) *lateness {
	l := &lateness{stop: make(chan struct{})}
	go func() {
		const pause = 10 * time.Millisecond
		for {
			began := time.Now()
			select {
			case <-l.stop:
				return
			case <-time.After(pause):
				l.longest.Store(max(l.longest.Load(), int64(time.Since(began)-pause)))
			}
		}
	}()
	t.Cleanup(func() { close(l.stop) })

	return l
}

// allow returns a limit as this machine can keep it.
func (l *lateness) allow(limit time.Duration) time.Duration {
	return limit + stepsOfAnAnswer*time.Duration(l.longest.Load())
}

// fault is something that happens to a database.
type fault struct {
	name string
	hurt func(t *testing.T, f *setting)
	heal func(t *testing.T, f *setting)
	// gone: no request may be accepted from the bound on until it is healed.
	gone bool
}

// setting is where faults happen.
type setting struct {
	cluster *pgtest.Cluster
	db      string
	proxy   *pgtest.Proxy
	url     string // of the database by way of the proxy
	undo    func()
}

func (f *setting) execSQL(t *testing.T, text ...string) {
	t.Helper()
	for _, s := range text {
		must(t, f.cluster.Exec(t.Context(), f.db, s))
	}
}

func healed(t *testing.T, f *setting) { must(t, f.proxy.Heal()) }

// endAll ends all connections of the role, as a restart of the server does.
const endAll = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '" + pgtest.Role + "'"

// proxyFaults harm one database each, so that all of them can happen at the same time.
func proxyFaults() []fault {
	delay := func(d time.Duration) func(*testing.T, *setting) {
		return func(_ *testing.T, f *setting) { f.proxy.Delay(d) }
	}

	return []fault{
		{"the connection is cut", func(_ *testing.T, f *setting) { f.proxy.Cut() }, healed, true},
		{"packets are dropped silently", func(_ *testing.T, f *setting) { f.proxy.Hang() }, healed, true},
		{"each way takes 100 ms", delay(100 * time.Millisecond), healed, false},
		{"each way takes 2 s", delay(2 * time.Second), healed, true},
		{"each way takes 30 s", delay(30 * time.Second), healed, true},
		{
			"another program holds a table, and the pool runs dry",
			func(t *testing.T, f *setting) {
				users, uses := connect(t, f.cluster.URL(f.db)), connect(t, f.cluster.URL(f.db))
				for conn, table := range map[*pgx.Conn]string{users: "users", uses: "uses"} {
					execSQL(t, conn, "BEGIN")
					execSQL(t, conn, "LOCK TABLE "+table+" IN ACCESS EXCLUSIVE MODE")
				}

				f.undo = func() {
					execSQL(t, users, "ROLLBACK")
					execSQL(t, uses, "ROLLBACK")
				}
			},
			func(_ *testing.T, f *setting) { f.undo() },
			false,
		},
	}
}

// serverFaults harm the whole server, one after another.
func serverFaults() []fault {
	return []fault{
		{
			"it stands still",
			func(t *testing.T, f *setting) { must(t, f.cluster.Pause()) },
			func(t *testing.T, f *setting) { must(t, f.cluster.Resume()) },
			true,
		},
		{
			"it is killed",
			func(t *testing.T, f *setting) { must(t, f.cluster.Kill()) },
			func(t *testing.T, f *setting) { must(t, f.cluster.Restart(t.Context())) },
			true,
		},
		{
			"it is restarted",
			func(t *testing.T, f *setting) { must(t, f.cluster.Restart(t.Context())) },
			func(*testing.T, *setting) {},
			false,
		},
		{"it takes no writes", func(t *testing.T, f *setting) {
			f.execSQL(t, "ALTER SYSTEM SET default_transaction_read_only = on", "SELECT pg_reload_conf()")
		}, func(t *testing.T, f *setting) {
			f.execSQL(t, "ALTER SYSTEM RESET default_transaction_read_only", "SELECT pg_reload_conf()")
		}, false},
		{"it has no connection left", func(t *testing.T, f *setting) {
			f.execSQL(t, "ALTER ROLE "+pgtest.Role+" CONNECTION LIMIT 0", endAll)
		}, func(t *testing.T, f *setting) { f.execSQL(t, "ALTER ROLE "+pgtest.Role+" CONNECTION LIMIT -1") }, true},
		{
			"it ends connections at random",
			func(t *testing.T, f *setting) { f.execSQL(t, endAll+" AND random() < 0.5") },
			func(*testing.T, *setting) {},
			false,
		},
	}
}

// TestFaults injects faults while two nodes are under load. Whatever happens, callers are answered
// in time, no use is granted that is not counted, no lease outlives its bound, and everything
// works again soon after.
func TestFaults(t *testing.T) {
	cluster := faulty.Cluster(t)
	t.Run("of the connection", func(t *testing.T) {
		for _, f := range proxyFaults() {
			t.Run(f.name, func(t *testing.T) {
				t.Parallel()
				endure(t, cluster, f)
			})
		}
	})

	t.Run("of the server", func(t *testing.T) {
		for _, f := range serverFaults() {
			t.Run(f.name, func(t *testing.T) { endure(t, cluster, f) })
		}
	})
}

// load is what callers do to two nodes, and what came of it.
type load struct {
	nodes [2]*DB
	users []account.Account
	use   count.Use
	bound time.Duration

	gone    atomic.Pointer[time.Time] // since when no request may be accepted; nil: they may
	stopped atomic.Bool
	callers sync.WaitGroup

	granted atomic.Int64 // uses
	unknown atomic.Int64 // uses of unknown outcome
	wrong   atomic.Int64 // leases that were valid for too long
	slowest atomic.Int64
	logins  atomic.Int64
}

const loadLimit = 1 << 40

// startLoad opens two nodes and lets callers use them until the load is stopped.
func startLoad(t *testing.T, s *setting) *load {
	setup := openNode(t, s.cluster.URL(s.db), Config{})
	diane := addUser(t, setup, "diane")
	login := startSession(t, setup, diane, "one")

	l := &load{bound: 200 * time.Millisecond, use: use(login, policy.Budget{ID: 1, Max: loadLimit})}
	for i := range 5 {
		l.users = append(l.users, addUser(t, setup, fmt.Sprint("user", i)))
	}
	must(t, setup.Close())

	for i := range l.nodes {
		l.nodes[i] = openImpatient(t, s.url, Config{Connections: 6, Staleness: l.bound})
	}

	t.Cleanup(l.stop)
	for i := range 24 {
		l.callers.Go(func() {
			for !l.stopped.Load() {
				l.call(t, l.nodes[i%2], i)
			}
		})
	}

	return l
}

func (l *load) stop() {
	l.stopped.Store(true)
	l.callers.Wait()
}

// endure puts load on two nodes, injects a fault for two seconds, and checks that all is
// well soon after. The count must be exact.
func endure(t *testing.T, cluster *pgtest.Cluster, f fault) {
	s := &setting{cluster: cluster, db: newDatabase(t, cluster)}
	s.proxy, s.url = proxied(t, cluster, s.db)
	l := startLoad(t, s)
	late := measureLateness(t)

	time.Sleep(200 * time.Millisecond) // some load before
	f.hurt(t, s)
	if f.gone {
		now := time.Now()
		l.gone.Store(&now)
	}

	time.Sleep(2 * time.Second)
	l.gone.Store(nil)
	f.heal(t, s)

	healedAt := time.Now()
	for _, db := range l.nodes {
		l.waitUntilHealthy(t, db)
	}

	took := time.Since(healedAt)
	if took > late.allow(healthy) {
		t.Errorf("healthy %v after the fault, want at most %v", took, late.allow(healthy))
	}

	l.stop()
	l.check(t, late)
}

// waitUntilHealthy waits until a node reads, counts and changes again.
func (l *load) waitUntilHealthy(t *testing.T, db *DB) {
	eventually(t, "lease", func() bool { return db.Fresh(t.Context()) == nil && db.Ping(t.Context()) == nil })
	eventually(t, "use", func() bool { return l.spend(t, db) == nil })
	eventually(t, "login", func() bool { return l.login(t, db, 4) == nil })
}

// check compares what callers were answered with what is stored.
func (l *load) check(t *testing.T, late *lateness) {
	left, err := l.nodes[0].Left(t.Context(), l.use)
	must(t, err)

	used := loadLimit - left[0]
	granted, unknown := l.granted.Load(), l.unknown.Load()
	if used < granted || used > granted+unknown {
		t.Errorf("%d uses are stored, want %d granted and at most %d of unknown outcome", used, granted, unknown)
	}

	slowest := time.Duration(l.slowest.Load())
	if slowest > late.allow(answered) {
		t.Errorf("an answer took %v, want at most %v", slowest, late.allow(answered))
	}
	if n := l.wrong.Load(); n > 0 {
		t.Errorf("%d times a lease was valid after its bound, want 0", n)
	}

	t.Logf("granted %d, unknown %d, slowest answer %v", granted, unknown, slowest)
}

// call sends a node one request.
func (l *load) call(t *testing.T, db *DB, caller int) {
	began := time.Now()
	var err error
	switch caller % 6 {
	case 0:
		err = l.checkLease(t, db)
	case 1:
		_, err = db.FindSession(t.Context(), secret.HashOf("one"))
	case 2:
		err = l.login(t, db, caller/6)
	default:
		err = l.spend(t, db)
	}

	took := int64(time.Since(began))
	for slowest := l.slowest.Load(); took > slowest; slowest = l.slowest.Load() {
		if l.slowest.CompareAndSwap(slowest, took) {
			break
		}
	}

	if err != nil {
		if t.Context().Err() == nil {
			wantUnavailable(t, "a call", err)
		}
		time.Sleep(20 * time.Millisecond) // as a client that retries
	}

	time.Sleep(2 * time.Millisecond)
}

// checkLease counts a lease that is valid although the database was gone for the whole bound.
func (l *load) checkLease(t *testing.T, db *DB) error {
	gone := l.gone.Load()
	began := time.Now()
	err := db.Fresh(t.Context())
	if err == nil && gone != nil && began.Sub(*gone) >= l.bound && l.gone.Load() == gone {
		l.wrong.Add(1)
	}

	return err
}

// spend takes a use. One without an answer may have been taken.
func (l *load) spend(t *testing.T, db *DB) error {
	_, err := db.Spend(t.Context(), l.use)
	if err == nil {
		l.granted.Add(1)
	} else if errors.Is(err, jeton.ErrUnavailable) {
		l.unknown.Add(1)
	}

	return err
}

func (l *load) login(t *testing.T, db *DB, user int) error {
	in := newSession(l.users[user%len(l.users)], fmt.Sprint("more ", l.logins.Add(1)))
	in.Siblings = false
	in.Remember = noon
	err := db.StartSession(t.Context(), in, allow)

	return err
}

// TestADatabaseThatReturnsGetsFewConnections has many callers wait for a database that is away. When it is
// back, they open no more connections than the pool has.
func TestADatabaseThatReturnsGetsFewConnections(t *testing.T) {
	c := shared.Cluster(t)
	name := newDatabase(t, c)
	proxy, url := proxied(t, c, name)
	const most = 8
	db := openNode(t, url, Config{Connections: most, Staleness: 50 * time.Millisecond})
	u := addUser(t, db, "diane")
	login := startSession(t, db, u, "one")

	watch := connect(t, c.Superuser("postgres"))
	opened := func() (n int) {
		queryRow(t, watch, &n, "SELECT sessions FROM pg_stat_database WHERE datname = $1", name)
		return n
	}

	proxy.Cut()
	eventually(t, "notice of the loss", func() bool { return !db.link.isUp() })
	before := opened()
	var wg sync.WaitGroup
	var refused atomic.Int64
	for range 500 {
		wg.Go(func() {
			for {
				_, err := db.Spend(t.Context(), use(login, policy.Budget{ID: 1, Max: 1 << 40}))
				if err == nil {
					_, err = db.FindSession(t.Context(), secret.HashOf("one"))
				}
				if err == nil {
					return
				}

				_, hasTime := jeton.RetryAfter(err)
				if !hasTime || !errors.Is(err, jeton.ErrUnavailable) {
					t.Errorf("a call without a database = %v, want ErrUnavailable with a time to retry", err)
					return
				}

				refused.Add(1)
				time.Sleep(10 * time.Millisecond)
			}
		})
	}

	eventually(t, "2000 refusals", func() bool { return refused.Load() > 2000 })
	must(t, proxy.Heal())
	wg.Wait()
	const own = 4 // of the node protocol, and of a new registration
	if n := opened() - before; n > most+own {
		t.Errorf("500 callers opened %d connections, want at most %d", n, most+own)
	}

	left, err := db.Left(t.Context(), use(login, policy.Budget{ID: 1, Max: 500}))
	must(t, err)

	if left[0] > 0 {
		t.Errorf("%d of 500 uses are left, want 0", left[0])
	}
}

func TestARestartDropsTheCache(t *testing.T) {
	cluster := faulty.Cluster(t)
	name := newDatabase(t, cluster)
	db := openNode(t, cluster.TCP(name), Config{Staleness: 100 * time.Millisecond})
	received := record(db)
	startSession(t, db, addUser(t, db, "diane"), "one")

	for _, restart := range []func() error{
		func() error { return cluster.Restart(t.Context()) },
		func() error { return errors.Join(cluster.Kill(), cluster.Restart(t.Context())) },
	} {
		pollNow(t, db)
		received.take()
		must(t, restart())
		eventually(t, "lease", func() bool { return db.Fresh(t.Context()) == nil && received.count(everything) > 0 })
		var err error
		eventually(t, "answer", func() bool {
			_, err = db.FindSession(t.Context(), secret.HashOf("one"))
			return !errors.Is(err, jeton.ErrUnavailable)
		})

		must(t, err)
	}
}

// TestAStepCompletesWithoutItsCaller has a caller give up while its step commits.
func TestAStepCompletesWithoutItsCaller(t *testing.T) {
	url := shared.Database(t)
	db := openNode(t, url, Config{})
	received := record(db)
	startSession(t, db, addUser(t, db, "diane"), "one")
	through := block(t, url, "changes", atCommit)

	ctx, cancel := context.WithCancel(t.Context())
	answer := make(chan error, 1)
	go func() { answer <- endSession(ctx, db, "one") }()
	waitForLocks(t, connect(t, url), 1)
	cancel()

	through()
	// It no longer waits for the other nodes; there are none here.
	if err := <-answer; err != nil {
		wantUnavailable(t, "a logout whose caller has gone", err)
	}
	if received.count(sessionEnded("one")) != 1 {
		t.Errorf("the logout was published %d times, want once", received.count(sessionEnded("one")))
	}
}

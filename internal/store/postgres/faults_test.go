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
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/secret"
	"github.com/jeton-auth/jeton/internal/test/pgtest"

	"github.com/jackc/pgx/v5"
)

// What is promised while the database is hurt, and after. The rest is for a machine that is
// busy with other tests.
const (
	answered = 2*time.Second + 2*time.Second
	healthy  = 5*time.Second + 5*time.Second
)

// fault is something that happens to a database.
type fault struct {
	name string
	hurt func(t *testing.T, f *field)
	heal func(t *testing.T, f *field)
	// gone: nobody may be let through from the bound on until it is healed.
	gone bool
}

// field is where faults happen.
type field struct {
	cluster *pgtest.Cluster
	db      string
	proxy   *pgtest.Proxy
	undo    func()
}

func (f *field) execSQL(t *testing.T, text ...string) {
	t.Helper()
	for _, s := range text {
		must(t, f.cluster.Exec(t.Context(), f.db, s))
	}
}

func healed(t *testing.T, f *field) { must(t, f.proxy.Heal()) }

const endAll = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '" + pgtest.Role + "'"

func faults() []fault {
	delay := func(d time.Duration) func(*testing.T, *field) {
		return func(_ *testing.T, f *field) { f.proxy.Delay(d) }
	}

	return []fault{
		{"the line is cut", func(_ *testing.T, f *field) { f.proxy.Cut() }, healed, true},
		{"the line swallows everything", func(_ *testing.T, f *field) { f.proxy.Hang() }, healed, true},
		{"each way takes 100 ms", delay(100 * time.Millisecond), healed, false},
		{"each way takes 2 s", delay(2 * time.Second), healed, true},
		{"each way takes 30 s", delay(30 * time.Second), healed, true},
		{
			"it stands still",
			func(t *testing.T, f *field) { must(t, f.cluster.Pause()) },
			func(t *testing.T, f *field) { must(t, f.cluster.Resume()) },
			true,
		},
		{
			"it is killed",
			func(t *testing.T, f *field) { must(t, f.cluster.Kill()) },
			func(t *testing.T, f *field) { must(t, f.cluster.Restart(t.Context())) },
			true,
		},
		{
			"it is restarted",
			func(t *testing.T, f *field) { must(t, f.cluster.Restart(t.Context())) },
			func(*testing.T, *field) {},
			false,
		},
		{"it takes no writes", func(t *testing.T, f *field) {
			f.execSQL(t, "ALTER SYSTEM SET default_transaction_read_only = on", "SELECT pg_reload_conf()")
		}, func(t *testing.T, f *field) {
			f.execSQL(t, "ALTER SYSTEM RESET default_transaction_read_only", "SELECT pg_reload_conf()")
		}, false},
		{"it has no connection left", func(t *testing.T, f *field) {
			f.execSQL(t, "ALTER ROLE "+pgtest.Role+" CONNECTION LIMIT 0", endAll)
		}, func(t *testing.T, f *field) { f.execSQL(t, "ALTER ROLE "+pgtest.Role+" CONNECTION LIMIT -1") }, true},
		{
			"it ends connections at random",
			func(t *testing.T, f *field) { f.execSQL(t, endAll+" AND random() < 0.5") },
			func(*testing.T, *field) {},
			false,
		},
		{"another program holds a table, and the pool runs dry", func(t *testing.T, f *field) {
			users, uses := connect(t, f.cluster.URL(f.db)), connect(t, f.cluster.URL(f.db))
			for conn, table := range map[*pgx.Conn]string{users: "users", uses: "uses"} {
				execSQL(t, conn, "BEGIN")
				execSQL(t, conn, "LOCK TABLE "+table+" IN ACCESS EXCLUSIVE MODE")
			}

			f.undo = func() {
				execSQL(t, users, "ROLLBACK")
				execSQL(t, uses, "ROLLBACK")
			}
		}, func(_ *testing.T, f *field) { f.undo() }, false},
	}
}

// TestFaults hurts the database while two nodes are under load. Whatever happens, callers
// are answered in time, nothing is granted that is not counted, nobody is let in or logged
// out for it, and all is well soon after.
func TestFaults(t *testing.T) {
	cluster := pgtest.Start(t)
	for _, f := range faults() {
		t.Run(f.name, func(t *testing.T) { endure(t, cluster, f) })
	}
}

// load is what callers do to two nodes, and what came of it.
type load struct {
	nodes   []*DB
	use     func(db *DB) error
	login   func(db *DB, who int) error
	granted atomic.Int64 // uses that were answered yes
	unknown atomic.Int64 // uses of which nobody knows
	wrong   atomic.Int64 // judged from memory when that was too old
	slowest atomic.Int64
	logins  atomic.Int64
}

func endure(t *testing.T, cluster *pgtest.Cluster, f fault) {
	field := &field{cluster: cluster, db: newDatabase(t, cluster)}
	var url string
	field.proxy, url = proxied(t, cluster, field.db)
	const bound = 200 * time.Millisecond
	c := Config{Connections: 6, Staleness: bound}
	l := &load{nodes: []*DB{openImpatient(t, url, c), openImpatient(t, url, c)}}
	u := addUser(t, l.nodes[0], "diane")
	login := startSession(t, l.nodes[0], u, "one")

	const most = 1 << 40
	budget := policy.Budget{ID: 1, Max: most}
	l.use = func(db *DB) error { _, err := db.Spend(t.Context(), use(login, budget)); return err }
	var people []account.Account
	for i := range 5 {
		people = append(people, addUser(t, l.nodes[0], fmt.Sprint("person", i)))
	}

	l.login = func(db *DB, who int) error {
		in := newSession(people[who%len(people)], fmt.Sprint("more ", l.logins.Add(1)))
		in.Siblings, in.Remember = false, noon
		_, _, err := db.StartSession(t.Context(), in, allow)
		return err
	}

	var wg sync.WaitGroup
	var stop atomic.Bool
	var gone atomic.Pointer[time.Time] // since when nobody may be let through

	defer func() {
		stop.Store(true)
		wg.Wait()
	}()

	for i := range 24 {
		wg.Go(func() {
			for !stop.Load() {
				l.ask(t, l.nodes[i%2], i, &gone, bound)
			}
		})
	}

	time.Sleep(200 * time.Millisecond) // some load before
	f.hurt(t, field)
	now := time.Now()

	if f.gone {
		gone.Store(&now)
	}

	time.Sleep(2 * time.Second)
	gone.Store(nil)
	f.heal(t, field)
	back := time.Now()

	for _, db := range l.nodes {
		eventually(t, "health", func() bool { return db.Fresh(t.Context()) == nil && db.Ping(t.Context()) == nil })
		eventually(t, "a use", func() bool {
			err := l.use(db)
			l.count(err)
			return err == nil
		})

		eventually(t, "a login", func() bool { return l.login(db, 4) == nil })
	}

	took := time.Since(back)
	if took > healthy {
		t.Errorf("it took %v until all was well again", took)
	}

	stop.Store(true)
	wg.Wait()
	left, err := l.nodes[0].Left(t.Context(), use(login, budget))
	must(t, err)
	used := most - left[0]
	if g, n := l.granted.Load(), l.unknown.Load(); used < g || used > g+n {
		t.Errorf("%d uses were granted and of %d nobody knows, and %d are counted", g, n, used)
	}

	slow := time.Duration(l.slowest.Load())
	if slow > answered {
		t.Errorf("an answer took %v", slow)
	}
	if n := l.wrong.Load(); n > 0 {
		t.Errorf("%d times memory was judged from that was too old", n)
	}

	t.Logf(
		"granted %d, unknown %d, slowest %v, well again after %v",
		l.granted.Load(),
		l.unknown.Load(),
		time.Duration(l.slowest.Load()),
		time.Since(back),
	)
}

// ask asks a node one thing.
func (l *load) ask(t *testing.T, db *DB, i int, gone *atomic.Pointer[time.Time], bound time.Duration) {
	since := gone.Load()
	began := time.Now()
	var err error

	switch i % 6 {
	case 0:
		// Whoever begins a bound after the database has gone has nothing to judge from.
		if err = db.Fresh(t.Context()); err == nil && since != nil && began.Sub(*since) >= bound &&
			gone.Load() == since {
			l.wrong.Add(1)
		}
	case 1:
		_, err = db.FindSession(t.Context(), secret.HashOf("one"))
	case 2:
		err = l.login(db, i/6)
	default:
		err = l.use(db)
		l.count(err)
	}

	took := time.Since(began)
	for old := l.slowest.Load(); int64(took) > old && !l.slowest.CompareAndSwap(
		old,
		int64(took),
	); old = l.slowest.Load() {
	}

	if err != nil {
		if t.Context().Err() == nil {
			wantUnavailable(t, "a call", err)
		}
		time.Sleep(20 * time.Millisecond) // as one who was told to come again
	}

	time.Sleep(2 * time.Millisecond)
}

func (l *load) count(err error) {
	if err == nil {
		l.granted.Add(1)
	} else if errors.Is(err, jeton.ErrUnavailable) {
		l.unknown.Add(1)
	}
}

// TestNoHerdComesWithTheReturn lets many wait for a database that is away. As it comes back
// they get no more connections than there are in the pool.
func TestNoHerdComesWithTheReturn(t *testing.T) {
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
	eventually(t, "the loss to be noticed", func() bool { return !db.link.isUp() })
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

				_, told := jeton.RetryAfter(err)
				if !told || !errors.Is(err, jeton.ErrUnavailable) {
					t.Errorf("while it is known to be away: %v, want ErrUnavailable and when to come again", err)
					return
				}

				refused.Add(1)
				time.Sleep(10 * time.Millisecond)
			}
		})
	}

	eventually(t, "everybody to be refused", func() bool { return refused.Load() > 2000 })
	must(t, proxy.Heal())
	wg.Wait()
	const own = 4 // that hear of changes, and begin anew
	if n := opened() - before; n > most+own {
		t.Errorf("500 callers opened %d connections, want at most %d", n, most+own)
	}

	left, err := db.Left(t.Context(), use(login, policy.Budget{ID: 1, Max: 500}))
	must(t, err)

	if left[0] != 0 && left[0] > 0 {
		t.Errorf("%d of 500 uses are not counted", left[0])
	}
}

func TestARestartMakesEverythingBeDropped(t *testing.T) {
	cluster := pgtest.Start(t)
	name := newDatabase(t, cluster)
	db := openImpatient(t, cluster.TCP(name), Config{Staleness: 100 * time.Millisecond})
	ear := record(db)
	startSession(t, db, addUser(t, db, "diane"), "one")

	for _, restart := range []func() error{
		func() error { return cluster.Restart(t.Context()) },
		func() error { return errors.Join(cluster.Kill(), cluster.Restart(t.Context())) },
	} {
		pollNow(t, db)
		ear.take()
		must(t, restart())
		eventually(t, "the node to judge again", func() bool { return db.Fresh(t.Context()) == nil && ear.count(everything) > 0 })
		var err error
		eventually(t, "an answer", func() bool {
			_, err = db.FindSession(t.Context(), secret.HashOf("one"))
			return !errors.Is(err, jeton.ErrUnavailable)
		})

		must(t, err)
	}
}

// TestACallerWhoGoesAwayLosesNothing checks that a step whose caller has gone comes to its end.
func TestACallerWhoGoesAwayLosesNothing(t *testing.T) {
	url := shared.Database(t)
	db := openNode(t, url, Config{})
	ear := record(db)
	startSession(t, db, addUser(t, db, "diane"), "one")
	through := block(t, url, "changes", atCommit)

	ctx, cancel := context.WithCancel(t.Context())
	answer := make(chan error, 1)
	go func() { answer <- endSession(ctx, db, "one") }()
	waitForLocks(t, connect(t, url), 1)
	cancel()

	through()
	// Whether the others have heard is not waited for any more; there are none here.
	if err := <-answer; err != nil {
		wantUnavailable(t, "an end whose caller has gone", err)
	}
	if ear.count(sessionEnded("one")) != 1 {
		t.Errorf("the end was told %d times", ear.count(sessionEnded("one")))
	}
}

package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/account"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/count"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/secret"
	"github.com/jeton-auth/jeton/internal/session"
	"github.com/jeton-auth/jeton/internal/store/change"
	"github.com/jeton-auth/jeton/internal/store/statements"
	"github.com/jeton-auth/jeton/internal/ticket"

	lib "modernc.org/sqlite/lib"
)

var noon = time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)

// bench is a store with one session whose uses are counted.
type bench struct {
	*DB
	path string
	use  count.Use
}

func newBench(t testing.TB) *bench {
	t.Helper()
	b := &bench{path: filepath.Join(t.TempDir(), "jeton.db")}
	b.DB = opened(t, b.path)
	b.fill(t)
	return b
}

// do runs a step that publishes no change.
func (b *bench) do(ctx context.Context, run func(ctx context.Context, tx statements.Conn) error) error {
	return engine{b.DB}.Do(ctx, statements.Step{
		Run: func(ctx context.Context, tx statements.Conn) ([]change.Change, error) { return nil, run(ctx, tx) },
	})
}

// fill makes the session.
func (b *bench) fill(t testing.TB) {
	t.Helper()
	must(t, b.AddUser(t.Context(), account.Account{
		Name:     "diane",
		Folded:   "diane",
		Password: "hash",
		Version:  1,
	}, jeton.Event{}))

	u, err := b.FindUser(t.Context(), "diane")
	must(t, err)
	id, err := b.BudgetID(t.Context(), "shop", "*")
	must(t, err)

	must(t, b.StartSession(t.Context(), session.Start{
		Record: session.Record{
			ID:       "s_one",
			Hash:     secret.HashOf("one"),
			User:     u.ID,
			Service:  "shop",
			Created:  noon,
			Expires:  noon.Add(time.Hour),
			LastUsed: noon,
		},
		Version: u.Version,
	}, func(policy.History) ([]int64, error) { return nil, nil }))

	sess, err := b.FindSession(t.Context(), secret.HashOf("one"))
	must(t, err)
	b.use = count.Use{Holder: sess.Login, Budgets: []policy.Budget{{ID: id, Name: "*", Max: 3}}}
}

// left checks how many uses are left.
func (b *bench) left(t *testing.T, want int64) {
	t.Helper()
	left, err := b.Left(t.Context(), b.use)
	if err != nil || left[0] != want {
		t.Errorf("Left = %v, %v, want %d", left, err, want)
	}
}

// hold keeps the writer busy until the returned function is called, so that whatever is
// asked for meanwhile shares the next commit.
func (b *bench) hold(t *testing.T) (release func()) {
	t.Helper()
	busy := make(chan struct{})
	free := make(chan struct{})
	done := make(chan error, 1)
	go func() {
		done <- b.do(context.WithoutCancel(t.Context()), func(context.Context, statements.Conn) error {
			close(busy)
			<-free
			return nil
		})
	}()

	<-busy
	release = sync.OnceFunc(func() {
		close(free)
		if err := <-done; err != nil {
			t.Errorf("the step that held the writer: %v", err)
		}
	})

	t.Cleanup(release)

	return release
}

// queued waits until n steps wait for the writer.
func (b *bench) queued(t *testing.T, n int) {
	t.Helper()

	for end := time.Now().Add(5 * time.Second); len(b.writer.jobs) < n; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d steps wait, want %d", len(b.writer.jobs), n)
		}
	}
}

// pragma runs a statement on the connection of the writer.
func (b *bench) pragma(t *testing.T, text string) {
	t.Helper()
	must(t, b.do(t.Context(), func(ctx context.Context, tx statements.Conn) error {
		_, err := tx.Exec(ctx, text)
		return err
	}))
}

// together has calls made while the writer is held, so that one commit carries all.
func (b *bench) together(t *testing.T, calls ...func() error) []error {
	t.Helper()
	errs := make([]error, len(calls))
	release := b.hold(t)
	var wg sync.WaitGroup
	for i, call := range calls {
		wg.Go(func() { errs[i] = call() })
	}

	b.queued(t, len(calls))
	release()
	wg.Wait()

	return errs
}

func (b *bench) spend(t *testing.T) func() error {
	return func() error {
		_, err := b.Spend(t.Context(), b.use)
		return err
	}
}

func (b *bench) append(t *testing.T, reason string) func() error {
	return func() error {
		return b.Append(t.Context(), []jeton.Event{{Action: audit.Request, Reason: reason}})
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func same(t *testing.T, what string, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s: %+v, want %+v", what, got, want)
	}
}

func TestAFailingStepDoesNotAffectOthersOfItsCommit(t *testing.T) {
	b := newBench(t)
	odd := errors.New("changed its mind")

	errs := b.together(t,
		b.spend(t),
		func() error {
			return b.do(t.Context(), func(ctx context.Context, tx statements.Conn) error {
				const add = `INSERT INTO audit
(at, request, actor, action, target, service, outcome, reason, source, checks)
VALUES (0, '', '', 'taken back', '', '', '', '', '', '')`
				if _, err := tx.Exec(ctx, add); err != nil {
					return err
				}
				return odd
			})
		},
		func() error {
			return b.AddUser(t.Context(), account.Account{
				Name:   "Diane",
				Folded: "diane",
			}, jeton.Event{Action: "taken back"})
		},
		func() error {
			return b.do(t.Context(), func(ctx context.Context, tx statements.Conn) error {
				_, err := tx.Exec(ctx, "INSERT INTO no_such_table VALUES (1)")
				return err
			})
		},
		func() error {
			return b.AddUser(t.Context(), account.Account{Name: "carl", Folded: "carl"}, jeton.Event{Action: "kept"})
		},
		b.spend(t),
	)

	for i, want := range []error{nil, odd, jeton.ErrConflict, jeton.ErrUnavailable, nil, nil} {
		if !errors.Is(errs[i], want) {
			t.Errorf("step %d: %v, want %v", i, errs[i], want)
		}
	}

	if !errors.Is(errs[1], jeton.ErrUnavailable) {
		t.Errorf("a step with another error = %v, want ErrUnavailable", errs[1])
	}

	b.left(t, 1)
	if _, err := b.FindUser(t.Context(), "carl"); err != nil {
		t.Errorf("another step of the commit: %v", err)
	}

	events, err := b.Events(t.Context(), audit.Filter{})
	must(t, err)

	for _, e := range events {
		if e.Action == "taken back" {
			t.Error("a failed step has added an event")
		}
	}
}

// TestOnlyCommitsOfLooseStepsAreNotSynced asks the connection how it commits.
func TestOnlyCommitsOfLooseStepsAreNotSynced(t *testing.T) {
	b := newBench(t)
	level := func(loose bool, got *string) func() error {
		return func() error {
			return engine{b.DB}.Do(t.Context(), statements.Step{
				Loose: loose,
				Run: func(ctx context.Context, tx statements.Conn) ([]change.Change, error) {
					var n int
					err := tx.QueryRow(ctx, "PRAGMA synchronous").Scan(&n)
					*got = []string{"OFF", "NORMAL", "FULL"}[n]

					return nil, err
				},
			})
		}
	}

	for _, tc := range []struct {
		name  string
		loose []bool
		want  string
	}{
		{"one step", []bool{false}, "FULL"},
		{"one loose step", []bool{true}, "NORMAL"},
		{"two loose steps", []bool{true, true}, "NORMAL"},
		{"a step beside a loose one", []bool{true, false}, "FULL"},
		{"a step after loose ones", []bool{false}, "FULL"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := make([]string, len(tc.loose))
			var steps []func() error
			for i, loose := range tc.loose {
				steps = append(steps, level(loose, &got[i]))
			}
			must(t, errors.Join(b.together(t, steps...)...))

			for i, one := range got {
				if one != tc.want {
					t.Errorf("step %d is committed with synchronous=%s, want %s", i, one, tc.want)
				}
			}
		})
	}
}

// TestACodeIsNotSyncedAndTakenDurably: a sign-in waits for the disk once.
func TestACodeIsNotSyncedAndTakenDurably(t *testing.T) {
	b := newBench(t)
	tickets := ticket.New(ticket.Config{Store: b.DB, Now: func() time.Time { return noon }})

	for _, tc := range []struct {
		purpose ticket.Purpose
		loose   bool
	}{
		{ticket.Code, true},
		{ticket.Passkey, true},
		{ticket.SignIn, false},
		{ticket.Setup, false},
	} {
		text, err := tickets.Issue(t.Context(), ticket.Ticket{Purpose: tc.purpose, Expires: noon.Add(time.Minute)})
		must(t, err)
		if got := b.writer.unsynced; got != tc.loose { // the writer has answered, and waits
			t.Errorf("a ticket for %s is stored unsynced = %t, want %t", tc.purpose, got, tc.loose)
		}

		_, err = tickets.Take(t.Context(), tc.purpose, text.Reveal())
		must(t, err)
		if b.writer.unsynced {
			t.Errorf("a ticket for %s is taken unsynced, want it on the disk", tc.purpose)
		}
	}
}

// TestAFullFileGrantsNothing lets a commit fail for lack of space: what is not on disk is
// not granted.
func TestAFullFileGrantsNothing(t *testing.T) {
	b := newBench(t)
	b.pragma(t, "PRAGMA max_page_count = 1") // which SQLite raises to what the file has
	errs := b.together(t, b.spend(t), b.append(t, "small"), b.append(t, strings.Repeat("large", 100_000)), b.spend(t))
	for i, err := range errs {
		if !errors.Is(err, jeton.ErrUnavailable) || code(err) != lib.SQLITE_FULL {
			t.Errorf("step %d of a commit that did not fit: %v, want ErrUnavailable, because the file is full", i, err)
		}
	}

	b.left(t, 3)
	if _, err := b.FindSession(t.Context(), secret.HashOf("one")); err != nil {
		t.Errorf("FindSession while nothing can be written: %v", err)
	}

	b.pragma(t, "PRAGMA max_page_count = 1000000")
	must(t, b.append(t, strings.Repeat("large", 100_000))())
	must(t, b.spend(t)())
	b.left(t, 2)
	must(t, b.Close())

	b.DB = opened(t, b.path)
	b.left(t, 2)
}

// rival opens the file as another program would and takes the lock for writing.
func rival(t *testing.T, path string) (release func()) {
	t.Helper()
	other, err := sql.Open("sqlite", "file:"+path)
	must(t, err)
	conn, err := other.Conn(t.Context())
	must(t, err)

	_, err = conn.ExecContext(t.Context(), "BEGIN IMMEDIATE")
	must(t, err)
	release = sync.OnceFunc(func() { _, _ = conn.Close(), other.Close() })
	t.Cleanup(release)

	return release
}

func TestALockedFileGrantsNothing(t *testing.T) {
	b := newBench(t)
	b.pragma(t, "PRAGMA busy_timeout = 50")
	release := rival(t, b.path)
	var wg sync.WaitGroup
	for range 5 {
		wg.Go(func() {
			if err := b.spend(t)(); !errors.Is(err, jeton.ErrUnavailable) || code(err) != lib.SQLITE_BUSY {
				t.Errorf("Spend while another holds the file: %v, want ErrUnavailable, because it is busy", err)
			}
		})
	}

	wg.Wait()
	b.left(t, 3)
	release()
	must(t, b.spend(t)())
	b.left(t, 2)
}

// TestACallerGetsAnErrorWhenNoCommitComes blocks the writer: callers are answered within
// their patience, whatever the disk does.
func TestACallerGetsAnErrorWhenNoCommitComes(t *testing.T) {
	b := newBench(t)
	b.writer.patience = 100 * time.Millisecond
	release := rival(t, b.path)

	if err := b.spend(t)(); !errors.Is(
		err,
		jeton.ErrUnavailable,
	) || !strings.Contains(err.Error(), "no commit within") {
		t.Errorf("Spend: %v, want ErrUnavailable because no commit came", err)
	}

	b.writer.patience = time.Minute
	release()
	b.writer.patience = patience
	must(t, b.Append(t.Context(), []jeton.Event{{}})) // comes after what was waiting
	b.left(t, 2)                                      // an unknown outcome counts as used
}

func TestACallerThatCancelsDoesNotAffectOthers(t *testing.T) {
	b := newBench(t)
	ctx, goAway := context.WithCancel(t.Context())
	pw, yes := "new", true

	calls := []func() error{
		func() error { _, err := b.Spend(ctx, b.use); return err },
		func() error {
			_, err := b.EndSessions(ctx, session.Which{ID: "s_none"}, jeton.Event{})
			return err
		},
		func() error {
			err := b.StartSession(ctx, session.Start{}, func(policy.History) ([]int64, error) { return nil, nil })
			return err
		},
		func() error { _, err := b.BudgetID(ctx, "shop", "new"); return err },
		func() error { _, err := b.SweepSessions(ctx, noon, 1); return err },
		func() error { _, err := b.Forget(ctx, noon, 1); return err },
		func() error {
			err := b.ChangeUser(ctx, "carl", account.Change{Password: &pw, Disabled: &yes}, noon, jeton.Event{})
			return err
		},
		func() error { return b.RemoveUser(ctx, "carl", false, jeton.Event{}) },
		func() error {
			err := b.DeclareUsers(ctx, []account.Account{{
				Name:     "ben",
				Folded:   "ben",
				Declared: true,
			}}, noon, jeton.Event{})

			return err
		},
	}

	must(t, b.AddUser(t.Context(), account.Account{Name: "carl", Folded: "carl"}, jeton.Event{}))
	release := b.hold(t)
	var wg sync.WaitGroup
	for i, call := range calls {
		wg.Go(func() {
			if err := call(); !errors.Is(err, jeton.ErrUnavailable) || !errors.Is(err, context.Canceled) {
				t.Errorf("call %d of a cancelled caller: %v, want ErrUnavailable", i, err)
			}
		})
	}

	b.queued(t, len(calls))
	var stayed sync.WaitGroup
	for range 2 {
		stayed.Go(func() {
			if err := b.spend(t)(); err != nil {
				t.Errorf("Spend of a caller that did not cancel: %v", err)
			}
		})
	}

	b.queued(t, len(calls)+2)
	goAway()
	wg.Wait()
	release()
	stayed.Wait()

	b.left(t, 0)
}

func TestAFullQueueIsBusy(t *testing.T) {
	b := newBench(t)
	release := b.hold(t)

	for range waiting {
		b.writer.jobs <- &job{
			run:  func(context.Context, statements.Conn) ([]change.Change, error) { return nil, nil },
			done: make(chan struct{}, 1),
		}
	}

	for name, call := range map[string]func() error{"Spend": b.spend(t), "Append": b.append(t, "")} {
		err := call()
		if wait, ok := jeton.RetryAfter(err); !errors.Is(err, jeton.ErrBusy) || !ok || wait <= 0 {
			t.Errorf("%s into a full queue: %v (wait %v), want ErrBusy with a time to retry", name, err, wait)
		}
	}

	release()

	for len(b.writer.jobs) == waiting {
		time.Sleep(time.Millisecond)
	}

	must(t, b.append(t, "")()) // behind all of them
	b.left(t, 3)
}

func TestClosingAnswersWaitingCallers(t *testing.T) {
	b := newBench(t)
	release := b.hold(t)
	errs := make(chan error, 3)
	for range cap(errs) {
		go func() { errs <- b.spend(t)() }()
	}

	b.queued(t, cap(errs))
	closed := make(chan error)
	go func() { closed <- b.Close() }()
	<-b.writer.quit

	if err := b.spend(t)(); !errors.Is(err, jeton.ErrUnavailable) {
		t.Errorf("Spend of a store that is being closed: %v, want ErrUnavailable", err)
	}

	release()
	must(t, <-closed)

	for range cap(errs) {
		if err := <-errs; err != nil {
			t.Errorf("Spend that waited while the store closed: %v", err)
		}
	}

	b.DB = opened(t, b.path)
	b.left(t, 0)
}

// TestCountsAreDeletedWithTheirSessions reads the table: the store does not show counts that
// were left, but they would fill the disk.
func TestCountsAreDeletedWithTheirSessions(t *testing.T) {
	for name, end := range map[string]func(b *bench) error{
		"ended": func(b *bench) error {
			_, err := b.EndSessions(t.Context(), session.Which{ID: "s_one"}, jeton.Event{})
			return err
		},
		"swept": func(b *bench) error {
			_, err := b.SweepSessions(t.Context(), noon.Add(24*time.Hour), 10)
			return err
		},
		"removed": func(b *bench) error {
			err := b.RemoveUser(t.Context(), "diane", false, jeton.Event{})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			must(t, b.spend(t)())
			must(t, end(b))
			var n int
			must(t, b.read.QueryRowContext(t.Context(), "SELECT count(*) FROM uses").Scan(&n))

			if n != 0 {
				t.Errorf("%d counts are left, want none", n)
			}
		})
	}
}

// TestConnectionsThatAreNotUsedAreClosed reads over several connections at once, which then have nothing to do.
func TestConnectionsThatAreNotUsedAreClosed(t *testing.T) {
	db, err := Open(t.Context(), Config{Path: filepath.Join(t.TempDir(), "jeton.db"), Idle: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })

	var held []*sql.Conn
	for range 3 {
		c, err := db.read.Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		held = append(held, c)
	}
	for _, c := range held {
		must(t, c.Close())
	}

	// The pool closes them without an event.
	for end := time.Now().Add(2 * time.Minute); db.read.Stats().OpenConnections > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d connections are open, want none", db.read.Stats().OpenConnections)
		}
	}

	// The next reader gets a new one.
	if _, err := db.CountSessions(t.Context(), "", noon); err != nil {
		t.Errorf("CountSessions after all connections were closed: %v", err)
	}
}

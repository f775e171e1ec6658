package session

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/secret"
	"github.com/jeton-auth/jeton/internal/store/change"
)

// TestADroppedSessionIsNotPutBack holds a reader between the result of the store and the
// cache, ends the session, and lets the reader go on.
func TestADroppedSessionIsNotPutBack(t *testing.T) {
	for name, end := range map[string]func(*bench, Started) error{
		"ended by id": func(b *bench, s Started) error {
			_, err := b.End(t.Context(), Which{ID: s.ID}, jeton.Event{})
			return err
		},
		"ended by user": func(b *bench, _ Started) error {
			_, err := b.End(t.Context(), Which{User: "diane"}, jeton.Event{})
			return err
		},
		"forgotten": func(b *bench, _ Started) error {
			b.m.mu.Lock()
			clear(b.m.sessions)
			b.m.mu.Unlock()
			b.m.Publish(change.Change{Kind: change.Users, IDs: []int64{diane.ID}})
			return nil
		},
		"forgotten with all others": func(b *bench, _ Started) error {
			b.m.mu.Lock()
			clear(b.m.sessions)
			b.m.mu.Unlock()
			b.m.Publish(change.Change{Kind: change.All})
			return nil
		},
		"evicted": func(b *bench, _ Started) error {
			b.m.history = policy.History{
				Open: []policy.OpenSession{{
					Login:    1,
					Closes:   noon.Add(time.Hour),
					LastUsed: noon,
					Idle:     time.Hour,
				}},
			}

			tm := terms
			tm.MaxSessions, tm.WhenFull = 1, policy.EvictOldest
			_, err := b.Start(t.Context(), diane, "shop", tm, jeton.Event{})

			return err
		},
		"ended by a call whose outcome was lost": func(b *bench, s Started) error {
			b.m.lost = true
			_, _ = b.End(t.Context(), Which{ID: s.ID}, jeton.Event{})
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(64 * 64)
			s := b.start(t)
			reading, goOn := make(chan struct{}), make(chan struct{})
			b.m.found = sync.OnceFunc(func() { close(reading); <-goOn })
			var wg sync.WaitGroup
			wg.Go(func() {
				if _, err := b.find(t, s); err != nil {
					t.Errorf("Find that began before the end = %v", err)
				}
			})

			<-reading
			if err := end(b, s); err != nil {
				t.Fatal(err)
			}

			close(goOn)
			wg.Wait()

			if _, err := b.find(t, s); !errors.Is(err, jeton.ErrBadCredential) {
				t.Errorf("Find after the end = %v, want ErrBadCredential", err)
			}
		})
	}
}

// TestAnEndWithALostOutcomeActs ends sessions in the store while the answer is lost, as
// when the caller went away or the commit took too long.
func TestAnEndWithALostOutcomeActs(t *testing.T) {
	for name, which := range map[string]func(s Started) Which{
		"by id":              func(s Started) Which { return Which{ID: s.ID} },
		"by user":            func(Started) Which { return Which{User: "diane"} },
		"by service":         func(Started) Which { return Which{Service: "shop"} },
		"by user at service": func(Started) Which { return Which{User: "diane", Service: "shop"} },
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(64 * 64)
			s := b.start(t)
			b.live(t, s)
			b.m.lost = true

			if _, err := b.End(t.Context(), which(s), jeton.Event{}); !errors.Is(err, jeton.ErrUnavailable) {
				t.Fatal(err)
			}
			if _, err := b.find(t, s); !errors.Is(err, jeton.ErrBadCredential) {
				t.Errorf("Find after the end = %v, want ErrBadCredential", err)
			}
		})
	}
}

func TestTheCacheSavesCallsOfTheStore(t *testing.T) {
	b := newBench(64 * 64)
	s := b.start(t)

	asked := func(want int64, when string) {
		t.Helper()
		b.live(t, s)
		n := b.m.asked.Load()
		if n != want {
			t.Errorf("%d calls of the store %s, want %d", n, when, want)
		}
	}

	for range 10 {
		asked(1, "by many looks")
	}

	b.m.Publish(change.Change{Kind: change.Users, IDs: []int64{diane.ID + 1}})
	asked(1, "after another user changed")
	b.m.Publish(change.Change{Kind: change.Users, IDs: []int64{diane.ID}})
	asked(2, "after the user changed")
	asked(2, "after another look")

	b.m.Publish(change.Change{Kind: change.All})
	asked(3, "after all was forgotten")
	asked(3, "after another look")
}

// TestValuesOfOneSessionShareTheirState uses a session through several values.
func TestValuesOfOneSessionShareTheirState(t *testing.T) {
	b := newBench(64 * 64)
	s := b.start(t)
	lives := make([]*Live, 16)
	var wg sync.WaitGroup
	for i := range lives {
		wg.Go(func() { lives[i] = b.live(t, s); b.cool() })
	}

	wg.Wait()
	b.cool()
	lives = append(lives, b.live(t, s))
	budgets := []policy.Budget{{ID: 1, Max: 1}}
	for i, want := range []error{nil, jeton.ErrSpent} {
		if _, err := b.Spend(t.Context(), &lives[i].Key, budgets); !errors.Is(err, want) {
			t.Fatalf("Spend: %v, want %v", err, want)
		}
	}

	before := b.m.asked.Load()

	for i, l := range lives {
		if _, err := b.Spend(t.Context(), &l.Key, budgets); !errors.Is(err, jeton.ErrSpent) {
			t.Errorf("Spend by %d: %v, want ErrSpent", i, err)
		}

		at := noon.Add(time.Duration(i+1) * time.Minute)
		b.Used(l, at)

		if got := b.live(t, s).LastUsed(); !got.Equal(at) {
			t.Errorf("last use after the use by %d = %v, want %v", i, got, at)
		}

		b.cool()
		if got := b.live(t, s).LastUsed(); !got.Equal(at) {
			t.Errorf("last use of a later value after the use by %d = %v, want %v", i, got, at)
		}
	}

	if n := b.m.asked.Load(); n != before {
		t.Errorf("%d calls of the store, want none", n-before)
	}
	if n := len(b.table.unwritten()); n != 1 {
		t.Errorf("%d last uses of one session wait, want 1", n)
	}
}

func TestLastUsesAreWritten(t *testing.T) {
	b := newBench(64 * 2000)
	const n = 1200 // more than one step
	var lives []*Live
	for range n {
		l := b.live(t, b.start(t))
		b.Used(l, noon.Add(time.Minute))
		lives = append(lives, l)
	}

	b.m.fail = jeton.ErrUnavailable

	for range 3 { // the store is down for a while
		b.flush(t.Context())
	}

	if len(b.m.touched) != 0 || len(b.table.unwritten()) != n {
		t.Errorf(
			"%d last uses written and %d waiting, want all %d waiting",
			len(b.m.touched), len(b.table.unwritten()), n,
		)
	}

	b.Used(lives[0], noon.Add(2*time.Minute)) // noted already
	b.m.fail = nil
	b.flush(t.Context())

	if len(b.m.touched) != n || len(b.table.unwritten()) != 0 {
		t.Errorf(
			"%d last uses written and %d waiting, want all %d written",
			len(b.m.touched), len(b.table.unwritten()), n,
		)
	}
	if got := b.m.touched[lives[0].Login]; !got.Equal(noon.Add(2 * time.Minute)) {
		t.Errorf("written last use = %v, want the newest", got)
	}

	b.Used(lives[1], noon.Add(3*time.Minute))
	b.flush(t.Context())

	if got := b.m.touched[lives[1].Login]; !got.Equal(noon.Add(3 * time.Minute)) {
		t.Errorf("written last use = %v, want the one after the first write", got)
	}
}

func TestRunWritesTheLastUsesAsItEnds(t *testing.T) {
	b := newBench(64 * 64)
	l := b.live(t, b.start(t))
	b.Used(l, noon.Add(time.Minute))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()

	if err := b.Run(ctx); err != nil {
		t.Errorf("Run: %v", err)
	}

	got := b.m.touched[l.Login]
	if !got.Equal(noon.Add(time.Minute)) {
		t.Errorf("written last use = %v, want the newest", got)
	}
}

// A sweep may take minutes. The idle time of a session must stay exact to ten seconds.
func TestLastUsesAreWrittenDuringASweep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(64 * 64)
		begun := make(chan struct{})

		b.m.swept = func(time.Time, int) (int, error) {
			close(begun)
			time.Sleep(5 * time.Minute)
			return 0, nil
		}

		l := b.live(t, b.start(t))
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { _ = b.Run(ctx) })
		<-begun

		b.Used(l, noon.Add(time.Minute))
		time.Sleep(flushEvery + time.Second)
		b.m.mu.Lock()
		got := b.m.touched[l.Login]
		b.m.mu.Unlock()

		if !got.Equal(noon.Add(time.Minute)) {
			t.Errorf("written last use during a sweep = %v, want the newest", got)
		}

		cancel()
		running.Wait()
	})
}

func TestASweepDeletesSessionsThatExpiredADayAgo(t *testing.T) {
	b := newBench(64 * 64)
	left, steps := 1000, 0

	b.m.swept = func(before time.Time, limit int) (int, error) {
		want := noon.Add(-24 * time.Hour)
		if !before.Equal(want) {
			t.Errorf("swept sessions that expired before %v, want %v", before, want)
		}

		steps++
		n := min(limit, left)
		left -= n

		return n, nil
	}

	if b.sweep(t.Context()); left != 0 || steps < 2 {
		t.Errorf("%d sessions are left after %d steps, want none after several", left, steps)
	}
}

// A session that is idle at one node may be in use at another, which writes its last use.
func TestIdleHereAndBusyElsewhere(t *testing.T) {
	b := newBench(64 * 64)
	s := b.start(t)
	l := b.live(t, s)
	h := secret.HashOf(s.Secret.Reveal())
	b.now = noon.Add(terms.Idle + time.Minute)
	if err := b.live(t, s).Check(b.now); !errors.Is(err, jeton.ErrExpired) {
		t.Errorf("Find of an idle session = %v, want ErrExpired", err)
	}

	r := b.m.sessions[h]
	r.LastUsed = noon.Add(terms.Idle)
	b.m.sessions[h] = r

	if err := b.live(t, s).Check(b.now); err != nil {
		t.Errorf("Find of a session used at another node = %v", err)
	}

	r.LastUsed = noon
	b.m.sessions[h] = r

	if l.advance(noon.UnixMilli()); l.LastUsed().Before(noon.Add(terms.Idle)) {
		t.Errorf("last use = %v, want no earlier one", l.LastUsed())
	}

	b.now = b.now.Add(terms.Idle)
	delete(b.m.sessions, h)

	if err := b.live(t, s).Check(b.now); !errors.Is(err, jeton.ErrExpired) {
		t.Errorf("Find of an idle and swept session = %v, want ErrExpired", err)
	}
}

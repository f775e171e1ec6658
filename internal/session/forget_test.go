package session

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jeton-auth/jeton/internal/secret"
)

func TestForgettingIsExact(t *testing.T) {
	tab := newTable(64 * 64)
	for i := range 300 {
		r := sample(i, int64(i%3))
		if i%30 < 3 {
			r.ID = "odd"
		}
		tab.keep(r, noon)
	}

	tab.forget(1)

	for i := range 300 {
		h := sample(i, 0).Hash
		if (tab.get(&h) == nil) != (i%3 == 1) {
			t.Errorf("session %d of user %d: cached = %t, want %t", i, i%3, tab.get(&h) != nil, i%3 != 1)
		}
	}

	tab.forgetAll()
	n := tab.kept()
	if n != 0 {
		t.Errorf("%d sessions are cached after all were dropped, want none", n)
	}

	r := sample(1, 1)
	if tab.keep(r, noon); tab.get(&r.Hash) == nil {
		t.Error("get of a session that was read after the drop = nil, want it cached")
	}
}

// TestAReaderThatBeganBeforeADropAddsNothing also checks which sessions a drop affects.
func TestAReaderThatBeganBeforeADropAddsNothing(t *testing.T) {
	for _, tc := range []struct {
		name string
		do   func(*table, secret.Hash)
		kept bool
	}{
		{"nothing happened", func(*table, secret.Hash) {}, true},
		{"it was dropped", func(tab *table, h secret.Hash) { tab.drop(h) }, false},
		{"its owner was forgotten", func(tab *table, _ secret.Hash) { tab.forget(7) }, false},
		{"another owner was forgotten", func(tab *table, _ secret.Hash) { tab.forget(8) }, true},
		{"all were forgotten", func(tab *table, _ secret.Hash) { tab.forgetAll() }, false},
	} {
		for _, id := range []string{sample(0, 7).ID, "odd"} {
			t.Run(tc.name+", "+id, func(t *testing.T) {
				tab := newTable(64)
				r := sample(0, 7)
				r.ID = id
				before := tab.since(&r.Hash)
				tc.do(tab, r.Hash)

				l := tab.add(&r.Hash, &r, before, noon)
				if l.ID != r.ID || l.Known == nil {
					t.Errorf("add = %+v, want the session that was read", l)
				}

				got := tab.get(&r.Hash) != nil
				if got != tc.kept {
					t.Errorf("cached = %t, want %t", got, tc.kept)
				}

				n := tab.owners.users.held()
				if n > 1 || !tc.kept && n != 0 {
					t.Errorf("%d owners are held, want at most one, and none without a session", n)
				}
			})
		}
	}
}

// TestAChangedOwnerIsNotCachedAsBefore reads sessions before and after a change that is not
// published yet.
func TestAChangedOwnerIsNotCachedAsBefore(t *testing.T) {
	tab := newTable(64)
	older, newer := sample(0, 7), sample(1, 7)
	newer.Groups = []string{"red"}
	tab.keep(older, noon)
	tab.keep(newer, noon)

	if l := tab.get(&older.Hash); l != nil {
		t.Errorf("get of an older session has the groups %v, want no session", l.Groups)
	}
	if l := tab.get(&newer.Hash); l == nil || !slices.Equal(l.Groups, newer.Groups) {
		t.Errorf("get of the newer session = %+v, want one with the groups %v", l, newer.Groups)
	}

	tab.forget(7)
	if tab.kept() != 0 {
		t.Error("one is there after the owner was forgotten")
	}
}

// TestTheTableAgreesWithAModel runs thirty thousand operations on a small table, which reuses
// its slots, and looks for every session that must not be there.
func TestTheTableAgreesWithAModel(t *testing.T) {
	const sessions, users = 120, 12
	var samples [sessions]Record
	for n := range samples {
		samples[n] = sample(n, int64(n%users))
	}

	tab := newTable(64)
	rnd := rand.New(rand.NewPCG(4, 7))
	var version [users]int // of a user, which the name shows

	ended := [sessions]bool{}
	record := func(n int) Record {
		r := samples[n]
		r.Name = fmt.Sprintf("user-%d-%d", n%users, version[n%users])
		r.Groups = []string{fmt.Sprint("group-", rnd.IntN(2))}[:version[n%users]%2]
		r.Source = fmt.Sprintf("2001:db8::%x", n%5)

		if n%11 == 0 {
			r.ID = fmt.Sprint("odd-", n)
		}

		return r
	}

	var reading []func()
	for step := range 30_000 {
		n := rnd.IntN(sessions)
		h := samples[n].Hash
		op := rnd.IntN(100)
		switch {
		case op < 50 && !ended[n]: // reads now and adds later
			r, before := record(n), tab.since(&h)
			reading = append(reading, func() { tab.add(&r.Hash, &r, before, noon) })
		case op < 85 && len(reading) > 0:
			i := rnd.IntN(len(reading))
			reading[i]()
			reading = slices.Delete(reading, i, i+1)
		case op < 90:
			ended[n] = true
			tab.drop(h)
		case op < 95:
			version[n%users]++
			tab.forget(int64(n % users))
		case op == 99 && rnd.IntN(10) == 0:
			for u := range version {
				version[u]++
			}
			tab.forgetAll()
		case op < 98:
			ended[n] = false // as another of that number
		}

		if len(reading) > 40 {
			reading = nil
		}

		for range 5 {
			n := rnd.IntN(sessions)
			r := record(n)
			l := tab.get(&r.Hash)
			switch {
			case l == nil:
			case ended[n]:
				t.Fatalf("step %d: get of dropped session %d = %+v, want nil", step, n, l)
			case l.Name != r.Name || l.ID != r.ID || l.User != r.User || l.from() != r.Source:
				t.Fatalf(
					"step %d: session %d is %s of %s from %s, want %s of %s from %s",
					step, n, l.ID, l.Name, l.from(), r.ID, r.Name, r.Source,
				)
			}
		}

		if n := tab.owners.users.held(); n > 64 {
			t.Fatalf("step %d: %d owners are held, want at most 64", step, n)
		}
	}

	for _, r := range samples {
		tab.drop(r.Hash)
	}

	slots := slotsOf(tab)
	if slots != (heldSlots{}) {
		t.Errorf("slots held at the end = %+v, want none", slots)
	}
}

// TestNoReaderGetsAnEntryThatWasDroppedBefore changes users and ends sessions while many
// read, use and write.
func TestNoReaderGetsAnEntryThatWasDroppedBefore(t *testing.T) {
	const sessions, users, rounds = 64, 4, 2000

	tab := newTable(40) // too few for all
	var version [users]atomic.Int64
	var ended [sessions]atomic.Bool    // in the store
	var answered [sessions]atomic.Bool // once its end was answered

	read := func(n int) (Record, bool) {
		gone := ended[n].Load()
		r := sample(n, int64(n%users))
		r.Name = fmt.Sprint(version[n%users].Load())

		if n%7 == 0 {
			r.ID = "odd"
		}

		return r, !gone
	}

	var readers, others sync.WaitGroup

	stop := make(chan struct{})
	for range 4 {
		readers.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}

				n := rand.IntN(sessions)
				gone := answered[n].Load()
				least := version[n%users].Load()
				h := sample(n, 0).Hash
				l := tab.get(&h)
				if l != nil && gone {
					t.Errorf("get of dropped session %d = %+v, want nil", n, l)
				}

				if l == nil {
					before := tab.since(&h)
					r, ok := read(n)
					if !ok {
						continue
					}

					l = tab.add(&h, &r, before, noon)
				}

				// The last step may still run; those before it are done.
				v := int64(0)
				if l.User != int64(n%users) || func() bool {
					_, err := fmt.Sscan(l.Name, &v)
					return err != nil || v < least-1
				}() {
					t.Errorf("session %d is of user %d in version %s, want at least %d", n, l.User, l.Name, least-1)
				}

				tab.touch(l, noon.Add(time.Duration(i)*time.Second))
			}
		})
	}

	others.Go(func() {
		for i := range rounds {
			version[i%users].Add(1)
			tab.forget(int64(i % users))
		}
	})

	others.Go(func() {
		for range rounds / 10 {
			tab.forgetAll()
		}
	})

	others.Go(func() {
		for range rounds / 10 {
			for _, w := range tab.unwritten() {
				tab.newest(&w)
				tab.written(w)
			}
			tab.kept()
		}
	})

	others.Go(func() {
		for n := range sessions / 2 {
			h := sample(n, 0).Hash
			tab.drop(h)
			ended[n].Store(true)
			tab.drop(h)
			answered[n].Store(true) // only now: the store drops before it answers
		}
	})

	others.Wait()
	close(stop)
	readers.Wait()

	for n := range sessions {
		tab.drop(sample(n, 0).Hash)
	}

	if n := tab.owners.users.held() + tab.classes.held(); n != 0 {
		t.Errorf("%d slots are held at the end, want none", n)
	}
}

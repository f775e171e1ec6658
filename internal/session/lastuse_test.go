package session

import (
	"testing"
	"time"
)

// waiting counts last uses by what the shards hold of them.
func (t *table) waiting() map[int64]int64 {
	m := map[int64]int64{}
	for _, w := range t.unwritten() {
		m[w.login] = w.used
	}
	return m
}

// TestALastUseOutlivesItsEntry uses sessions, which are then evicted.
func TestALastUseOutlivesItsEntry(t *testing.T) {
	const used = 300

	tab := newTable(512)
	last := map[int64]int64{}
	for i := range used {
		r := sample(i, 7)
		if i%20 == 0 {
			r.ID = "odd"
		}

		l := tab.keep(r, noon)
		tab.touch(l, noon.Add(time.Minute))
		at := noon.Add(2*time.Minute + time.Duration(i)*time.Millisecond)
		tab.touch(l, at) // later than what waits since the first use
		last[l.Login] = at.UnixMilli()
	}

	for i := range 5000 {
		r := sample(used+i, 8)
		l := tab.keep(r, noon)

		if i%100 == 0 && i < 4550 {
			tab.forget(8) // what is worth nothing may be in the way
		}

		if i >= 4550 { // enough that those go, too, whose use is not written
			tab.touch(l, noon.Add(5*time.Minute))
			last[l.Login] = noon.Add(5 * time.Minute).UnixMilli()
		}
	}

	here := 0
	for i := range used {
		h := sample(i, 7).Hash
		if tab.get(&h) != nil {
			here++
		}
	}

	if here > used/2 {
		t.Fatalf("%d of %d sessions are cached, want at most half, or the test tests nothing", here, used)
	}

	list := tab.unwritten()
	for i := range list {
		tab.newest(&list[i])
		want := last[list[i].login]
		if list[i].used != want {
			t.Errorf("login %d was last used at %d, want %d", list[i].login, list[i].used, want)
		}
	}

	if len(list) != len(last) {
		t.Errorf("%d last uses wait, want all %d", len(list), len(last))
	}

	for i := range used {
		r := sample(i, 7) // as the store has it still
		if l := tab.keep(
			r,
			noon,
		); l.LastUsed().UnixMilli() != last[l.Login] || tab.lastUsed(&r.Hash, r.Login) != last[l.Login] {
			t.Fatalf("last use of session %d after it was read again = %v, want %d", i, l.LastUsed(), last[l.Login])
		}
	}

	for _, w := range list {
		tab.written(w)
	}

	left := tab.waiting()
	if len(left) != 0 {
		t.Errorf("%d last uses wait after all were written, want none", len(left))
	}
}

// TestALastUseOutlivesItsOwner changes an owner between two uses and their writing.
func TestALastUseOutlivesItsOwner(t *testing.T) {
	tab := newTable(8)
	r := sample(0, 7)
	l := tab.keep(r, noon)
	tab.touch(l, noon.Add(time.Minute))
	second := noon.Add(2 * time.Minute)
	tab.touch(l, second) // the entry alone knows of it

	tab.forget(7)
	l = tab.keep(r, noon)
	if !l.LastUsed().Equal(second) {
		t.Errorf("last use after the owner changed = %v, want %v", l.LastUsed(), second)
	}

	for i := range 100 {
		o := sample(i+1, 8)
		o.LastUsed = noon.Add(3 * time.Minute)
		tab.touch(tab.keep(o, noon), noon.Add(4*time.Minute))
	}

	if tab.get(&r.Hash) != nil {
		t.Fatal("the session is cached, want it evicted, or the test tests nothing")
	}

	got := tab.waiting()[r.Login]
	if got != second.UnixMilli() {
		t.Errorf("waiting is %d, want the second use", got)
	}
}

// TestAUseDuringAWriteWaitsForTheNextWrite uses a session between the reading of its time
// and the end of the write: that use is still to be written.
func TestAUseDuringAWriteWaitsForTheNextWrite(t *testing.T) {
	for _, odd := range []bool{false, true} {
		tab := newTable(64)
		r := sample(0, 7)
		if odd {
			r.ID = "odd"
		}

		l := tab.keep(r, noon)
		tab.touch(l, noon.Add(time.Minute))
		list := tab.unwritten()
		tab.newest(&list[0])
		later := noon.Add(2 * time.Minute)
		tab.touch(l, later)

		tab.written(list[0])
		if got := tab.waiting(); got[l.Login] != later.UnixMilli() {
			t.Errorf("odd %t: waiting is %v, want the later use", odd, got)
		}

		list = tab.unwritten()
		tab.newest(&list[0])
		tab.written(list[0])

		if got := tab.waiting(); len(got) != 0 {
			t.Errorf("odd %t: waiting is %v, want nothing", odd, got)
		}

		tab.touch(l, noon.Add(3*time.Minute))
		tab.drop(r.Hash)

		if got := tab.waiting(); len(got) != 0 {
			t.Errorf("odd %t: waiting is %v of a session that has ended", odd, got)
		}
	}
}

func TestWaitingLastUsesAreBounded(t *testing.T) {
	tab := newTable(64)
	for i := range 5000 {
		tab.touch(tab.keep(sample(i, 7), noon), noon.Add(time.Minute))
	}

	n := len(tab.waiting())
	if n != 128 {
		t.Errorf("%d last uses wait, want twice what the table keeps", n)
	}

	for _, w := range tab.unwritten() {
		tab.newest(&w)
		tab.written(w)
	}

	r := sample(4999, 7) // had no room to wait
	l := tab.get(&r.Hash)
	tab.touch(l, noon.Add(2*time.Minute))
	got := tab.waiting()
	if got[l.Login] != noon.Add(2*time.Minute).UnixMilli() {
		t.Errorf("waiting is %v, want the use that came when there was room", got)
	}
}

// TestASessionMayBeUsedLongerThanAnEntryCanHold uses one for ten years.
func TestASessionMayBeUsedLongerThanAnEntryCanHold(t *testing.T) {
	tab := newTable(64)
	r := sample(0, 7)
	r.Expires = noon.AddDate(20, 0, 0)

	for year := range 10 {
		at := noon.AddDate(year, 0, 1)
		l := tab.keep(r, at)
		tab.touch(l, at)
		l = tab.get(&r.Hash)
		if l == nil {
			l = tab.keep(r, at)
		}

		if !l.LastUsed().Equal(at) {
			t.Errorf("last use in year %d = %v, want %v", year, l.LastUsed(), at)
		}
	}

	if !tab.isOdd(r.Hash) || tab.kept() != 1 {
		t.Errorf("odd = %t of %d sessions, want one odd session", tab.isOdd(r.Hash), tab.kept())
	}
}

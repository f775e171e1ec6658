package session

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/secret"
)

// sample returns the n-th session of a user, as a store would have it.
func sample(n int, user int64) Record {
	h := sha256.Sum256(binary.LittleEndian.AppendUint64(nil, uint64(n)))
	id, err := secret.ID("s_", noon, rand.NewChaCha8(h))
	if err != nil {
		panic(err)
	}

	return Record{
		Login:    int64(n + 1),
		ID:       id,
		Hash:     h,
		User:     user,
		Service:  "shop",
		Created:  noon,
		Expires:  noon.Add(time.Hour),
		Idle:     10 * time.Minute,
		LastUsed: noon,
		Source:   "192.0.2.7",
		Name:     fmt.Sprint("user-", user),
		Groups:   []string{"blue"},
	}
}

// keep adds a session as it is read from a store.
func (t *table) keep(r Record, now time.Time) *Live {
	return t.add(&r.Hash, &r, t.since(&r.Hash), now)
}

// heldSlots counts the slots of a table that are held.
type heldSlots struct{ owners, lists, classes, sources int }

func slotsOf(tab *table) heldSlots {
	return heldSlots{
		owners:  tab.owners.users.held(),
		lists:   tab.owners.lists.held(),
		classes: tab.classes.held(),
		sources: tab.sources.held(),
	}
}

// isOdd reports whether a session is kept outside the entries, because it does not fit one.
func (t *table) isOdd(h secret.Hash) bool { _, ok := t.shard(&h).odd[h]; return ok }

func TestAnEntryIs48BytesAndNothingInTheTablePointsAnywhere(t *testing.T) {
	var flat func(reflect.Type) bool
	flat = func(r reflect.Type) bool {
		k := r.Kind()
		switch {
		case k >= reflect.Bool && k <= reflect.Complex128 && k != reflect.Uintptr:
			return true
		case k == reflect.Array:
			return flat(r.Elem())
		case k == reflect.Struct:
			for i := range r.NumField() {
				if !flat(r.Field(i).Type) {
					return false
				}
			}
			return true
		}

		return false
	}

	for _, tc := range []struct {
		row  reflect.Type
		size uintptr
	}{
		{reflect.TypeFor[entry](), 48},
		{reflect.TypeFor[bucket](), 8 * 48},
		{reflect.TypeFor[row[int64, owner]](), 64},
		{reflect.TypeFor[row[[16]byte, struct{}]](), 20},
	} {
		if tc.row.Size() != tc.size || !flat(tc.row) {
			t.Errorf(
				"%v takes %d bytes and is flat: %t, want %d bytes without pointers",
				tc.row, tc.row.Size(), flat(tc.row), tc.size,
			)
		}
	}

	if flat(reflect.TypeFor[Live]()) {
		t.Error("flat(Live) = true, want false, for it has pointers")
	}
}

// TestASessionIsFoundAsItWasRead checks that an entry loses nothing, and that a session that
// does not fit an entry is kept all the same.
func TestASessionIsFoundAsItWasRead(t *testing.T) {
	handle := strings.TrimPrefix(sample(0, 7).ID, "s_")
	other, err := secret.ID("s_", noon.Add(time.Millisecond), rand.NewChaCha8([32]byte{1}))
	if err != nil {
		t.Fatal(err)
	}

	for _, tc := range []struct {
		name   string
		change func(*Record)
		odd    bool
	}{
		{"as Start makes it", func(*Record) {}, false},
		{"from an IPv6 address", func(r *Record) { r.Source = "2001:db8::17" }, false},
		{"from a long IPv6 address", func(r *Record) { r.Source = "2001:db81:1234:5678:9abc:def0:1234:5678" }, false},
		{"from an IPv4 address that is an IPv6 one", func(r *Record) { r.Source = "::ffff:192.0.2.7" }, false},
		{"from 0.0.0.0", func(r *Record) { r.Source = "0.0.0.0" }, false},
		{"from 255.255.255.255", func(r *Record) { r.Source = "255.255.255.255" }, false},
		{"from the machine itself", func(r *Record) { r.Source = "local" }, false},
		{"from nowhere", func(r *Record) { r.Source = "" }, false},
		{"from an address with a zone", func(r *Record) { r.Source = "fe80::1%eth0" }, true},
		{"from an address in another spelling", func(r *Record) { r.Source = "2001:DB8::17" }, true},
		{"from a place that is no address", func(r *Record) { r.Source = "the moon" }, true},
		{"without groups", func(r *Record) { r.Groups = nil }, false},
		{"with an empty list of groups", func(r *Record) { r.Groups = []string{} }, false},
		{"with many groups", func(r *Record) { r.Groups = strings.Split(strings.Repeat("g ", 300), " ") }, false},
		{"with a group that looks like two", func(r *Record) { r.Groups = []string{"a\x00b"} }, false},
		{"without a name", func(r *Record) { r.Name = "" }, false},
		{"with a name of 43 bytes", func(r *Record) { r.Name = strings.Repeat("x", 43) }, false},
		{"with a name of 44 bytes", func(r *Record) { r.Name = strings.Repeat("x", 44) }, true},
		{"of the user 0", func(r *Record) { r.User = 0 }, false},
		{"of a user with a number below 0", func(r *Record) { r.User = -5 }, false},
		{"with the largest number of a login", func(r *Record) { r.Login = 1<<40 - 1 }, false},
		{"with a larger one", func(r *Record) { r.Login = 1 << 40 }, true},
		{"with none", func(r *Record) { r.Login = 0 }, true},
		{"used a second later", func(r *Record) { r.LastUsed = noon.Add(time.Second + time.Millisecond) }, false},
		{"used two years later", func(r *Record) { r.LastUsed = noon.Add((1<<36 - 1) * time.Millisecond) }, false},
		{"used even later", func(r *Record) { r.LastUsed = noon.Add(1 << 36 * time.Millisecond) }, true},
		{"used before it was there", func(r *Record) { r.LastUsed = noon.Add(-time.Millisecond) }, true},
		{"with an id of another kind", func(r *Record) { r.ID = "t_" + handle }, true},
		{"with an id in capitals", func(r *Record) { r.ID = "s_" + strings.ToUpper(handle) }, true},
		{"with an id that is short", func(r *Record) { r.ID = "s_1" }, true},
		{"with an id whose last bits say something", func(r *Record) { r.ID = r.ID[:24] + "z" }, true},
		{"with an id that was made a millisecond later", func(r *Record) { r.ID = other }, true},
		{"made between two milliseconds", func(r *Record) { r.Created = noon.Add(1) }, true},
		{"that lives for a nanosecond", func(r *Record) { r.Expires = noon.Add(1) }, false},
		{"that lives for ever", func(r *Record) { r.Expires = noon.AddDate(1000, 0, 0) }, true},
		{"without an idle time", func(r *Record) { r.Idle = 0 }, false},
		{"of no service", func(r *Record) { r.Service = "" }, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tab := newTable(64 * 64)
			r := sample(0, 7)
			tc.change(&r)
			tab.keep(r, noon)

			for _, look := range []string{"as it was added", "again", "made again"} {
				l := tab.get(&r.Hash)
				if l == nil {
					t.Fatalf("%s: get = nil, want the session", look)
				}

				got := Record{
					Login:    l.Login,
					ID:       l.ID,
					Hash:     l.hash,
					User:     l.User,
					Service:  l.Service,
					Created:  l.Created,
					Expires:  r.Expires,
					Idle:     l.Idle,
					LastUsed: l.LastUsed(),
					Source:   l.from(),
					Name:     l.Name,
					Groups:   l.Groups,
				}
				if !got.Created.Equal(r.Created) || !got.LastUsed.Equal(r.LastUsed) ||
					!tc.odd && !l.Expires().Equal(r.Expires) {
					t.Errorf("%s: times = %+v, want %+v", look, got, r)
				}

				got.Created, got.LastUsed = r.Created, r.LastUsed
				if !reflect.DeepEqual(got, r) || l.Key.Login != r.Login {
					t.Errorf("%s: session = %+v, want %+v", look, got, r)
				}

				which, _ := l.Describe()
				if !strings.HasSuffix(which, " from "+r.Source) {
					t.Errorf("%s: Describe = %q, want it to end with the source %s", look, which, r.Source)
				}
				if look == "again" {
					tab.cool()
				}
			}

			if got := tab.isOdd(r.Hash); got != tc.odd || tab.kept() != 1 {
				t.Errorf("odd = %t, want %t; %d sessions are cached", got, tc.odd, tab.kept())
			}
			if tab.drop(r.Hash); tab.get(&r.Hash) != nil || tab.kept() != 0 {
				t.Errorf("%d sessions are cached after the drop, want none", tab.kept())
			}
		})
	}
}

// TestAnotherHashFindsNothing changes one bit after the other.
func TestAnotherHashFindsNothing(t *testing.T) {
	tab := newTable(64)
	r := sample(0, 7)
	tab.keep(r, noon)

	for i := range 128 {
		h := r.Hash
		h[i/8] ^= 1 << (i % 8)
		if tab.get(&h) != nil {
			t.Errorf("get with bit %d altered = a session, want nil", i)
		}
	}
}

func TestTheTableIsBounded(t *testing.T) {
	for _, most := range []int{1, 8, 100, 4096} {
		t.Run(fmt.Sprint(most), func(t *testing.T) {
			tab := newTable(most)
			n := 3 * max(most, 100)
			for i := range n {
				r := sample(i, int64(i%(n/2)))
				r.Source = fmt.Sprintf("2001:db8::1:%x:%x", i>>16, i&0xffff)

				if i%2 == 0 {
					r.ID = fmt.Sprint("odd-", i)
				}
				if tab.keep(r, noon); tab.get(&r.Hash) == nil {
					t.Fatal("get of the session added last = nil, want it cached")
				}
			}

			entries, odd := 0, 0
			for i := range tab.shards {
				entries += len(tab.shards[i].buckets) * len(bucket{})
				odd += len(tab.shards[i].odd)
			}

			if entries > max(most, 8) || entries < most*9/10 || odd > max(most/oddShare, 1) {
				t.Errorf(
					"there is room for %d and there are %d odd ones, want %d and a %dth of it",
					entries, odd, most, oddShare,
				)
			}

			got := tab.kept() - odd
			if got > entries || got < entries*9/10 {
				t.Errorf("%d sessions are cached, want about %d", got, entries)
			}
			if p, s := tab.owners.users.held(), tab.sources.held(); p > entries || s > entries {
				t.Errorf("%d owners and %d sources are held, want at most %d, one an entry", p, s, entries)
			}

			for i := range n {
				tab.drop(sample(i, 0).Hash)
			}

			kept, slots := tab.kept(), slotsOf(tab)
			if kept != 0 || slots != (heldSlots{}) {
				t.Errorf("after all were dropped, %d sessions and slots %+v are held, want none", kept, slots)
			}
		})
	}
}

func TestATableThatIsNotFullKeepsAll(t *testing.T) {
	const most = 20_000
	tab := newTable(most)
	for i := range most * 17 / 20 {
		tab.keep(sample(i, int64(i%100)), noon)
	}

	n := tab.kept()
	if n != most*17/20 {
		t.Errorf("%d sessions are cached, want all %d", n, most*17/20)
	}
}

func TestAnEmptyTableIsSmall(t *testing.T) {
	tab := newTable(50_000_000)
	n := len(tab.shards)
	if n != 1024 {
		t.Errorf("an empty table has %d shards, want 1024", n)
	}

	for i := range tab.shards {
		if tab.shards[i].buckets != nil {
			t.Fatalf("shard %d of an empty table has buckets, want none", i)
		}
	}
}

// TestMoreTermsThanAnEntryCanNameAreOdd has one class too many, until one ends.
func TestMoreTermsThanAnEntryCanNameAreOdd(t *testing.T) {
	tab := newTable(1024)
	tab.classes.limit = 2

	for i, odd := range []bool{false, false, true, false} {
		if i == 3 {
			tab.drop(sample(0, 7).Hash)
		}

		r := sample(i, 7)
		r.Service = fmt.Sprint("service-", i)
		if tab.keep(r, noon); tab.isOdd(r.Hash) != odd || tab.get(&r.Hash).Service != r.Service {
			t.Errorf("session %d is odd: %t, want %t", i, !odd, odd)
		}
	}

	for i := range 4 {
		tab.drop(sample(i, 7).Hash)
	}

	p, c := tab.owners.users.held(), tab.classes.held()
	if p+c != 0 {
		t.Errorf("%d owners and %d classes are held, want none", p, c)
	}
}

func TestTheLeastUsefulEntryIsEvicted(t *testing.T) {
	at := func(m int) time.Time { return noon.Add(time.Duration(m) * time.Minute) }
	for _, tc := range []struct {
		name  string
		first func(*table, *Record) // of eight sessions, what is different with one
		then  func(*table, *Live)
		goes  bool
	}{
		{
			"one that was used before the others",
			func(_ *table, r *Record) { r.LastUsed = at(1) },
			func(*table, *Live) {},
			true,
		},
		{
			"one that was used after the others",
			func(_ *table, r *Record) { r.LastUsed = at(3) },
			func(*table, *Live) {},
			false,
		},
		{
			"one whose use is not written down",
			func(_ *table, r *Record) { r.LastUsed = at(0) },
			func(tab *table, l *Live) { tab.touch(l, at(1)) },
			false,
		},
		{
			"one that has ended",
			func(_ *table, r *Record) { r.LastUsed, r.Expires = at(3), at(4) },
			func(*table, *Live) {},
			true,
		},
		{
			"one that is idle",
			func(_ *table, r *Record) { r.LastUsed, r.Idle = at(3), time.Minute },
			func(*table, *Live) {},
			true,
		},
		{
			"one of an owner who was forgotten",
			func(_ *table, r *Record) { r.LastUsed, r.User = at(3), 9 },
			func(tab *table, l *Live) { tab.forget(9) },
			true,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tab := newTable(8)
			one := sample(0, 7)
			tc.first(tab, &one)
			l := tab.keep(one, noon)

			for i := range 7 {
				r := sample(i+1, 7)
				r.LastUsed = at(2)
				tab.keep(r, noon)
			}

			tc.then(tab, l)
			r := sample(8, 7)
			r.LastUsed = at(4)
			tab.keep(r, at(4))
			e := tab.shards[0].find(keyOf(&one.Hash))
			if (e == nil) != tc.goes {
				t.Errorf("cached = %t, want %t", e != nil, !tc.goes)
			}
		})
	}
}

// TestSpentIsKnownAfterAnEviction sends refused requests of a session that is evicted again
// and again.
func TestSpentIsKnownAfterAnEviction(t *testing.T) {
	b := newBench(8)
	s := b.start(t)

	spend := func() error {
		_, err := b.Spend(t.Context(), &b.live(t, s).Key, []policy.Budget{{ID: 1, Max: 1}})
		return err
	}
	if err := spend(); err != nil {
		t.Fatal(err)
	}
	if err := spend(); !errors.Is(err, jeton.ErrSpent) {
		t.Fatal(err)
	}

	for range 50 {
		b.live(t, b.start(t))
	}

	b.live(t, s)
	before := b.m.asked.Load()
	if err := spend(); !errors.Is(err, jeton.ErrSpent) || b.m.asked.Load() != before {
		t.Errorf("Spend = %v with %d calls of the store, want ErrSpent with none", err, b.m.asked.Load()-before)
	}
}

package session

import (
	"encoding/base64"
	"errors"
	"io"
	"log/slog"
	"math/bits"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/secret"
	"github.com/jeton-auth/jeton/internal/store/change"
)

func TestASecretIs256RandomBits(t *testing.T) {
	b := newBench(0)
	const n = 200

	seen := map[string]bool{}
	var ones [256]int

	last := ""
	for range n {
		s := b.start(t)
		text := s.Secret.Reveal()
		body, ok := strings.CutPrefix(text, "jtn_s_")
		raw, err := base64.RawURLEncoding.Strict().DecodeString(body)
		if !ok || err != nil || len(raw) != 32 || seen[text] || seen[s.ID] {
			t.Fatalf("secret %d has %d bytes behind its prefix, %v, or is not new", len(seen), len(raw), err)
		}

		seen[text], seen[s.ID] = true, true

		for i := range ones {
			ones[i] += int(raw[i/8] >> (i % 8) & 1)
		}

		if !strings.HasPrefix(
			s.ID,
			"s_",
		) || len(s.ID) != 2+23 || strings.ToLower(s.ID) != s.ID || strings.Contains(text, s.ID[2:]) {
			t.Errorf("id = %q, want s_ and 23 small letters or digits that are not in the secret", s.ID)
		}

		if s.ID <= last {
			t.Errorf("id = %s, want more than %s", s.ID, last)
		}

		last = s.ID
		b.now = b.now.Add(time.Millisecond)
		_, stored := b.m.sessions[secret.HashOf(text)]
		if !stored {
			t.Error("the store has no session with the hash of the secret, want one")
		}
	}

	for i, k := range ones {
		// Six standard deviations: one false alarm in two million runs.
		if k < n/2-43 || k > n/2+43 {
			t.Errorf("bit %d is 1 in %d of %d secrets, want half", i, k, n)
		}
	}
}

func TestSecretsComeFromTheConfiguredRandomness(t *testing.T) {
	for _, tc := range []struct {
		name string
		rand io.Reader
		ok   bool
	}{
		{"enough", strings.NewReader(strings.Repeat("r", 48)), true},
		{"none", strings.NewReader(""), false},
		{"too little", strings.NewReader(strings.Repeat("r", 47)), false},
		{"failing", iotest.ErrReader(errors.New("no entropy")), false},
		{
			"failing half way",
			io.MultiReader(strings.NewReader("half"), iotest.ErrReader(errors.New("no entropy"))),
			false,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := newBench(0)
			b.rand = tc.rand
			s, err := b.Start(t.Context(), diane, "shop", terms, jeton.Event{})
			if (err == nil) != tc.ok || s.Secret.IsZero() == tc.ok || len(b.m.sessions) > 0 != tc.ok {
				t.Errorf("Start: %v; secret is there: %t; %d sessions", err, !s.Secret.IsZero(), len(b.m.sessions))
			}

			if err != nil && jeton.Outcome(err) != nil {
				t.Errorf("Start: %v is an outcome; a server without randomness is out of order", err)
			}

			random := []byte(strings.Repeat("r", 32))
			want := secret.SessionPrefix + base64.RawURLEncoding.EncodeToString(random)
			if tc.ok && s.Secret.Reveal() != want {
				t.Errorf("secret = %s, want %s", s.Secret.Reveal(), want)
			}
		})
	}
}

func TestOtherSecretsAreRefused(t *testing.T) {
	b := newBench(64 * 64)
	s := b.start(t)
	text := s.Secret.Reveal()
	b.live(t, s) // in the cache, too

	swap := func(i int) string {
		c := byte('A')
		if text[i] == 'A' {
			c = 'B'
		}
		return text[:i] + string(c) + text[i+1:]
	}

	tries := map[string]string{
		"nothing":              "",
		"the prefix":           secret.SessionPrefix,
		"the body":             text[len(secret.SessionPrefix):],
		"upper case":           strings.ToUpper(text),
		"lower case":           strings.ToLower(text),
		"prefix in upper case": strings.ToUpper(secret.SessionPrefix) + text[len(secret.SessionPrefix):],
		"twice":                text + text,
		"a zero byte":          text + "\x00",
		"a newline":            text + "\n",
		"a blank before":       " " + text,
		"padding":              text + "=",
		"quotes":               `"` + text + `"`,
		"another prefix":       "jtn_p_" + text[len(secret.SessionPrefix):],
		"the id":               s.ID,
		"the hash":             string(func() []byte { h := secret.HashOf(text); return h[:] }()),
		"standard base64":      strings.NewReplacer("-", "+", "_", "/").Replace(text),
		"of the right length":  secret.SessionPrefix + strings.Repeat("A", 43),
		"much too long":        strings.Repeat(text, 1000),
	}

	for i := range text {
		tries["cut at "+text[:i]] = text[:i]
		tries["altered after "+text[:i]] = swap(i)
	}

	// The last character holds four bits; its others are zero in what we mint, and must not be free.
	body, alphabet := text[:len(text)-1], "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	for _, c := range alphabet {
		if body+string(c) != text {
			tries["ending in "+string(c)] = body + string(c)
		}
	}

	for name, try := range tries {
		if l, err := b.Find(t.Context(), try, "shop", b.now); !errors.Is(err, jeton.ErrBadCredential) || l != nil {
			t.Errorf("%s: Find = %v, %v, want ErrBadCredential", name, l, err)
		}
	}

	if _, err := b.Find(t.Context(), text, "bank", b.now); !errors.Is(err, jeton.ErrBadCredential) {
		t.Errorf("at another service: %v, want ErrBadCredential", err)
	}

	b.live(t, s)
}

// TestAnUnavailableStoreAcceptsNoLoginAndEndsNoSession checks that a failure is never taken
// for a refusal: clients would throw a good session away.
func TestAnUnavailableStoreAcceptsNoLoginAndEndsNoSession(t *testing.T) {
	b := newBench(64 * 64)
	s := b.start(t)
	l := b.live(t, s)
	unknown := b.start(t) // not in the cache
	b.m.fail = jeton.ErrUnavailable

	budgets := []policy.Budget{{ID: 1, Max: 3}}
	for name, call := range map[string]func() error{
		"Start": func() error { _, err := b.Start(t.Context(), diane, "shop", terms, jeton.Event{}); return err },
		"Find":  func() error { _, err := b.find(t, unknown); return err },
		"Spend": func() error { _, err := b.Spend(t.Context(), &l.Key, budgets); return err },
		"Left":  func() error { _, err := b.Left(t.Context(), &l.Key, budgets); return err },
		"End":   func() error { _, err := b.End(t.Context(), Which{ID: s.ID}, jeton.Event{}); return err },
		"List":  func() error { _, _, err := b.List(t.Context(), Which{}, 9); return err },
	} {
		if err := call(); !errors.Is(
			err,
			jeton.ErrUnavailable,
		) || errors.Is(err, jeton.ErrBadCredential) || errors.Is(err, jeton.ErrSpent) {
			t.Errorf("%s: %v, want ErrUnavailable", name, err)
		}
	}

	b.m.fail = nil
	b.live(t, s)
	b.live(t, unknown)

	if left, err := b.Spend(t.Context(), &l.Key, budgets); err != nil || left != 2 {
		t.Errorf("Spend = %d, %v, want the first use", left, err)
	}
}

func TestStartRecordsTheSession(t *testing.T) {
	b := newBench(64 * 64)
	tm := terms
	tm.Relogin = policy.Relogin{Max: 2, Window: 20 * time.Minute}
	s, err := b.Start(t.Context(), diane, "shop", tm, jeton.Event{Action: "login", Source: "192.0.2.7"})
	if err != nil {
		t.Fatal(err)
	}

	in := b.m.last
	if in.Version != diane.Version || in.User != diane.ID || in.Service != "shop" || in.Source != "192.0.2.7" ||
		in.ID != s.ID ||
		in.Hash != secret.HashOf(s.Secret.Reveal()) {
		t.Errorf("recorded session = %+v, want %s of user %d at shop from 192.0.2.7", in, s.ID, diane.ID)
	}

	if !in.Created.Equal(noon) || !in.LastUsed.Equal(noon) || !in.Expires.Equal(noon.Add(time.Hour)) ||
		in.Idle != tm.Idle ||
		!s.At.Equal(noon) ||
		!s.Ends.Equal(in.Expires) {
		t.Errorf("times = %+v, %+v, want %v and the terms %+v", in, s, noon, tm)
	}

	if !in.Remember.Equal(noon.Add(-20 * time.Minute)) {
		t.Errorf("Remember = %v, want 20 minutes ago", in.Remember)
	}
	if in.Event.Target != "session:"+s.ID || in.Event.Action != "login" {
		t.Errorf("event = %+v, want login of session:%s", in.Event, s.ID)
	}

	b.start(t)
	if !b.m.last.Remember.Equal(noon) {
		t.Errorf("Remember without re-login terms = %v, want now", b.m.last.Remember)
	}

	b.m.history = policy.History{Logins: []time.Time{noon, noon}}
	if _, err := b.Start(t.Context(), diane, "shop", tm, jeton.Event{}); !errors.Is(err, jeton.ErrRelogin) {
		t.Errorf("Start against the terms: %v, want ErrRelogin", err)
	}
}

func TestCheckUsesTheTimeOfItsArgument(t *testing.T) {
	b := newBench(64 * 64)
	l := b.live(t, b.start(t)) // an hour, ten minutes idle
	for _, tc := range []struct {
		name  string
		used  time.Duration // last use
		after time.Duration
		want  error
	}{
		{"at once", 0, 0, nil},
		{"a nanosecond before it is idle", 0, 10*time.Minute - 1, nil},
		{"as it is idle", 0, 10 * time.Minute, jeton.ErrExpired},
		{"used meanwhile", 55 * time.Minute, time.Hour - 1, nil},
		{"as its life ends, however busy", 55 * time.Minute, time.Hour, jeton.ErrExpired},
		{"long after", 55 * time.Minute, 1000 * time.Hour, jeton.ErrExpired},
		{"after the clock has jumped back", 55 * time.Minute, -1000 * time.Hour, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b.Used(l, noon.Add(tc.used))
			if err := l.Check(noon.Add(tc.after)); !errors.Is(err, tc.want) {
				t.Errorf("Check(noon+%v) = %v, want %v", tc.after, err, tc.want)
			}
		})
	}

	forgotten := newLive(&Record{Created: noon, LastUsed: noon, Expires: noon.Add(time.Hour)})
	if err := forgotten.Check(noon); !errors.Is(err, jeton.ErrExpired) {
		t.Errorf("Check without an idle time = %v, want ErrExpired", err)
	}
}

// TestTheLastUseMovesForwardInSteps uses sessions of two idle timeouts. The steps are a 128th of them, and a second at
// least.
func TestTheLastUseMovesForwardInSteps(t *testing.T) {
	for _, tc := range []struct{ idle, step time.Duration }{
		{time.Minute, time.Second},
		{128 * time.Minute, time.Minute},
	} {
		tab := newTable(64)
		r := sample(0, 7)
		r.Idle = tc.idle
		l := tab.keep(r, noon)

		start := l.LastUsed()
		for _, use := range []struct{ at, want time.Duration }{
			{tc.step - time.Millisecond, 0},
			{tc.step, tc.step},
			{tc.step / 2, tc.step},
			{-time.Hour, tc.step},
			{3 * tc.step, 3 * tc.step},
			{4*tc.step - time.Millisecond, 3 * tc.step},
		} {
			tab.touch(l, start.Add(use.at))
			if got := l.LastUsed().Sub(start); got != use.want {
				t.Errorf("idle %v: last use after a use at +%v = +%v, want +%v", tc.idle, use.at, got, use.want)
			}
		}

		if n := len(tab.unwritten()); n != 1 {
			t.Errorf("the last use waits %d times, want once", n)
		}
	}
}

// TestSpentIsRememberedAndARaisedLimitIsNot counts the calls of the store: a client that
// goes on asking for what is spent costs none.
func TestSpentIsRememberedAndARaisedLimitIsNot(t *testing.T) {
	b := newBench(64 * 64)
	l := b.live(t, b.start(t))
	a, c := policy.Budget{ID: 1, Max: 2}, policy.Budget{ID: 2, Max: 9}

	spend := func(want error, asks int64, budgets ...policy.Budget) {
		t.Helper()
		before := b.m.asked.Load()

		if _, err := b.Spend(t.Context(), &l.Key, budgets); !errors.Is(err, want) {
			t.Errorf("Spend(%v) = %v, want %v", budgets, err, want)
		}
		if n := b.m.asked.Load() - before; n != asks {
			t.Errorf("Spend(%v) made %d calls of the store, want %d", budgets, n, asks)
		}
	}

	spend(nil, 1, a, c)
	spend(nil, 1, a)
	spend(jeton.ErrSpent, 1, a, c)

	for range 3 {
		spend(jeton.ErrSpent, 0, a, c)
		spend(jeton.ErrSpent, 0, a)
	}

	spend(nil, 1, c) // the one that is not spent
	a.Max = 3
	spend(nil, 1, a)
	spend(jeton.ErrSpent, 1, a)
	spend(jeton.ErrSpent, 0, a)

	a.Max = 2
	spend(jeton.ErrSpent, 0, a)

	if _, err := b.Left(t.Context(), &l.Key, []policy.Budget{a, c}); !errors.Is(err, jeton.ErrSpent) {
		t.Errorf("Left with nothing left: %v, want ErrSpent", err)
	}
	if n, err := b.Left(t.Context(), &l.Key, []policy.Budget{c, {ID: 3, Max: 4}}); err != nil || n != 4 {
		t.Errorf("Left = %d, %v, want the smaller 4", n, err)
	}
}

// TestEndNeedsAName checks that an empty Which, as after a programming error, does not end
// the sessions of all users.
func TestEndNeedsAName(t *testing.T) {
	b := newBench(64 * 64)
	s := b.start(t)

	if _, err := b.End(t.Context(), Which{}, jeton.Event{}); !errors.Is(err, jeton.ErrInvalid) {
		t.Errorf("End of nothing in particular: %v, want ErrInvalid", err)
	}

	b.live(t, s)
	if n, err := b.End(t.Context(), Which{ID: "s_none"}, jeton.Event{}); n != 0 || err != nil {
		t.Errorf("End of none = %d, %v, want 0 and no error", n, err)
	}
}

func TestListShowsWhatHasNotEnded(t *testing.T) {
	b := newBench(64 * 64)
	idle, used := b.start(t), b.start(t)
	l := b.live(t, used)
	b.Used(l, noon.Add(8*time.Minute))
	b.now = noon.Add(10 * time.Minute)

	young := b.start(t)
	list, _, err := b.List(t.Context(), Which{}, 9)
	if err != nil {
		t.Fatal(err)
	}

	var got []string
	for _, s := range list {
		got = append(got, s.ID)
	}

	want := []string{young.ID, used.ID}
	if !slices.Equal(got, want) {
		t.Errorf("List = %v, want %v and not %s, which is idle", got, want, idle.ID)
	}
	if !list[1].LastUsed.Equal(noon.Add(8 * time.Minute)) {
		t.Errorf("LastUsed = %v, want the value that is not written yet", list[1].LastUsed)
	}

	b.now = noon.Add(2 * time.Hour)
	if list, next, err := b.List(t.Context(), Which{}, 9); err != nil || list == nil || len(list) != 0 || next != 0 {
		t.Errorf("List = %v, %d, %v, want an empty list and no next page", list, next, err)
	}
}

// TestPagesHaveNoHoles lists sessions between which there are many idle ones.
func TestPagesHaveNoHoles(t *testing.T) {
	b := newBench(64 * 64)
	var used []string
	for range 5 {
		s := b.start(t)
		used = append([]string{s.ID}, used...) // newest first
		b.Used(b.live(t, s), noon.Add(8*time.Minute))

		for range 4 {
			b.start(t)
		}
	}

	b.now = noon.Add(10 * time.Minute) // the idle timeout

	for _, tc := range []struct {
		limit int
		pages int
	}{{1, 5}, {2, 3}, {5, 1}, {9, 1}} {
		var got []string
		pages := 0
		var which Which
		for more := true; more && pages < 10; pages++ {
			page, next, err := b.List(t.Context(), which, tc.limit)
			if err != nil {
				t.Fatal(err)
			}

			for _, s := range page {
				got = append(got, s.ID)
			}
			which.Before, more = next, next != 0
		}

		// The last page may turn out to be empty: only idle sessions were left.
		if !slices.Equal(got, used) || pages < tc.pages || pages > tc.pages+1 {
			t.Errorf("%d pages of %d: %v, want %d with %v", pages, tc.limit, got, tc.pages, used)
		}
	}
}

// TestEndedIsEnded logs in, uses the session, logs out and is refused, ten thousand times.
func TestEndedIsEnded(t *testing.T) {
	const workers, each = 10, 1000

	b := newBench(256) // smaller than what is live, so that sessions come and go
	ends := []func(s Started, o Owner) (int, error){
		func(s Started, _ Owner) (int, error) { return b.End(t.Context(), Which{ID: s.ID}, jeton.Event{}) },
		func(_ Started, o Owner) (int, error) { return b.End(t.Context(), Which{User: o.Name}, jeton.Event{}) },
		func(s Started, o Owner) (int, error) { // as a changed password does
			b.m.mu.Lock()
			n := len(b.m.end(func(r Record) bool { return r.User == o.ID }))
			b.m.mu.Unlock()
			b.m.Publish(change.Change{Kind: change.Users, IDs: []int64{o.ID}})
			return n, nil
		},
	}

	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			o := Owner{ID: int64(w + 1), Name: strings.Repeat("x", w+1), Version: 1}
			for i := range each {
				s, err := b.Start(t.Context(), o, "shop", terms, jeton.Event{})
				if err != nil {
					t.Errorf("Start: %v", err)
					return
				}

				var readers sync.WaitGroup
				for range bits.Len(uint(i%8)) + 1 {
					readers.Go(func() {
						for range 3 {
							_, _ = b.find(t, s)
						}
					})
				}

				if n, err := ends[i%len(ends)](s, o); n != 1 || err != nil {
					t.Errorf("End = %d, %v, want 1", n, err)
				}
				if _, err := b.find(t, s); !errors.Is(err, jeton.ErrBadCredential) {
					t.Errorf("sequence %d: Find after the end = %v, want ErrBadCredential", i, err)
				}

				readers.Wait()
				if _, err := b.find(t, s); !errors.Is(err, jeton.ErrBadCredential) {
					t.Errorf(
						"sequence %d: Find after the end, once readers were done = %v, want ErrBadCredential",
						i, err,
					)
				}
			}
		})
	}

	wg.Wait()
}

func TestNewFillsInRandomness(t *testing.T) {
	s := New(Config{Store: &memory{}, Log: slog.New(slog.DiscardHandler)})
	if s.rand == nil {
		t.Error("New without randomness: rand = nil, want that of the system")
	}
}

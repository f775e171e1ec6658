package policy

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
)

var noon = time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)

// ago returns the times that lie so far before noon; negative ones lie after it.
func ago(spans ...time.Duration) []time.Time {
	var list []time.Time
	for _, d := range spans {
		list = append(list, noon.Add(-d))
	}
	return list
}

func TestWindow(t *testing.T) {
	w := Window{Opens: noon.Add(10 * time.Second), Closes: noon.Add(30 * time.Second)}
	for _, tc := range []struct {
		name  string
		w     Window
		after time.Duration
		want  error
	}{
		{"a second early", w, 9 * time.Second, jeton.ErrTooEarly},
		{"a nanosecond early", w, 10*time.Second - 1, jeton.ErrTooEarly},
		{"as it opens", w, 10 * time.Second, nil},
		{"a nanosecond before it closes", w, 30*time.Second - 1, nil},
		{"as it closes", w, 30 * time.Second, jeton.ErrExpired},
		{"long after", w, time.Hour, jeton.ErrExpired},
		{"the zero window is always over", Window{}, 0, jeton.ErrExpired},
		{"without an opening it is open from ever", Window{Closes: noon}, -time.Hour, nil},
		{"without a closing it is over", Window{Opens: noon}, time.Hour, jeton.ErrExpired},
		{
			"closed before it opens, it is over and never early",
			Window{Opens: noon.Add(time.Hour), Closes: noon},
			time.Minute,
			jeton.ErrExpired,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if err := tc.w.Check(noon.Add(tc.after)); !errors.Is(err, tc.want) {
				t.Errorf("Check(noon+%v) = %v, want %v", tc.after, err, tc.want)
			}
		})
	}
}

func TestIdle(t *testing.T) {
	for _, tc := range []struct {
		name  string
		limit time.Duration
		after time.Duration
		want  error
	}{
		{"just used", time.Minute, 0, nil},
		{"a nanosecond under the limit", time.Minute, time.Minute - 1, nil},
		{"at the limit", time.Minute, time.Minute, jeton.ErrExpired},
		{"over the limit", time.Minute, time.Hour, jeton.ErrExpired},
		{"the clock has jumped back", time.Minute, -time.Hour, nil},
		{"no limit is a forgotten one and closed", 0, 0, jeton.ErrExpired},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if err := Idle(noon, tc.limit, noon.Add(tc.after)); !errors.Is(err, tc.want) {
				t.Errorf("Idle after %v of %v = %v, want %v", tc.after, tc.limit, err, tc.want)
			}
		})
	}
}

func TestLogin(t *testing.T) {
	live := func(login int64) OpenSession {
		return OpenSession{
			Login:    login,
			Closes:   noon.Add(time.Hour),
			LastUsed: noon.Add(-time.Minute),
			Idle:     10 * time.Minute,
		}
	}

	over, idle := live(1), live(2)
	over.Closes = noon
	idle.LastUsed = noon.Add(-10 * time.Minute)
	free := Relogin{Max: Unlimited}
	for _, tc := range []struct {
		name  string
		terms Terms
		open  []OpenSession
		evict []int64
		want  error
	}{
		{"nobody is there", Terms{MaxSessions: 1, WhenFull: EvictOldest, Relogin: free}, nil, nil, nil},
		{
			"there is room",
			Terms{MaxSessions: 3, WhenFull: EvictOldest, Relogin: free},
			[]OpenSession{live(1), live(2)},
			nil,
			nil,
		},
		{
			"full, the oldest goes",
			Terms{MaxSessions: 2, WhenFull: EvictOldest, Relogin: free},
			[]OpenSession{live(3), live(4)},
			[]int64{3},
			nil,
		},
		{
			"full, nobody goes",
			Terms{MaxSessions: 2, WhenFull: Refuse, Relogin: free},
			[]OpenSession{live(3), live(4)},
			nil,
			jeton.ErrSessionsFull,
		},
		{
			"full, and not said what then",
			Terms{MaxSessions: 2, Relogin: free},
			[]OpenSession{live(3), live(4)},
			nil,
			jeton.ErrSessionsFull,
		},
		{
			"overfull since the limit was lowered, as many go as must",
			Terms{MaxSessions: 2, WhenFull: EvictOldest, Relogin: free},
			[]OpenSession{live(3), live(4), live(5), live(6)},
			[]int64{3, 4, 5},
			nil,
		},
		{
			"what has ended does not count and is not evicted",
			Terms{MaxSessions: 2, WhenFull: EvictOldest, Relogin: free},
			[]OpenSession{over, idle, live(3)},
			nil,
			nil,
		},
		{
			"what has ended does not count against who is refused",
			Terms{MaxSessions: 1, WhenFull: Refuse, Relogin: free},
			[]OpenSession{over, idle},
			nil,
			nil,
		},
		{
			"the oldest that is live goes",
			Terms{MaxSessions: 1, WhenFull: EvictOldest, Relogin: free},
			[]OpenSession{over, idle, live(3)},
			[]int64{3},
			nil,
		},
		{"no limit", Terms{MaxSessions: Unlimited, Relogin: free}, []OpenSession{live(1), live(2)}, nil, nil},
		{"a limit of none", Terms{WhenFull: EvictOldest, Relogin: free}, nil, nil, jeton.ErrSessionsFull},
		{
			"a limit below none",
			Terms{MaxSessions: -2, WhenFull: EvictOldest, Relogin: free},
			nil,
			nil,
			jeton.ErrSessionsFull,
		},
		{"zero terms let nobody in", Terms{}, nil, nil, jeton.ErrRelogin},
		{
			"who may not log in evicts nobody",
			Terms{MaxSessions: 1, WhenFull: EvictOldest},
			[]OpenSession{live(1)},
			nil,
			jeton.ErrRelogin,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			before := slices.Clone(tc.open)
			evict, err := tc.terms.CheckLogin(History{Open: tc.open}, noon)
			if !slices.Equal(evict, tc.evict) || !errors.Is(err, tc.want) {
				t.Errorf("Login = %v, %v, want %v, %v", evict, err, tc.evict, tc.want)
			}

			if !slices.Equal(tc.open, before) {
				t.Error("the history was changed")
			}
		})
	}
}

func TestRelogin(t *testing.T) {
	const s, m, h = time.Second, time.Minute, time.Hour
	twice := Relogin{Max: 2, Window: h}
	cool := Relogin{Max: Unlimited, Cooldown: m}
	once := Relogin{Max: 1}
	for _, tc := range []struct {
		name   string
		terms  Relogin
		logins []time.Time
		want   error
		wait   time.Duration // 0: waiting does not help
	}{
		{"unlimited", Relogin{Max: Unlimited}, ago(s, 0, -s), nil, 0},
		{"zero", Relogin{}, nil, jeton.ErrRelogin, 0},
		{"below unlimited is a mistake and closed", Relogin{Max: -2, Window: h}, nil, jeton.ErrRelogin, 0},
		{"the first", twice, nil, nil, 0},
		{"the second", twice, ago(m), nil, 0},
		{"the third, in the window", twice, ago(30*m, m), jeton.ErrRelogin, 30 * m},
		{"the third, a nanosecond before there is room", twice, ago(h-1, m), jeton.ErrRelogin, 1},
		{"the third, as the first leaves the window", twice, ago(h, m), nil, 0},
		{"over the limit since it was lowered: two must leave", twice, ago(50*m, 40*m, 10*m), jeton.ErrRelogin, 20 * m},
		{"the clock has jumped back: the future counts as now", twice, ago(-2*h, -h), jeton.ErrRelogin, h},
		{"cooling down", cool, ago(h, 20*s), jeton.ErrRelogin, 40 * s},
		{"a nanosecond before it is cool", cool, ago(m - 1), jeton.ErrRelogin, 1},
		{"cool", cool, ago(m), nil, 0},
		{"cooling down after the clock has jumped back", cool, ago(-h), jeton.ErrRelogin, m},
		{"one for all time, the first", once, nil, nil, 0},
		{"one for all time, years later", once, ago(20000 * h), jeton.ErrRelogin, 0},
		{
			"cooling down would not help who needs an operator",
			Relogin{Max: 1, Cooldown: m},
			ago(s),
			jeton.ErrRelogin,
			0,
		},
		{"a negative window is a mistake and closed", Relogin{Max: 1, Window: -h}, ago(s), jeton.ErrRelogin, 0},
		{
			"window and cooldown: the longer wait is told",
			Relogin{Max: 1, Window: h, Cooldown: m},
			ago(s),
			jeton.ErrRelogin,
			h - s,
		},
		{
			"cooldown and window: the longer wait is told",
			Relogin{Max: 2, Window: m, Cooldown: h},
			ago(s),
			jeton.ErrRelogin,
			h - s,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			terms := Terms{MaxSessions: Unlimited, Relogin: tc.terms}
			_, err := terms.CheckLogin(History{Logins: tc.logins}, noon)
			if !errors.Is(err, tc.want) {
				t.Fatalf("Login = %v, want %v", err, tc.want)
			}

			wait, told := jeton.RetryAfter(err)
			if wait != tc.wait || told != (tc.wait != 0) {
				t.Errorf("told to wait %v (%t), want %v", wait, told, tc.wait)
			}

			if tc.wait > 0 {
				if _, err := terms.CheckLogin(History{
					Logins: tc.logins,
				}, noon.Add(tc.wait)); err != nil && !noon.Before(tc.logins[len(tc.logins)-1]) {
					t.Errorf("after waiting %v: %v", tc.wait, err)
				}
			}
		})
	}
}

func TestRemembers(t *testing.T) {
	for _, tc := range []struct {
		name   string
		terms  Relogin
		since  time.Time
		counts bool
	}{
		{"unlimited remembers nothing", Relogin{Max: Unlimited}, noon, false},
		{"a window", Relogin{Max: 3, Window: time.Hour}, noon.Add(-time.Hour), true},
		{"a cooldown", Relogin{Max: Unlimited, Cooldown: time.Minute}, noon.Add(-time.Minute), true},
		{"the longer of both", Relogin{Max: 3, Window: time.Minute, Cooldown: time.Hour}, noon.Add(-time.Hour), true},
		{"for all time", Relogin{Max: 3, Cooldown: time.Hour}, time.Time{}, true},
		{"zero", Relogin{}, time.Time{}, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := tc.terms.HistoryFrom(noon)
			if !got.Equal(tc.since) || tc.terms.NeedsHistory() != tc.counts {
				t.Errorf("Remembers = %v, Counts = %t, want %v, %t", got, tc.terms.NeedsHistory(), tc.since, tc.counts)
			}
		})
	}
}

// TestForgettingChangesNoVerdict checks Remembers against the verdicts: a login that is
// no longer remembered would not have mattered.
func TestForgettingChangesNoVerdict(t *testing.T) {
	spans := []time.Duration{
		-time.Minute,
		0,
		1,
		59 * time.Second,
		time.Minute,
		time.Minute + 1,
		time.Hour - 1,
		time.Hour,
		2 * time.Hour,
	}
	for _, most := range []int{Unlimited, 0, 1, 2} {
		for _, window := range []time.Duration{0, time.Minute, time.Hour} {
			for _, cooldown := range []time.Duration{0, time.Minute, time.Hour} {
				r := Relogin{Max: most, Window: window, Cooldown: cooldown}
				for i := range spans {
					all := ago(spans[i:]...)
					slices.Reverse(all) // oldest first
					kept := slices.DeleteFunc(slices.Clone(all), func(at time.Time) bool {
						return !at.After(r.HistoryFrom(noon))
					})
					a, b := r.check(all, noon), r.check(kept, noon)
					if jeton.Code(a) != jeton.Code(b) {
						t.Errorf("%+v: %v with all logins, %v with those remembered", r, a, b)
					}
				}
			}
		}
	}
}

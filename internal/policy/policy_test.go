package policy

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
)

var noon = time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)

// ago returns times before noon; a negative span gives a time after noon.
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
		{"the zero window is always expired", Window{}, 0, jeton.ErrExpired},
		{"without an opening it was always open", Window{Closes: noon}, -time.Hour, nil},
		{"without a closing it is expired", Window{Opens: noon}, time.Hour, jeton.ErrExpired},
		{
			"it closes before it opens: expired, not early",
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

// TestTokenTermsWindow checks that a delay is never short and a lifetime never long, at any point of a second.
func TestTokenTermsWindow(t *testing.T) {
	const s = time.Second

	for _, tc := range []struct {
		name          string
		terms         TokenTerms
		issued        time.Duration // after noon
		opens, closes time.Duration // after noon
	}{
		{"no delay: valid at once", TokenTerms{Lifetime: 30 * s}, 400 * time.Millisecond, 0, 30 * s},
		{"a delay, at the start of a second", TokenTerms{Delay: 10 * s, Lifetime: 30 * s}, 0, 10 * s, 30 * s},
		{"a delay, just after it", TokenTerms{Delay: 10 * s, Lifetime: 30 * s}, 1, 11 * s, 30 * s},
		{"a delay, at the end of a second", TokenTerms{Delay: 10 * s, Lifetime: 30 * s}, s - 1, 11 * s, 30 * s},
		{"fractions of a second", TokenTerms{Delay: s + s/2, Lifetime: 30*s + s/2}, s / 2, 2 * s, 30 * s},
		{
			"whole seconds, at the end of a second",
			TokenTerms{Delay: 10 * s, Lifetime: 30 * s, WholeSeconds: true},
			s - 1,
			10 * s,
			30 * s,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := tc.terms.Window(noon.Add(tc.issued))
			want := Window{Opens: noon.Add(tc.opens), Closes: noon.Add(tc.closes)}
			if !got.Opens.Equal(want.Opens) || !got.Closes.Equal(want.Closes) {
				t.Errorf("Window(noon+%v) = %v, want %v", tc.issued, got, want)
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
		{"the clock was set back", time.Minute, -time.Hour, nil},
		{"a zero limit is closed", 0, 0, jeton.ErrExpired},
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

	expired, idle := live(1), live(2)
	expired.Closes = noon
	idle.LastUsed = noon.Add(-10 * time.Minute)
	free := Relogin{Max: Unlimited}
	for _, tc := range []struct {
		name  string
		terms Terms
		open  []OpenSession
		evict []int64
		want  error
	}{
		{"no sessions", Terms{MaxSessions: 1, WhenFull: EvictOldest, Relogin: free}, nil, nil, nil},
		{
			"fewer than the maximum",
			Terms{MaxSessions: 3, WhenFull: EvictOldest, Relogin: free},
			[]OpenSession{live(1), live(2)},
			nil,
			nil,
		},
		{
			"full, the oldest is evicted",
			Terms{MaxSessions: 2, WhenFull: EvictOldest, Relogin: free},
			[]OpenSession{live(3), live(4)},
			[]int64{3},
			nil,
		},
		{
			"full, the login is refused",
			Terms{MaxSessions: 2, WhenFull: Refuse, Relogin: free},
			[]OpenSession{live(3), live(4)},
			nil,
			jeton.ErrSessionsFull,
		},
		{
			"full, without a rule",
			Terms{MaxSessions: 2, Relogin: free},
			[]OpenSession{live(3), live(4)},
			nil,
			jeton.ErrSessionsFull,
		},
		{
			"over the maximum since it was lowered, as many as needed are evicted",
			Terms{MaxSessions: 2, WhenFull: EvictOldest, Relogin: free},
			[]OpenSession{live(3), live(4), live(5), live(6)},
			[]int64{3, 4, 5},
			nil,
		},
		{
			"expired sessions do not count and are not evicted",
			Terms{MaxSessions: 2, WhenFull: EvictOldest, Relogin: free},
			[]OpenSession{expired, idle, live(3)},
			nil,
			nil,
		},
		{
			"expired sessions do not count where logins are refused",
			Terms{MaxSessions: 1, WhenFull: Refuse, Relogin: free},
			[]OpenSession{expired, idle},
			nil,
			nil,
		},
		{
			"the oldest live one is evicted",
			Terms{MaxSessions: 1, WhenFull: EvictOldest, Relogin: free},
			[]OpenSession{expired, idle, live(3)},
			[]int64{3},
			nil,
		},
		{"no limit", Terms{MaxSessions: Unlimited, Relogin: free}, []OpenSession{live(1), live(2)}, nil, nil},
		{"a limit of zero", Terms{WhenFull: EvictOldest, Relogin: free}, nil, nil, jeton.ErrSessionsFull},
		{
			"a limit below zero",
			Terms{MaxSessions: -2, WhenFull: EvictOldest, Relogin: free},
			nil,
			nil,
			jeton.ErrSessionsFull,
		},
		{"zero terms allow no login", Terms{}, nil, nil, jeton.ErrRelogin},
		{
			"a refused login evicts no session",
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
				t.Errorf("CheckLogin = %v, %v, want %v, %v", evict, err, tc.evict, tc.want)
			}

			if !slices.Equal(tc.open, before) {
				t.Errorf("the history is now %v, want %v", tc.open, before)
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
		{"below unlimited is closed", Relogin{Max: -2, Window: h}, nil, jeton.ErrRelogin, 0},
		{"the first", twice, nil, nil, 0},
		{"the second", twice, ago(m), nil, 0},
		{"the third, in the window", twice, ago(30*m, m), jeton.ErrRelogin, 30 * m},
		{"the third, a nanosecond too early", twice, ago(h-1, m), jeton.ErrRelogin, 1},
		{"the third, as the first leaves the window", twice, ago(h, m), nil, 0},
		{
			"over the limit since it was lowered: two must leave the window",
			twice,
			ago(50*m, 40*m, 10*m),
			jeton.ErrRelogin,
			20 * m,
		},
		{"the clock was set back: the future counts as now", twice, ago(-2*h, -h), jeton.ErrRelogin, h},
		{"cooling down", cool, ago(h, 20*s), jeton.ErrRelogin, 40 * s},
		{"a nanosecond before it is cool", cool, ago(m - 1), jeton.ErrRelogin, 1},
		{"cool", cool, ago(m), nil, 0},
		{"cooling down after the clock was set back", cool, ago(-h), jeton.ErrRelogin, m},
		{"one forever, the first", once, nil, nil, 0},
		{"one forever, years later", once, ago(20000 * h), jeton.ErrRelogin, 0},
		{
			"a cooldown where an operator must allow more",
			Relogin{Max: 1, Cooldown: m},
			ago(s),
			jeton.ErrRelogin,
			0,
		},
		{"a negative window is closed", Relogin{Max: 1, Window: -h}, ago(s), jeton.ErrRelogin, 0},
		{
			"window and cooldown: the longer wait is returned",
			Relogin{Max: 1, Window: h, Cooldown: m},
			ago(s),
			jeton.ErrRelogin,
			h - s,
		},
		{
			"cooldown and window: the longer wait is returned",
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
				t.Fatalf("CheckLogin = %v, want %v", err, tc.want)
			}

			wait, ok := jeton.RetryAfter(err)
			if wait != tc.wait || ok != (tc.wait != 0) {
				t.Errorf("RetryAfter = %v, %t, want %v", wait, ok, tc.wait)
			}

			if tc.wait > 0 {
				_, err := terms.CheckLogin(History{Logins: tc.logins}, noon.Add(tc.wait))
				last := tc.logins[len(tc.logins)-1]
				if err != nil && !noon.Before(last) {
					t.Errorf("CheckLogin after waiting %v = %v, want nil", tc.wait, err)
				}
			}
		})
	}
}

func TestHistoryFrom(t *testing.T) {
	for _, tc := range []struct {
		name  string
		terms Relogin
		since time.Time
		needs bool
	}{
		{"unlimited needs no history", Relogin{Max: Unlimited}, noon, false},
		{"a window", Relogin{Max: 3, Window: time.Hour}, noon.Add(-time.Hour), true},
		{"a cooldown", Relogin{Max: Unlimited, Cooldown: time.Minute}, noon.Add(-time.Minute), true},
		{"the longer of both", Relogin{Max: 3, Window: time.Minute, Cooldown: time.Hour}, noon.Add(-time.Hour), true},
		{"forever", Relogin{Max: 3, Cooldown: time.Hour}, time.Time{}, true},
		{"zero", Relogin{}, time.Time{}, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := tc.terms.HistoryFrom(noon)
			if !got.Equal(tc.since) || tc.terms.NeedsHistory() != tc.needs {
				t.Errorf(
					"HistoryFrom = %v, NeedsHistory = %t, want %v, %t",
					got, tc.terms.NeedsHistory(), tc.since, tc.needs,
				)
			}
		})
	}
}

// TestDeletingOldLoginsChangesNoVerdict checks that a login before HistoryFrom would not have
// mattered.
func TestDeletingOldLoginsChangesNoVerdict(t *testing.T) {
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

	for _, limit := range []int{Unlimited, 0, 1, 2} {
		for _, window := range []time.Duration{0, time.Minute, time.Hour} {
			for _, cooldown := range []time.Duration{0, time.Minute, time.Hour} {
				r := Relogin{Max: limit, Window: window, Cooldown: cooldown}
				for i := range spans {
					all := ago(spans[i:]...)
					slices.Reverse(all) // oldest first

					kept := slices.DeleteFunc(slices.Clone(all), func(at time.Time) bool {
						return !at.After(r.HistoryFrom(noon))
					})

					a, b := r.check(all, noon), r.check(kept, noon)
					if jeton.Code(a) != jeton.Code(b) {
						t.Errorf("%+v: verdict %v with the remaining logins, want %v as with all", r, b, a)
					}
				}
			}
		}
	}
}

package signin

import (
	"testing"
	"time"

	"github.com/jeton-auth/jeton/internal/jose"
)

func TestAssertionsFromBeforeARestore(t *testing.T) {
	restored := time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
	after := func(d time.Duration) time.Time { return restored.Add(d) }
	for _, tc := range []struct {
		name   string
		claims jose.Claims
		now    time.Time
		want   bool
	}{
		{"issued long before", jose.Claims{ID: "j", IssuedAt: after(-time.Minute)}, after(time.Second), true},
		{"issued in the same moment", jose.Claims{ID: "j", IssuedAt: restored}, after(time.Second), true},
		{
			"issued by a clock that is ahead as far as it may be",
			jose.Claims{ID: "j", IssuedAt: after(maxSkew)},
			after(time.Second),
			true,
		},
		{
			"issued after that",
			jose.Claims{ID: "j", IssuedAt: after(maxSkew + time.Second)},
			after(maxSkew + time.Second),
			false,
		},
		{"issued long after", jose.Claims{ID: "j", IssuedAt: after(time.Hour)}, after(time.Hour), false},
		{
			"issued before, and shown long after",
			jose.Claims{ID: "j", IssuedAt: after(-time.Minute)},
			after(time.Hour),
			true,
		},
		{"with an end alone that is near", jose.Claims{ID: "j", Expires: after(time.Minute)}, after(time.Second), true},
		{
			"with an end alone that one of now would have",
			jose.Claims{ID: "j", Expires: after(MaxAssertion + time.Minute)},
			after(time.Minute),
			false,
		},
		{"without any time, soon", jose.Claims{ID: "j"}, after(MaxAssertion - time.Second), true},
		{"without any time, when it would have been forgotten", jose.Claims{ID: "j"}, after(MaxAssertion), false},
		{
			"without jti it may be shown again anyway",
			jose.Claims{IssuedAt: after(-time.Second)},
			after(time.Second),
			false,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := (&Logins{restored: restored}).mayBeUsedBeforeRestore(tc.claims, tc.now)
			if got != tc.want {
				t.Errorf("forgotten is %t, want %t", got, tc.want)
			}
			if (&Logins{}).mayBeUsedBeforeRestore(tc.claims, tc.now) {
				t.Error("it is forgotten where nothing was restored")
			}
		})
	}
}

package signin

import (
	"testing"
	"time"

	"github.com/jeton-auth/jeton/internal/jose"
)

// TestAnAssertionFromBeforeARestoreIsRefused stands for a replay: a restore loses which
// assertions were used since the backup.
func TestAnAssertionFromBeforeARestoreIsRefused(t *testing.T) {
	restored := time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
	after := func(d time.Duration) time.Time { return restored.Add(d) }
	for _, tc := range []struct {
		name   string
		claims jose.Claims
		now    time.Time
		want   bool
	}{
		{"issued long before", jose.Claims{ID: "j", IssuedAt: after(-time.Minute)}, after(time.Second), true},
		{"issued at that moment", jose.Claims{ID: "j", IssuedAt: restored}, after(time.Second), true},
		{
			"issued by a clock that is ahead by the maximum",
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
		{"with only an exp, soon", jose.Claims{ID: "j", Expires: after(time.Minute)}, after(time.Second), true},
		{
			"with only an exp, as of a later assertion",
			jose.Claims{ID: "j", Expires: after(MaxAssertion + time.Minute)},
			after(time.Minute),
			false,
		},
		{"without any time, soon", jose.Claims{ID: "j"}, after(MaxAssertion - time.Second), true},
		{"without any time, when its use would no longer be kept", jose.Claims{ID: "j"}, after(MaxAssertion), false},
		{
			"without jti, which may be used again anyway",
			jose.Claims{IssuedAt: after(-time.Second)},
			after(time.Second),
			false,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := (&Logins{restored: restored}).mayBeUsedBeforeRestore(tc.claims, tc.now)
			if got != tc.want {
				t.Errorf("mayBeUsedBeforeRestore = %t, want %t", got, tc.want)
			}
			if (&Logins{}).mayBeUsedBeforeRestore(tc.claims, tc.now) {
				t.Error("mayBeUsedBeforeRestore without a restore = true, want false")
			}
		})
	}
}

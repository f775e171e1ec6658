package token

import (
	"testing"
	"time"
)

func TestALastUseIsPendingUntilItIsWritten(t *testing.T) {
	noon := time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)
	uses := lastUses{pending: map[int64]int64{}}
	live := &Live{Record: Record{Number: 7}, uses: &uses}
	signed := &Live{uses: &uses}

	pending := func(when string, want time.Time) {
		t.Helper()
		if got := uses.of(7); got != want.UnixMilli() && !(got == 0 && want.IsZero()) {
			t.Errorf("%s: pending %v, want %v", when, time.UnixMilli(got).UTC(), want)
		}
	}

	live.Used(noon)
	signed.Used(noon) // is not stored
	pending("after a use", noon)
	live.Used(noon.Add(999 * time.Millisecond))
	pending("after another use within a second", noon)

	at := uses.take(10)
	if len(at) != 1 || !at[7].Equal(noon) {
		t.Errorf("take = %v, want one of token 7 at %v", at, noon)
	}
	pending("while it is written", noon)

	live.Used(noon.Add(time.Second))
	uses.written(at)
	pending("after a use while the previous one was written", noon.Add(time.Second))

	uses.written(uses.take(10))
	pending("after the write", time.Time{})

	for n := range int64(maxPending) {
		uses.add(100+n, 1)
	}
	live.Used(noon.Add(time.Minute))
	pending("with no memory left", time.Time{})
	if n := len(uses.take(100)); n != 100 {
		t.Errorf("take(100) = %d last uses, want 100", n)
	}

	uses.written(uses.take(1))
	live.Used(noon.Add(time.Minute))
	pending("with memory again", noon.Add(time.Minute))
}

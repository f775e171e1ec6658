package token

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jeton-auth/jeton"
)

func TestStepsOfOneOwnerWaitForEachOtherAndKeepNoneOfOthersWaiting(t *testing.T) {
	var all turns
	var running, most atomic.Int64
	var wg sync.WaitGroup
	for range 200 {
		wg.Go(func() {
			free, err := all.take(t.Context(), "user diane")
			if err != nil {
				t.Error(err)
				return
			}
			defer free()

			n := running.Add(1)
			for old := most.Load(); n > old && !most.CompareAndSwap(old, n); old = most.Load() {
			}
			running.Add(-1)
		})
	}
	wg.Wait()
	if n := most.Load(); n > atOnce || n == 0 {
		t.Errorf("%d steps ran at once, want 1 to %d", n, atOnce)
	}

	for range atOnce {
		free, err := all.take(t.Context(), "user diane")
		if err != nil {
			t.Fatal(err)
		}
		defer free()
	}

	ended, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := all.take(ended, "user diane")
	if _, ok := jeton.RetryAfter(err); !errors.Is(err, jeton.ErrBusy) || !ok {
		t.Errorf("take without a free slot = %v, want ErrBusy with a time", err)
	}

	free, err := all.take(t.Context(), "user bob")
	if err != nil {
		t.Fatalf("take of another owner = %v, want a slot", err)
	}
	free()
	if n := len(all.of); n != 1 {
		t.Errorf("%d owners are kept, want the one with steps", n)
	}
}

package password

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
)

// TestQueue plays the worker by hand: a pool that is not running takes jobs and
// keeps them until the test ends them.
func TestQueue(t *testing.T) {
	p, err := New(Config{Workers: 2, Queue: 1})
	if err != nil {
		t.Fatal(err)
	}

	pw := jeton.NewSecret("12345678")
	verify := func(ctx context.Context) <-chan error {
		done := make(chan error, 1)
		before := held(p)
		go func() {
			_, _, err := p.Verify(ctx, "", pw)
			done <- err
		}()

		for held(p) == before && len(done) == 0 {
			time.Sleep(time.Millisecond)
		}

		return done
	}

	first, second := verify(t.Context()), verify(t.Context())
	begun := []*job{<-p.jobs, <-p.jobs}
	leaving, leave := context.WithCancel(t.Context())
	third := verify(leaving)

	full := func(when string) {
		t.Helper()
		err := <-verify(t.Context())
		if wait, ok := jeton.RetryAfter(err); !errors.Is(err, jeton.ErrBusy) || !ok || wait != time.Second {
			t.Errorf("%s: %v after %v, want ErrBusy after 1s", when, err, wait)
		}
	}

	full("two begun and one waiting")
	leave()

	if err := <-third; !errors.Is(err, context.Canceled) {
		t.Errorf("canceled caller: got %v, want context.Canceled", err)
	}

	full("the caller has left, and its turn has not come")
	p.end(begun[0], answer{key: make([]byte, keySize)})

	if err := <-first; err != nil {
		t.Errorf("first: %v", err)
	}

	fourth := verify(t.Context())
	full("a place was given up and taken again")

	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()

	if err := <-fourth; err != nil {
		t.Errorf("fourth: %v", err)
	}

	p.end(begun[1], answer{key: make([]byte, keySize)})
	if err := <-second; err != nil {
		t.Errorf("second: %v", err)
	}

	stop()
	if err := <-ended; err != nil {
		t.Errorf("Run: %v", err)
	}

	full("after Run")
	n := held(p)
	if n != 0 {
		t.Errorf("%d places still held, want 0", n)
	}

	if err := p.Run(t.Context()); err == nil {
		t.Error("Run a second time succeeded")
	}
}

func TestAJobWithoutACallerIsSkipped(t *testing.T) {
	p, err := New(Config{Workers: 1, Queue: 1})
	if err != nil {
		t.Fatal(err)
	}

	leaving, leave := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { _, _, _ = p.Verify(leaving, "", jeton.NewSecret("x")) })
	j := <-p.jobs
	leave()

	wg.Wait()
	p.jobs <- j
	ctx, stop := context.WithCancel(t.Context())
	wg.Go(func() { _ = p.Run(ctx) })
	a := <-j.done
	if a.key != nil || !errors.Is(a.err, context.Canceled) {
		t.Errorf("job without a caller: %v, want context canceled and no key", a.err)
	}

	stop()
	wg.Wait()
}

func held(p *Pool) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.held
}

func TestCallersWhoWaitWhenRunEnds(t *testing.T) {
	p, err := New(Config{Workers: 1, Queue: 50})
	if err != nil {
		t.Fatal(err)
	}

	var wg sync.WaitGroup
	for range 51 {
		wg.Go(func() {
			if _, _, err := p.Verify(t.Context(), "", jeton.NewSecret("x")); !errors.Is(err, jeton.ErrBusy) {
				t.Errorf("Verify: %v, want ErrBusy", err)
			}
		})
	}

	for held(p) < 51 {
		time.Sleep(time.Millisecond)
	}

	ctx, stop := context.WithCancel(t.Context())
	stop()

	if err := p.Run(ctx); err != nil {
		t.Errorf("Run: %v", err)
	}

	wg.Wait()
}

// TestAJobThatHasBegunHoldsItsPlace checks that leaving does not make room for more
// work than there are workers.
func TestAJobThatHasBegunHoldsItsPlace(t *testing.T) {
	p := running(t, Config{Workers: 1})
	p.params = Params{MemoryKiB: 64 << 10, Passes: 4, Lanes: 1} // some 150 ms
	ctx, leave := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		_, _, err := p.Verify(ctx, "", jeton.NewSecret("x"))
		done <- err
	}()

	for len(p.jobs) > 0 || held(p) == 0 {
		time.Sleep(time.Millisecond)
	}

	leave()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Fatalf("Verify: %v, want context.Canceled", err)
	}
	if _, _, err := p.Verify(t.Context(), "", jeton.NewSecret("x")); !errors.Is(err, jeton.ErrBusy) {
		t.Errorf("the next caller: %v, want ErrBusy while the work goes on", err)
	}

	for held(p) > 0 {
		time.Sleep(time.Millisecond)
	}
}

func TestManyCallers(t *testing.T) {
	twice(t, func(t *testing.T, cfg Config) {
		cfg.Queue = 100
		p := running(t, cfg)
		right, err := p.Hash(t.Context(), jeton.NewSecret("password 7"))
		if err != nil {
			t.Fatal(err)
		}

		var wg sync.WaitGroup
		for i := range 100 {
			wg.Go(func() {
				ok, _, err := p.Verify(t.Context(), right, jeton.NewSecret(fmt.Sprintf("password %d", i)))
				if ok != (i == 7) || err != nil {
					t.Errorf("Verify of password %d = %v, %v", i, ok, err)
				}
			})
		}

		wg.Wait()
	})
}

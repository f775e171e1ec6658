package client_test

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/client"
)

func TestFindIsExact(t *testing.T) {
	b := newFixture(t)
	old := b.add(t, "job", "a")
	for _, tc := range []struct {
		name   string
		change func() error
		seen   func(client.Client) bool
	}{
		{
			"disabled",
			func() error { return b.Disable(t.Context(), "o", "job", true) },
			func(c client.Client) bool { return c.Disabled },
		},
		{
			"enabled",
			func() error { return b.Disable(t.Context(), "o", "job", false) },
			func(c client.Client) bool { return !c.Disabled },
		},
		{"a key", func() error {
			_, err := b.AddKey(t.Context(), "o", "job", client.NewKey{Text: publicPEM(t)})
			return err
		}, func(c client.Client) bool { return len(c.Keys) == 2 }},
		{
			"retired",
			func() error { return b.RetireKey(t.Context(), "o", "job", "a", false) },
			func(c client.Client) bool { return c.Keys[0].Retired || c.Keys[1].Retired },
		},
		{
			"ended",
			func() error { return b.EndTokens(t.Context(), "o", "job") },
			func(c client.Client) bool { return c.Generation() == fmt.Sprintf("c%d.4", old.ID) },
		},
		{"declared", func() error {
			list, err := client.CheckDeclared([]client.Declared{{Name: "job", SecretHash: strings.Repeat("ab", 32)}})
			must(t, err)
			return b.Declare(t.Context(), list)
		}, func(c client.Client) bool { return c.Declared && len(c.Keys) == 1 && c.Keys[0].Retired }},
		{
			"no longer declared",
			func() error { return b.Declare(t.Context(), nil) },
			func(c client.Client) bool { return c.ID == 0 },
		},
		{
			"another with that name",
			func() error { _, _, err := b.Add(t.Context(), "o", client.NewClient{Name: "job"}); return err },
			func(c client.Client) bool { return c.ID > old.ID },
		},
		{
			"removed",
			func() error { return b.Remove(t.Context(), "o", "job") },
			func(c client.Client) bool { return c.ID == 0 },
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b.find(t, "job") // so that it is cached
			must(t, tc.change())
			if c := b.find(t, "job"); !tc.seen(c) {
				t.Errorf("Find after the change = %+v", c.Public())
			}
		})
	}

	b.mu.Lock()
	defer b.mu.Unlock()

	if len(b.changed) != 8 {
		t.Errorf("%d clients were invalidated, want 8", len(b.changed))
	}
}

func TestFindCaches(t *testing.T) {
	b := newFixture(t)
	b.add(t, "job")
	must(t, b.db.Close())

	if c, err := b.Find(t.Context(), "job"); err != nil || c.ID == 0 {
		t.Errorf("Find(a cached client) = %+v, %v, want it with the store closed", c, err)
	}

	_, err := b.Find(t.Context(), "other")
	wants(t, "a client that is not cached, with the store closed", err, jeton.ErrUnavailable)

	_, err = b.Find(t.Context(), "no name at all")
	wants(t, "an invalid name", err, jeton.ErrNotFound)

	if c, err := b.FindForLogin(t.Context(), "no name at all"); err != nil || c.ID != 0 {
		t.Errorf("FindForLogin(no name at all) = %+v, %v, want the zero client", c, err)
	}
}

func TestTheCacheIsLimited(t *testing.T) {
	b := newFixture(t)
	small := client.New(client.Config{Store: b.db, Now: func() time.Time { return noon }, Cache: 2})

	for i := range 5 {
		b.add(t, fmt.Sprintf("job%d", i))
	}

	for i := range 5 {
		_, err := small.Find(t.Context(), fmt.Sprintf("job%d", i))
		must(t, err)
	}

	must(t, b.db.Close())
	kept := 0
	for i := range 5 {
		if _, err := small.Find(t.Context(), fmt.Sprintf("job%d", i)); err == nil {
			kept++
		}
	}

	if kept != 2 {
		t.Errorf("%d clients are cached, want 2", kept)
	}
}

// slow is a store whose reads can be delayed between reading and returning.
type slow struct {
	client.Store
	read, answer chan struct{}
	hold         atomic.Bool
}

// FindClient waits between the read and its result, where a change must not be missed.
func (s *slow) FindClient(ctx context.Context, name string) (client.Client, error) {
	c, err := s.Store.FindClient(ctx, name)
	if s.hold.Load() {
		s.read <- struct{}{}
		<-s.answer
	}

	return c, err
}

// TestAReadThatBeganBeforeAChangeIsNotCached holds a read back until the change is durable:
// kept, the old state would stay in the cache.
func TestAReadThatBeganBeforeAChangeIsNotCached(t *testing.T) {
	b := newFixture(t)
	_, _, err := b.Add(t.Context(), "o", client.NewClient{Name: "job"})
	must(t, err)
	s := &slow{Store: b.db, read: make(chan struct{}), answer: make(chan struct{})}
	clients := client.New(client.Config{Store: s, Now: func() time.Time { return noon }})

	s.hold.Store(true)
	done := make(chan client.Client)
	go func() {
		c, _ := clients.Find(context.Background(), "job")
		done <- c
	}()

	<-s.read
	s.hold.Store(false)
	must(t, clients.Disable(t.Context(), "o", "job", true))
	close(s.answer)

	if c := <-done; c.Disabled {
		t.Error("the read was not in progress before the change, so this test proves nothing")
	}

	c, err := clients.Find(t.Context(), "job")
	must(t, err)

	if !c.Disabled {
		t.Error("Find returns what was read before the change")
	}
}

func TestChangesAgainstFinds(t *testing.T) {
	b := newFixture(t)
	b.add(t, "job", "a")
	var floor atomic.Int64 // the last version that a change has returned
	floor.Store(1)
	stop := make(chan struct{})

	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					runtime.Gosched() // to the goroutine that changes
				}

				oldest := floor.Load()
				c, err := b.FindForLogin(context.Background(), "job")
				if err != nil || c.Version < oldest {
					t.Errorf("Find = version %d, %v, want at least %d", c.Version, err, oldest)
					return
				}
			}
		})
	}

	for i := range 30 {
		must(t, b.EndTokens(t.Context(), "o", "job"))
		floor.Store(int64(i + 2))
	}

	close(stop)
	wg.Wait()
}

package account

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/password"
)

const (
	// scanEvery is how often the stored hashes are looked through for formats that are new: another node may have
	// imported them, and the last of a slow one may have been replaced.
	scanEvery = time.Hour
	// scanPage is how many accounts are read at a time.
	scanPage = 1000
	// maxFormats bounds the formats whose time is kept, and so the work of a scan.
	maxFormats = 100
	// maxCheckTime bounds CheckTime, whatever cost the author of an imported file chose.
	maxCheckTime = 10 * time.Second
)

// checkTimes is how long checks of the formats of stored hashes take. It is safe for concurrent use.
type checkTimes struct {
	mu    sync.Mutex
	least map[string]time.Duration // by password.Format: the shortest that was seen, which no load made longer
	scan  chan struct{}            // capacity 1: asks for a scan
}

func newCheckTimes() *checkTimes {
	return &checkTimes{least: map[string]time.Duration{}, scan: make(chan struct{}, 1)}
}

func (c *checkTimes) add(format string, took time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()

	least, ok := c.least[format]
	if ok && took < least || !ok && len(c.least) < maxFormats {
		c.least[format] = took
	}
}

func (c *checkTimes) has(format string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()

	_, ok := c.least[format]

	return ok || len(c.least) >= maxFormats
}

// keep forgets the formats that are not present.
func (c *checkTimes) keep(present map[string]bool) {
	c.mu.Lock()
	defer c.mu.Unlock()

	for format := range c.least {
		if format != password.DefaultFormat && !present[format] {
			delete(c.least, format)
		}
	}
}

func (c *checkTimes) longest() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()

	var longest time.Duration
	for _, took := range c.least {
		longest = max(longest, took)
	}

	return longest
}

// CheckTime returns a time in which the check of any stored hash ends on a machine without load, with half as much to
// spare. It is 0 before the first check.
func (a *Accounts) CheckTime() time.Duration { return min(a.times.longest()*3/2, maxCheckTime) }

// Run measures how long the checks of stored hashes take, until ctx ends. It does nothing while all hashes are ours:
// their time is known from the first login.
func (a *Accounts) Run(ctx context.Context) error {
	tick := time.NewTicker(scanEvery)
	defer tick.Stop()

	for {
		if err := a.MeasureFormats(ctx); err != nil && ctx.Err() == nil {
			a.log.Warn("the formats of password hashes could not be measured; it is tried again", "error", err)
		}

		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-a.times.scan:
		case <-tick.C:
		}
	}
}

// MeasureFormats measures each format of a stored hash that has not been measured, and forgets those that are no longer
// stored. Run calls it.
func (a *Accounts) MeasureFormats(ctx context.Context) error {
	present := map[string]bool{}
	var after int64

	for {
		accounts, next, err := a.page(ctx, Page{After: after, Limit: scanPage})
		if err != nil {
			return err
		}

		for _, acct := range accounts {
			format := password.Format(acct.Password)
			// Of each format one account is enough: the cost is the same for all of its
			// hashes.
			if format == password.DefaultFormat || present[format] || len(present) == maxFormats {
				continue
			}

			present[format] = true
			if err := a.measure(ctx, format, acct.Password); err != nil {
				return err
			}
		}

		if next == 0 {
			a.times.keep(present)
			return nil
		}

		after = next
	}
}

// measure checks a wrong password against a stored hash, three times: the first may have to start the hasher.
func (a *Accounts) measure(ctx context.Context, format, hash string) error {
	if a.times.has(format) {
		return nil
	}

	for range 3 {
		begun := time.Now()
		_, _, err := a.hasher.Verify(ctx, hash, jeton.NewSecret("a password to measure the time with"))
		if errors.Is(err, jeton.ErrBusy) || ctx.Err() != nil {
			return err
		}

		a.times.add(format, time.Since(begun))
	}

	return nil
}

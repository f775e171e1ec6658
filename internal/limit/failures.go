package limit

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"time"

	"github.com/jeton-auth/jeton/internal/secret"
	"github.com/jeton-auth/jeton/internal/sweep"
)

// Failure is one attempt that failed. It is forgiven after Every, when those before it are; all are after Most.
type Failure struct {
	At    time.Time
	Every time.Duration
	Most  time.Duration
}

// Store keeps failed attempts, by the HMAC of the name of an account. Methods are safe for concurrent use, on many
// nodes.
type Store interface {
	// FindFailures returns when all failures of an account have been forgiven; zero: there are none.
	FindFailures(ctx context.Context, name secret.Hash) (time.Time, error)
	// AddFailure adds one. Of concurrent calls each counts. A power failure may lose it.
	AddFailure(ctx context.Context, name secret.Hash, f Failure) error
	// ForgiveFailures forgives all failures of an account at a time, if they would be forgiven later.
	ForgiveFailures(ctx context.Context, name secret.Hash, at time.Time) error
	// SweepFailures deletes at most limit rows whose failures were all forgiven before a time, and returns how many.
	SweepFailures(ctx context.Context, before time.Time, limit int) (int, error)
}

// failureGrace is how long a row is kept that is of no use any more, for nodes whose clocks differ.
const failureGrace = time.Hour

// Failures is the failed attempts of any kind on each account, over all nodes and restarts: the account budget of a
// Limiter, in a store. It is safe for concurrent use.
type Failures struct {
	store Store
	now   func() time.Time
	rate  Rate
	key   []byte
	log   *slog.Logger
	clock *sweep.Clock
}

// FailuresConfig is what NewFailures needs.
type FailuresConfig struct {
	Store   Store
	Now     func() time.Time
	Account Rate // that of Config
	// Key is of the HMAC of names. Users type passwords into the wrong field, so no plain hash is stored.
	Key   []byte
	Log   *slog.Logger
	Clock *sweep.Clock // by which forgiven failures are deleted
}

// NewFailures returns the failed attempts of a store. Run deletes those that are forgiven.
func NewFailures(c FailuresConfig) (*Failures, error) {
	if err := c.Account.check(); err != nil {
		return nil, fmt.Errorf("limit: Account: %w", err)
	}

	return &Failures{
		store: c.Store,
		now:   c.Now,
		rate:  c.Account,
		key:   c.Key,
		log:   c.Log,
		clock: c.Clock,
	}, nil
}

// most is how long after the last failure all are forgiven.
func (f *Failures) most() time.Duration { return f.rate.Every * time.Duration(f.rate.Burst) }

// Add counts an attempt on an account that failed. The account need not exist.
func (f *Failures) Add(ctx context.Context, account string) error {
	failure := Failure{
		At:    f.now(),
		Every: f.rate.Every,
		Most:  f.most(),
	}

	// Also for a caller who has gone away: the attempt was judged.
	if err := f.store.AddFailure(context.WithoutCancel(ctx), f.nameOf(account), failure); err != nil {
		return fmt.Errorf("count a failed attempt: %w", err)
	}

	return nil
}

// Apply takes from the budget of an account in a limiter what failed on other nodes, and before a restart. It is for
// the time before Begin.
func (f *Failures) Apply(ctx context.Context, l *Limiter, account string) error {
	name := f.nameOf(account)
	gone, err := f.store.FindFailures(ctx, name)
	if err != nil {
		return fmt.Errorf("failed attempts: %w", err)
	}

	now := f.now()
	latest := now.Add(f.most())
	// The clock of a node was ahead, or the limit was lowered. Without this, each look would use up the whole budget
	// again, until that time.
	if gone.After(latest) {
		if err := f.store.ForgiveFailures(ctx, name, latest); err != nil {
			f.log.Warn("shorten the time of failed attempts", "error", err)
		}
		gone = latest
	}

	if gone.After(now) {
		l.raise(now, account, gone.Sub(now))
	}

	return nil
}

// nameOf returns what the failures of an account are stored by. All spellings of its name share them.
func (f *Failures) nameOf(account string) secret.Hash {
	m := hmac.New(sha256.New, f.key)
	m.Write([]byte(fold(account)))

	return secret.Hash(m.Sum(nil))
}

// Run deletes failures that are forgiven until ctx ends.
func (f *Failures) Run(ctx context.Context) error {
	sweep.Loop(ctx, sweep.Interval, f.sweep)
	return nil
}

// sweep deletes failures that are forgiven.
func (f *Failures) sweep(ctx context.Context) {
	err := sweep.Run(ctx, func(ctx context.Context, limit int) (int, error) {
		before, err := f.clock.Before(ctx, f.now(), failureGrace)
		if err != nil {
			return 0, err
		}

		return f.store.SweepFailures(ctx, before, limit)
	})
	if err != nil {
		f.log.Warn("delete failed attempts that are forgiven", "error", err)
	}
}

// raise takes from the budget of an account until it is full again only after a time, or later.
func (l *Limiter) raise(now time.Time, account string, rest time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()

	l.account.raise(keyOf(fold(account)), l.clock.at(now), rest)
}

// Package policy holds the rules as values: when a credential is good, how often,
// for whom, and when its owner may log in again.
//
// Every rule is a pure function: facts and the time go in, a verdict comes out.
// Zero values are closed: a forgotten field allows nothing, and what is without a
// limit says Unlimited. The package keeps nothing, asks no store and knows no
// HTTP; internal/gate and internal/signin collect the facts.
package policy

import (
	"slices"
	"time"

	"github.com/jeton-auth/jeton"
)

// Unlimited is the limit that never binds. Zero is the limit that always does.
const Unlimited = -1

// TimeFormat is how times are written for operators: UTC, to the millisecond.
const TimeFormat = "2006-01-02T15:04:05.000Z"

// Window is a span of time. It is open from Opens on and closed from Closes on
// (RFC 7519, sections 4.1.4 and 4.1.5: at exp itself a token is over).
type Window struct {
	Opens  time.Time
	Closes time.Time
}

// Check returns nil when now is inside the window, jeton.ErrTooEarly before it and
// jeton.ErrExpired after it. There is no leeway. A zero Window is always over.
func (w Window) Check(now time.Time) error {
	if !now.Before(w.Closes) {
		return jeton.ErrExpired
	}
	if now.Before(w.Opens) {
		return jeton.ErrTooEarly
	}

	return nil
}

// Idle returns jeton.ErrExpired when limit or more has passed since the last
// use. A clock that jumped back makes nothing idle.
func Idle(lastUsed time.Time, limit time.Duration, now time.Time) error {
	if now.Sub(lastUsed) >= limit {
		return jeton.ErrExpired
	}
	return nil
}

// WhenFull says what a login does when the subject holds all the sessions it may.
type WhenFull string

// What to do when the sessions are full.
const (
	EvictOldest WhenFull = "evict_oldest"
	Refuse      WhenFull = "refuse"
)

// Terms are what a login at a service is good for.
type Terms struct {
	Idle        time.Duration // a session unused for so long has ended
	Lifetime    time.Duration // a session has ended so long after the login
	MaxSessions int           // open sessions of one subject at the service, or Unlimited
	WhenFull    WhenFull
	Relogin     Relogin
}

// Format is what a token looks like.
type Format string

// The formats of tokens.
const (
	JWT    Format = "jwt"    // signed; whoever has our keys can check it (RFC 9068)
	Opaque Format = "opaque" // random; it means something to its issuer alone
)

// TokenTerms are what an access token for a service is good for.
type TokenTerms struct {
	Format   Format
	Audience string        // what it says that it is for
	Alg      string        // of the signature of a JWT
	Delay    time.Duration // not good for so long after it was issued
	Lifetime time.Duration // over so long after it was issued
	MaxUses  int64         // or Unlimited
	Counted  bool          // some route of the service counts uses of a token
}

// MaxTokenLifetime is how long a token may be good at most. What is known of revoked ones is kept
// for longer.
const MaxTokenLifetime = 24 * time.Hour

// KeepRevocations is how long a revocation is remembered: longer than anything it could be about.
const KeepRevocations = MaxTokenLifetime + time.Hour

// Relogin says when a subject may log in again.
type Relogin struct {
	Max      int           // logins in the window, or Unlimited
	Window   time.Duration // 0: all time, until an operator allows more
	Cooldown time.Duration // least time between two logins
}

// History is what a login is judged by: the subject's own past at the service.
type History struct {
	// Logins holds when the subject logged in since an operator last allowed more,
	// oldest first.
	Logins []time.Time
	// Open holds the sessions that are still there, oldest first. They may have ended
	// by time without having been swept away.
	Open []OpenSession
}

// OpenSession is a session that a login is judged beside.
type OpenSession struct {
	Login    int64
	Closes   time.Time
	LastUsed time.Time
	Idle     time.Duration
}

// CheckLogin judges whether the subject may log in now, and names the sessions that end
// by it. It returns jeton.ErrRelogin, with the time to wait where waiting helps,
// or jeton.ErrSessionsFull.
func (t Terms) CheckLogin(h History, now time.Time) (evict []int64, err error) {
	if err := t.Relogin.check(h.Logins, now); err != nil {
		return nil, err
	}
	if t.MaxSessions == Unlimited {
		return nil, nil
	}
	if t.MaxSessions <= 0 {
		return nil, jeton.ErrSessionsFull
	}

	live := slices.DeleteFunc(slices.Clone(h.Open), func(o OpenSession) bool {
		return !now.Before(o.Closes) || Idle(o.LastUsed, o.Idle, now) != nil
	})

	surplus := len(live) - t.MaxSessions + 1
	if surplus <= 0 {
		return nil, nil
	}
	if t.WhenFull != EvictOldest {
		return nil, jeton.ErrSessionsFull
	}

	for _, o := range live[:surplus] {
		evict = append(evict, o.Login)
	}

	return evict, nil
}

// check judges the times of past logins. A login that a clock which has jumped back
// puts into the future counts as having just been made.
func (r Relogin) check(logins []time.Time, now time.Time) error {
	if r.Max != Unlimited && (r.Max <= 0 || r.Window <= 0 && len(logins) >= r.Max) {
		return jeton.ErrRelogin // waiting does not help
	}

	var wait time.Duration

	n := len(logins)
	if r.Cooldown > 0 && n > 0 {
		wait = r.Cooldown - max(now.Sub(logins[n-1]), 0)
	}

	if r.Max != Unlimited && r.Window > 0 {
		inside := slices.DeleteFunc(slices.Clone(logins), func(at time.Time) bool { return now.Sub(at) >= r.Window })
		surplus := len(inside) - r.Max
		if surplus >= 0 {
			// inside[surplus] is the oldest that must leave the window before there is room again.
			wait = max(wait, r.Window-max(now.Sub(inside[surplus]), 0))
		}
	}

	if wait > 0 {
		return jeton.WithRetryAfter(jeton.ErrRelogin, wait)
	}

	return nil
}

// HistoryFrom returns since when logins matter to r at now; older ones may be forgotten.
// The zero time means that all do.
func (r Relogin) HistoryFrom(now time.Time) time.Time {
	if r.Max != Unlimited && r.Window <= 0 {
		return time.Time{}
	}
	return now.Add(-max(r.Window, r.Cooldown))
}

// SessionBudgets reports whether r judges by past logins at all.
func (r Relogin) NeedsHistory() bool { return r.Max != Unlimited || r.Cooldown > 0 }

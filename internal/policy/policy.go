// Package policy holds the rules as values: when a credential is valid, how often and for
// whom, and when its owner may log in again.
//
// Every rule is a pure function of facts and the time. Zero values are closed: a
// forgotten field allows nothing, and a value without a limit says Unlimited.
//
// The package keeps no state, asks no store and sees no HTTP request. Packages gate and
// signin collect the facts.
//
// # Files
//
//	policy.go                 when a credential is valid, and when its owner may log in again
//	access.go                 who may use a route, and by which kinds of credential
//	require.go                how a user has to be proved
//	grants.go, limits.go      scopes of users; what a token is limited to
//	exchange.go, workload.go  rules for token exchange, and for tokens of other issuers
//	source.go                 the source of a request whose proxy names no address
package policy

import (
	"slices"
	"time"

	"github.com/jeton-auth/jeton"
)

// Unlimited means that there is no limit. Zero is the lowest limit.
const Unlimited = -1

// TimeFormat is how times are written for operators: UTC, to the millisecond.
const TimeFormat = "2006-01-02T15:04:05.000Z"

// Window is a span of time: from Opens, inclusive, to Closes, exclusive (RFC 7519, sections
// 4.1.4 and 4.1.5).
type Window struct {
	Opens  time.Time
	Closes time.Time
}

// Check returns nil when now is inside the window, jeton.ErrTooEarly before it and
// jeton.ErrExpired after it. There is no leeway. A zero Window is always expired.
func (w Window) Check(now time.Time) error {
	// Closed first: a window that closes before it opens is never open.
	if !now.Before(w.Closes) {
		return jeton.ErrExpired
	}
	if now.Before(w.Opens) {
		return jeton.ErrTooEarly
	}

	return nil
}

// RoundUp returns the first time at t or after it that is a multiple of d since the zero time.
func RoundUp(t time.Time, d time.Duration) time.Time {
	down := t.Truncate(d)
	if down.Before(t) {
		return down.Add(d)
	}
	return down
}

// Idle returns jeton.ErrExpired when limit or more has passed since the last use. A clock
// that was set back expires nothing.
func Idle(lastUsed time.Time, limit time.Duration, now time.Time) error {
	if now.Sub(lastUsed) >= limit {
		return jeton.ErrExpired
	}
	return nil
}

// WhenFull says what a login does when the user has the maximum number of sessions.
type WhenFull string

// What a login does when the sessions are full.
const (
	EvictOldest WhenFull = "evict_oldest"
	Refuse      WhenFull = "refuse"
)

// Terms limit the sessions and logins of a user at a service.
type Terms struct {
	Idle        time.Duration // a session expires when unused for this long
	Lifetime    time.Duration // a session expires this long after the login
	MaxSessions int           // of one user at the service, or Unlimited
	WhenFull    WhenFull
	Relogin     Relogin
}

// Format is what a token looks like.
type Format string

// The formats of tokens.
const (
	JWT    Format = "jwt"    // signed; anyone with our public keys can check it (RFC 9068)
	Opaque Format = "opaque" // random; only its issuer can check it
)

// TokenTerms limit the access tokens for a service.
type TokenTerms struct {
	Format   Format
	Audience string        // the claim aud
	Alg      string        // of the signature of a JWT
	Delay    time.Duration // from issue to not before
	Lifetime time.Duration // from issue to expiry
	MaxUses  int64         // or Unlimited
	Counted  bool          // a route of the service counts uses of a token
	// WholeSeconds counts Delay from the start of the second of issue, as some teaching servers do: it is up to a
	// second too short.
	WholeSeconds bool
}

// Window returns when a token is valid that is issued at now. The times of a signed token are
// whole seconds (RFC 7519, section 2), and those of an opaque one alike. So a delay ends with the
// second in which it has passed, and a lifetime begins with the second of the issue: the one is
// never too short, the other never too long.
func (t TokenTerms) Window(now time.Time) Window {
	second := now.Truncate(time.Second)
	w := Window{Opens: second, Closes: second.Add(t.Lifetime).Truncate(time.Second)}

	switch {
	case t.Delay > 0 && t.WholeSeconds:
		w.Opens = second.Add(t.Delay).Truncate(time.Second)
	case t.Delay > 0:
		w.Opens = RoundUp(now.Add(t.Delay), time.Second)
	}

	return w
}

// MaxTokenLifetime is the maximum lifetime of an access token. Revocations are kept for
// longer.
const MaxTokenLifetime = 24 * time.Hour

// KeepRevocations is how long a revocation is kept: longer than any token that it revokes.
const KeepRevocations = MaxTokenLifetime + time.Hour

// Relogin says when a user may log in again.
type Relogin struct {
	Max      int           // logins in the window, or Unlimited
	Window   time.Duration // 0: forever, until an operator allows more
	Cooldown time.Duration // minimum time between two logins
}

// History is what a login is judged by: the user's past logins at the service.
type History struct {
	// Logins holds the times of the logins since an operator last allowed more, oldest first.
	Logins []time.Time
	// Open holds the sessions that are stored, oldest first. Some may have expired.
	Open []OpenSession
}

// OpenSession is a stored session of the user.
type OpenSession struct {
	Login    int64
	Closes   time.Time
	LastUsed time.Time
	Idle     time.Duration
}

// CheckLogin returns the sessions that a login at now ends. It returns
// jeton.ErrRelogin, with the time to wait if waiting helps, or jeton.ErrSessionsFull.
func (t Terms) CheckLogin(h History, now time.Time) (evict []int64, err error) {
	if err := t.Relogin.check(h.Logins, now); err != nil {
		return nil, err
	}
	if t.MaxSessions == Unlimited {
		return nil, nil
	}
	// A forgotten field admits no session.
	if t.MaxSessions <= 0 {
		return nil, jeton.ErrSessionsFull
	}

	// Expired sessions are stored until a sweep deletes them, and do not count. The copy is
	// for the caller, whose step may run again.
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

	// More than one if the limit was lowered.
	for _, o := range live[:surplus] {
		evict = append(evict, o.Login)
	}

	return evict, nil
}

// check judges the times of past logins. A login in the future, after the clock was set
// back, counts as if it had just been made.
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
			// A login is possible again once this one, and all before it, are outside of the window.
			wait = max(wait, r.Window-max(now.Sub(inside[surplus]), 0))
		}
	}

	if wait > 0 {
		return jeton.WithRetryAfter(jeton.ErrRelogin, wait)
	}

	return nil
}

// HistoryFrom returns the time from which on logins matter to r. Older ones may be deleted.
// The zero time means that all logins matter.
func (r Relogin) HistoryFrom(now time.Time) time.Time {
	if r.Max != Unlimited && r.Window <= 0 {
		return time.Time{}
	}
	return now.Add(-max(r.Window, r.Cooldown))
}

// NeedsHistory reports whether r judges by past logins at all.
func (r Relogin) NeedsHistory() bool { return r.Max != Unlimited || r.Cooldown > 0 }

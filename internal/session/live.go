package session

import (
	"fmt"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/count"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/secret"
)

// Live is a session as a request sees it. Two of them may stand for one session: what is
// known of its uses and of its last use they share, and everything else never changes.
// It is safe for concurrent use.
type Live struct {
	count.Key // of the login
	Login     int64
	ID        string
	User      int64
	Name      string
	Groups    []string
	Created   time.Time
	*class

	hash     secret.Hash
	lastUsed atomic.Int64 // unix milliseconds
	source   string       // where the login came from; when empty, ipv4 where there is one
	ipv4     uint64       // numbered and above for none
}

// class is what sessions have in common that were started on the same terms.
type class struct {
	Service  string
	Idle     time.Duration
	lifetime time.Duration
}

// newLive returns a session as it was read from the store.
func newLive(r *Record) *Live {
	l := &Live{
		Login:   r.Login,
		ID:      r.ID,
		User:    r.User,
		Name:    r.Name,
		Groups:  r.Groups,
		Created: r.Created,
		class:   &class{r.Service, r.Idle, r.Expires.Sub(r.Created)},
		hash:    r.Hash,
		source:  r.Source,
		ipv4:    numbered,
	}

	l.Key.Login = r.Login
	l.lastUsed.Store(r.LastUsed.UnixMilli())

	return l
}

// Expires returns when the session ends, however busy it is.
func (l *Live) Expires() time.Time { return l.Created.Add(l.lifetime) }

// LastUsed returns when the session last let a request through.
func (l *Live) LastUsed() time.Time { return time.UnixMilli(l.lastUsed.Load()) }

// heard moves the last use forward as somebody else knows it.
func (l *Live) heard(ms int64) {
	for last := l.lastUsed.Load(); ms > last && !l.lastUsed.CompareAndSwap(last, ms); {
		last = l.lastUsed.Load()
	}
}

// Check judges a session by time: jeton.ErrTooEarly never, jeton.ErrExpired once it
// has ended or has been idle for too long.
func (l *Live) Check(now time.Time) error {
	if !now.Before(l.Expires()) {
		return jeton.ErrExpired
	}
	return policy.Idle(l.LastUsed(), l.Idle, now)
}

// Principal returns the owner.
func (l *Live) Principal() jeton.Principal {
	return jeton.Principal{
		Kind:    jeton.KindUser,
		Name:    l.Name,
		Groups:  l.Groups,
		Session: l.ID,
		Since:   l.Created,
	}
}

// SessionBudgets returns what the uses of the login hang on. A session has no budget of its own.
func (l *Live) Budgets() (*count.Key, []policy.Budget) { return &l.Key, nil }

// Describe tells the operator which session it is, and when it is good.
func (l *Live) Describe() (which, window string) {
	which = fmt.Sprintf(
		"session %s of user %s, made %s from %s",
		l.ID,
		l.Name,
		l.Created.UTC().Format(policy.TimeFormat),
		l.from(),
	)

	return which, fmt.Sprintf("ends %s, idle at most %v", l.Expires().UTC().Format(policy.TimeFormat), l.Idle)
}

// from returns where the login came from.
func (l *Live) from() string {
	if l.source != "" || l.ipv4 >= numbered {
		return l.source
	}
	return netip.AddrFrom4([4]byte{byte(l.ipv4 >> 24), byte(l.ipv4 >> 16), byte(l.ipv4 >> 8), byte(l.ipv4)}).String()
}

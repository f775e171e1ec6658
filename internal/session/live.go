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

// Live is a cached session. Two values may represent one session: they share what is known of
// its uses and last use, and nothing else changes. It is safe for concurrent use.
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
	source   string       // address of the login; if empty, see ipv4
	ipv4     uint64       // IPv4 address of the login; numbered and above: none
}

// class holds what sessions of one service with the same terms share.
type class struct {
	Service  string
	Idle     time.Duration
	lifetime time.Duration
}

// newLive returns the session of a record.
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
	l.Key.User = r.User
	l.lastUsed.Store(r.LastUsed.UnixMilli())

	return l
}

// Expires returns when the session expires, however busy it is.
func (l *Live) Expires() time.Time { return l.Created.Add(l.lifetime) }

// LastUsed returns when a request of the session was last accepted.
func (l *Live) LastUsed() time.Time { return time.UnixMilli(l.lastUsed.Load()) }

// advance moves the last use forward.
func (l *Live) advance(ms int64) {
	for last := l.lastUsed.Load(); ms > last && !l.lastUsed.CompareAndSwap(last, ms); {
		last = l.lastUsed.Load()
	}
}

// Check returns jeton.ErrExpired if the session has expired or was idle for too long.
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

// Budgets returns the key of the login's counts. A session has no budget of its own.
func (l *Live) Budgets() (*count.Key, []policy.Budget) { return &l.Key, nil }

// Describe returns the session's identity and validity, for the operator.
func (l *Live) Describe() (which, window string) {
	which = fmt.Sprintf(
		"session %s of user %s, started %s from %s",
		l.ID, l.Name, l.Created.UTC().Format(policy.TimeFormat), l.from(),
	)

	return which, fmt.Sprintf("expires %s, idle at most %v", l.Expires().UTC().Format(policy.TimeFormat), l.Idle)
}

// from returns the address of the login.
func (l *Live) from() string {
	if l.source != "" || l.ipv4 >= numbered {
		return l.source
	}
	return netip.AddrFrom4([4]byte{byte(l.ipv4 >> 24), byte(l.ipv4 >> 16), byte(l.ipv4 >> 8), byte(l.ipv4)}).String()
}

// Package limit slows down guessing without letting a stranger lock the owner out.
//
// Attempts to log in are counted before any hashing, in three budgets: of one account
// from one source, of one account from everywhere, and of one source whatever the
// account. A success gives back what it took, so only failures count. The budget of
// an account from everywhere does not bind sources that its owner has logged in from:
// strangers can use it up and slow each other down, not the owner.
//
// It promises that at no instant more attempts pass than a budget holds, however many
// callers there are; that all spellings of an account's name share its budgets; and
// that memory is bounded: when a table is full, what has least been used up is
// forgotten first. It is in memory and of one process, and starts anew with it. Which
// sources an owner is known at, and what a failure is, it leaves to package login.
package limit

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/jeton-auth/jeton"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// Config is what New needs. There is no budget that means unlimited.
type Config struct {
	Pair    Rate // of one account from one source
	Account Rate // of one account from all sources that are not known
	Source  Rate // of one source, whatever the account; an IPv6 source is its /64
	MaxKeys int  // held in memory, of each of the three; 0 means 100,000
}

const defaultMaxKeys = 100_000

// Limiter limits attempts to log in. Its methods, and those of its attempts, are safe
// for concurrent use.
type Limiter struct {
	mu      sync.Mutex
	clock   clock
	pair    *table
	account *table
	source  *table
}

// New returns a limit that has seen nothing.
func New(cfg Config) (*Limiter, error) {
	for _, b := range []struct {
		name string
		rate Rate
	}{{"Pair", cfg.Pair}, {"Account", cfg.Account}, {"Source", cfg.Source}} {
		if err := b.rate.check(); err != nil {
			return nil, fmt.Errorf("limit: %s: %w", b.name, err)
		}
	}

	if cfg.MaxKeys < 0 {
		return nil, fmt.Errorf("limit: MaxKeys is %d; it must be above 0, or 0 for %d", cfg.MaxKeys, defaultMaxKeys)
	}
	if cfg.MaxKeys == 0 {
		cfg.MaxKeys = defaultMaxKeys
	}

	return &Limiter{
		pair:    newTable(cfg.Pair, cfg.MaxKeys),
		account: newTable(cfg.Account, cfg.MaxKeys),
		source:  newTable(cfg.Source, cfg.MaxKeys),
	}, nil
}

// PasswordRequest is one attempt that was let through. One that failed is simply dropped and
// keeps what it took. After the first of its methods was called, further calls do
// nothing; nor do calls on a nil Attempt.
type Attempt struct {
	of    *Limiter
	took  [3]budget // the first is the pair's
	ended bool
}

// budget is one key in one table; the zero value is none.
type budget struct {
	table *table
	key   key
}

// Begin takes one from each budget that binds the attempt, or nothing: then it returns
// jeton.ErrTooMany, and jeton.RetryAfter tells how long it will be until an attempt
// can pass. account is the name as it was typed. known says that the account's owner
// has logged in from this source before; it lifts the budget of the account from
// everywhere. A source that is no address, such as the peer of a Unix socket, is one
// source like any other.
func (l *Limiter) Begin(now time.Time, account string, source netip.Addr, known bool) (*Attempt, error) {
	a := &Attempt{of: l}
	name, from := fold(account), Network(source)
	a.took[0] = budget{l.pair, keyOf(name, from)}
	a.took[1] = budget{l.source, keyOf(from)}

	if !known {
		a.took[2] = budget{l.account, keyOf(name)}
	}

	l.mu.Lock()
	defer l.mu.Unlock()

	at := l.clock.at(now)
	var wait time.Duration
	for _, b := range a.took {
		if b.table != nil {
			wait = max(wait, b.table.wait(b.key, at))
		}
	}

	if wait > 0 {
		return nil, jeton.WithRetryAfter(jeton.ErrTooMany, wait)
	}

	for _, b := range a.took {
		if b.table != nil {
			b.table.take(b.key, at)
		}
	}

	return a, nil
}

// Succeeded gives back what the attempt took, and forgets the failures of this account
// from this source.
func (a *Attempt) Succeeded() { a.end(true) }

// Cancel gives back what the attempt took, when it came to nothing: the server was
// busy, or its store was down.
func (a *Attempt) Cancel() { a.end(false) }

func (a *Attempt) end(succeeded bool) {
	if a == nil {
		return
	}

	a.of.mu.Lock()
	defer a.of.mu.Unlock()

	if a.ended {
		return
	}

	a.ended = true

	for _, b := range a.took {
		if b.table != nil {
			b.table.giveBack(b.key)
		}
	}

	if succeeded {
		a.took[0].table.forget(a.took[0].key)
	}
}

// clock turns the times of callers into nanoseconds that never go back. Times that
// come from time.Now are compared by their monotonic part.
type clock struct {
	base  time.Time
	shift time.Duration // added to the time since base
	last  int64
}

// reorder is how much earlier than another a time may be without the clock having been
// set back: callers read the time before they wait for the lock.
const reorder = time.Second

// at returns now on this clock. Where time goes back by no more than reorder, it stands
// still until it has caught up. Where it goes back by more, the clock was set: it runs
// on from where it was, so that nothing is granted by that and nobody waits for the
// old time to come again.
func (c *clock) at(now time.Time) int64 {
	if c.base.IsZero() {
		c.base = now
	}

	t := int64(now.Sub(c.base) + c.shift)
	back := c.last - t
	if back > int64(reorder) {
		c.shift += time.Duration(back)
		t = c.last
	}

	c.last = max(c.last, t)
	return c.last
}

// key names one budget in a table: a hash, so that it takes the same small room
// whatever a stranger sends.
type key [16]byte

// keyOf returns the key of some parts in order. Each goes in with its length, so
// ("a", "bc") and ("ab", "c") are two.
func keyOf(parts ...string) key {
	var b []byte
	for _, p := range parts {
		b = binary.AppendUvarint(b, uint64(len(p)))
		b = append(b, p...)
	}

	sum := sha256.Sum256(b)
	return key(sum[:16])
}

// longest is the length in bytes up to which names are folded. No account has a longer
// one; folding it would only cost time.
const longest = 1024

// fold returns what all spellings of an account's name have in common: letter case,
// width, compatible forms (NFKC) and blanks around it make no difference. It may fold
// together more than accounts do, which costs no more than a shared budget.
func fold(name string) string {
	if len(name) > longest {
		return name
	}

	for range 2 { // once is not always enough: folding can undo the normal form
		// Lower case as well, as Fold leaves the two cases of Cherokee apart.
		name = strings.ToLower(cases.Fold().String(norm.NFKC.String(name)))
	}

	return strings.TrimSpace(norm.NFKC.String(name))
}

// Network returns the network that counts as one source: the address itself, or the
// /64 of an IPv6 address, which is what one customer has. An IPv4 address in IPv6
// form is that IPv4 address; no address is "local".
func Network(source netip.Addr) string {
	source = source.Unmap().WithZone("")
	if !source.IsValid() {
		return "local"
	}

	bits := source.BitLen()
	if source.Is6() {
		bits = 64
	}

	p, err := source.Prefix(bits)
	if err != nil {
		return "local"
	}

	return p.String()
}

// Package limit slows down password guessing without letting an attacker lock a user out.
//
// Login attempts are limited before any hashing by three budgets: one account from one
// source, one account from all sources, and one source for all accounts. A success gives
// back what it took, so only failures count. Only the first budget stops a user at a source
// from which the user has logged in. So strangers elsewhere cannot lock the user out, nor can
// those at the same source who try other names. Against those who try this name there, a browser
// that is known to the account has a budget of its own. Those who guess a wrong password at either
// learn no more than elsewhere: Refusal is what an unknown name would get.
//
// No budget is exceeded, however many attempts are concurrent. All spellings of a name
// share their budgets. Memory is bounded: when a table is full, the least used budget is
// dropped first. The state is lost when the process ends, but for the budget of an account from
// all sources: Failures keeps it in the database, for all nodes.
//
// Package signin decides which sources and browsers are known, and what a failure is.
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
	"github.com/jeton-auth/jeton/internal/policy"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// Config is what New needs. No budget is unlimited.
type Config struct {
	Pair    Rate // one account from one source, or in one browser that is known to it
	Account Rate // one account from all sources; does not stop attempts from known ones
	Source  Rate // one source for all accounts; does not stop those known there; an IPv6 source is its /64
	MaxKeys int  // budgets in memory, of each of the four kinds; 0 means 100,000
}

// defaultMaxKeys bounds the memory of a table.
const defaultMaxKeys = 100_000

// Limiter limits login attempts. Its methods, and those of its attempts, are safe for
// concurrent use.
type Limiter struct {
	mu      sync.Mutex // protects all below: an attempt takes from several tables at once or from none
	clock   clock
	pair    *table
	account *table
	source  *table
	browser *table // of an account; only of those that are known to it
	good    *pairs // accounts and sources that have succeeded
}

// New returns a limiter without any attempts.
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
		return nil, fmt.Errorf(
			"limit: invalid MaxKeys %d: want a positive number, or 0 for %d",
			cfg.MaxKeys, defaultMaxKeys,
		)
	}
	if cfg.MaxKeys == 0 {
		cfg.MaxKeys = defaultMaxKeys
	}

	return &Limiter{
		pair:    newTable(cfg.Pair, cfg.MaxKeys),
		account: newTable(cfg.Account, cfg.MaxKeys),
		source:  newTable(cfg.Source, cfg.MaxKeys),
		browser: newTable(cfg.Pair, cfg.MaxKeys),
		good:    newPairs(cfg.MaxKeys),
	}, nil
}

// Attempt is an attempt that was allowed. If none of its methods is called, it has failed and
// keeps what it took. Only the first call has an effect. Calls on a nil Attempt have none.
type Attempt struct {
	of      *Limiter
	pair    key      // of account and source
	own     budget   // which a success resets: of the pair, or of the browser
	took    []budget // with own
	refusal error
	ended   bool
}

// budget is a key in a table.
type budget struct {
	table *table
	key   key
}

// Begin takes one from each budget that applies to the attempt. If one of them is used up, it
// takes none and returns jeton.ErrTooMany with the time until an attempt is allowed.
//
// account is the name as it was typed. known means that the user has logged in from this
// source before. Then only the budget of the account from this source can refuse the attempt,
// and it takes from the other two what is left. Attempts that have succeeded in this process
// make a source known, too. The invalid address, of a client on a Unix socket, is a source
// like any other.
func (l *Limiter) Begin(now time.Time, account string, source netip.Addr, known bool) (*Attempt, error) {
	l.mu.Lock()
	defer l.mu.Unlock()

	// First all are asked and then all are taken from, under one lock: an attempt that one budget
	// refuses must not use up the others.
	at := l.clock.at(now)
	a, ok := l.prepare(at, account, source, known)
	if !ok {
		return nil, a.refusal
	}

	a.take(at)

	return a, nil
}

// BeginInBrowser begins an attempt that Begin has refused, in a browser that is known to the
// account. Only the budget of the account in this browser can refuse it, and it takes from the
// others what is left. The caller has looked the browser up: a budget for each one that a client
// names would let a stranger guess without a limit.
func (l *Limiter) BeginInBrowser(now time.Time, account string, source netip.Addr, browser string) (*Attempt, error) {
	l.mu.Lock()
	defer l.mu.Unlock()

	at := l.clock.at(now)
	a, ok := l.prepare(at, account, source, false)
	if !ok {
		a.own = budget{l.browser, keyOf(fold(account), browser)}
		// With the time of the others, too: another one would reveal that the browser is known.
		if a.own.table.wait(a.own.key, at) > 0 {
			return nil, a.refusal
		}
		a.took = append(a.took, a.own)
	}

	a.take(at)

	return a, nil
}

// take takes from the budgets of a prepared attempt. The caller holds the lock.
func (a *Attempt) take(at int64) {
	for _, b := range a.took {
		b.table.take(b.key, at)
	}
}

// Check returns the error that Begin would return, and takes nothing. It is for a password
// that is known to be right.
func (l *Limiter) Check(now time.Time, account string, source netip.Addr, known bool) error {
	l.mu.Lock()
	defer l.mu.Unlock()

	a, ok := l.prepare(l.clock.at(now), account, source, known)
	if !ok {
		return a.refusal
	}

	return nil
}

// prepare returns an attempt with the budgets from which it may take, and whether it is allowed. The
// caller holds l.mu.
func (l *Limiter) prepare(at int64, account string, source netip.Addr, known bool) (a *Attempt, allowed bool) {
	name, from := fold(account), Network(source)
	pair := budget{l.pair, keyOf(name, from)}
	a = &Attempt{of: l, pair: pair.key, own: pair}

	// What a proxy hides is many sources, none of which is known.
	known = source != policy.UnknownSource && (known || l.good.has(pair.key))

	var wait time.Duration
	for _, b := range []budget{pair, {l.source, keyOf(from)}, {l.account, keyOf(name)}} {
		left := b.table.wait(b.key, at)
		if left == 0 {
			a.took = append(a.took, b)
		}
		wait = max(wait, left)
	}

	if wait == 0 {
		return a, true
	}

	// The longest of all, also where only that of the pair counts: the time must not reveal that it is known.
	a.refusal = jeton.WithRetryAfter(jeton.ErrTooMany, wait)

	pairLeft := len(a.took) > 0 && a.took[0] == pair

	return a, known && pairLeft
}

// Refusal returns the error that the attempt would have got from a source and in a browser that
// are not known, or nil. It is what an attempt that fails is answered with: another answer would
// reveal that the account exists and is known there.
func (a *Attempt) Refusal() error {
	if a == nil {
		return nil
	}
	return a.refusal
}

// Succeeded gives back what the attempt took, resets the budget of this account from this
// source, or in the browser of BeginInBrowser, and makes the source known to the account.
func (a *Attempt) Succeeded() { a.end(true) }

// Cancel gives back what the attempt took. It is for attempts that were not decided, because
// the server was busy or its store was down, or that were decided before.
func (a *Attempt) Cancel() { a.end(false) }

// end gives back what the attempt took, if it may. A nil attempt is one that was not
// limited.
func (a *Attempt) end(succeeded bool) {
	if a == nil {
		return
	}

	a.of.mu.Lock()
	defer a.of.mu.Unlock()

	// A second call would give back what another attempt took.
	if a.ended {
		return
	}

	a.ended = true

	for _, b := range a.took {
		b.table.giveBack(b.key)
	}

	// Only this budget is reset. With the others, one account of the attacker's own would reset the
	// budget of the source after every few guesses.
	if succeeded {
		a.own.table.reset(a.own.key)
		a.of.good.add(a.pair)
	}
}

// clock turns times into nanoseconds that never decrease. Times from time.Now are compared by
// their monotonic part.
type clock struct {
	base  time.Time
	shift time.Duration // added to the time since base
	last  int64
}

// reorder is how far times may be out of order although the clock was not set back: callers
// read the time before they wait for the lock.
const reorder = time.Second

// at returns now on this clock. If now is earlier than before by at most reorder, the clock
// stands still. If it is earlier by more, the system clock was set back; this clock then
// continues from where it was, so that no attempt is allowed early or late because of it.
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

	// Callers read the time before they get the lock, so a slightly older one may come later.
	c.last = max(c.last, t)
	return c.last
}

// key identifies a budget in a table. It is a hash, so its size does not depend on what an
// attacker sends.
type key [16]byte

// keyOf returns the key of some parts in order. Each is hashed with its length, so ("a", "bc")
// and ("ab", "c") have different keys.
func keyOf(parts ...string) key {
	var b []byte
	for _, p := range parts {
		b = binary.AppendUvarint(b, uint64(len(p)))
		b = append(b, p...)
	}

	// 128 bits: an attacker who finds two names with one key gains nothing but a shared budget.
	sum := sha256.Sum256(b)
	return key(sum[:16])
}

// maxFolded is the maximum length, in bytes, of names that are folded. No account has a longer
// one, so folding it would only cost time.
const maxFolded = 1024

// fold returns the same text for all spellings of an account's name: letter case, width,
// compatible forms (NFKC) and surrounding white space make no difference. Names of different
// accounts may fold to the same text; they then share a budget.
func fold(name string) string {
	if len(name) > maxFolded {
		return name
	}

	for range 2 { // twice, because folding can undo the normal form
		// Lower case as well, because Fold does not map Cherokee letters to one case.
		name = strings.ToLower(cases.Fold().String(norm.NFKC.String(name)))
	}

	return strings.TrimSpace(norm.NFKC.String(name))
}

// Network returns the network that counts as one source: an IPv4 address, or the /64 of an IPv6
// address, which is what one customer has. An IPv4-mapped IPv6 address is that IPv4 address.
// The invalid address is "local", and policy.UnknownSource is "unknown".
func Network(source netip.Addr) string {
	if source == policy.UnknownSource {
		return "unknown"
	}

	source = source.Unmap().WithZone("")
	if !source.IsValid() {
		return "local"
	}

	// One customer has at least a /64: by single addresses, 2^64 of them would each have a budget.
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

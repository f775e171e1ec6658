package session

import (
	"cmp"
	"encoding/binary"
	"math"
	"math/bits"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jeton-auth/jeton/internal/count"
	"github.com/jeton-auth/jeton/internal/secret"
)

// table caches a bounded number of sessions by hash, in bounded memory. It stays exact: a
// session that was invalidated is not added again by a reader that asked the store before.
// It is safe for concurrent use.
//
// It is a cuckoo hash table. A session may be in one of two buckets of eight entries, and
// moves to its other bucket to make room, so that nearly all entries are used before one is
// evicted: first expired and invalidated ones, then the least recently used. A shard grows
// by a quarter at a time up to its limit. A session that does not fit an entry is odd; a few
// of these are kept as records.
//
// Last uses are pending in the shard until they are written, also after their session was
// evicted.
type table struct {
	shards  []shard
	owners  owners
	classes slots[class, *class]
	sources slots[[16]byte, struct{}] // addresses that are not IPv4
	spent   *count.Known
}

type shard struct {
	mu      sync.RWMutex
	buckets []bucket
	limit   int    // of buckets
	drops   uint64 // number of invalidations
	// hot holds recently found sessions, so that busy ones are not made again each time. One
	// is valid only together with its entry.
	hot    []atomic.Pointer[Live]
	odd    map[secret.Hash]odd
	oddMax int // of odd

	waitMu  sync.Mutex        // locked last
	waiting map[int64]waiting // pending last uses, by login
}

type bucket [8]entry

// odd is a session that does not fit an entry, and the time of its reader on the owners' clock.
type odd struct {
	*Live
	since uint64
}

// waiting is a pending last use.
type waiting struct {
	used int64 // unix milliseconds
	key  key
}

// lastUse is a pending last use that is about to be written.
type lastUse struct {
	waiting
	login int64
	shard *shard
}

// since is when a reader began; take it before reading the store.
type since struct{ drops, forgotten uint64 }

// oddShare is the number of cached sessions per odd one, and per remembered spent budget.
const oddShare = 16

// newTable returns a table for the given number of sessions, at least eight.
func newTable(sessions int) *table {
	// Many shards, so that a growing one delays few requests; large ones, so that they fill
	// evenly.
	n := max(1, min(sessions/64, 64), min(sessions/4096, 1024))
	n = 1 << (bits.Len(uint(n)) - 1)
	hot := make([]atomic.Pointer[Live], max(4*n, min(64*n, 4096)))
	t := &table{shards: make([]shard, n), spent: count.NewKnown(max(sessions/oddShare, 1024))}
	for i := range t.shards {
		s := &t.shards[i]
		s.limit = max(sessions/n/len(bucket{}), 1)
		s.hot = hot[i*len(hot)/n:][:len(hot)/n]
		s.oddMax = max(sessions/n/oddShare, 1)
	}

	t.owners.init()
	t.classes.limit = 1<<classBits - 1
	t.sources.limit = uint32(lastSlot - numbered)

	return t
}

// shard returns the shard of a hash, by bits that neither the entry nor the bucket uses.
func (t *table) shard(h *secret.Hash) *shard {
	return &t.shards[int(binary.LittleEndian.Uint16(h[30:]))&(len(t.shards)-1)]
}

// get returns a cached session, or nil.
func (t *table) get(h *secret.Hash) *Live {
	s := t.shard(h)
	s.mu.RLock()
	defer s.mu.RUnlock()
	return t.look(s, h)
}

// look is get with the shard locked by the caller.
func (t *table) look(s *shard, h *secret.Hash) *Live {
	e := s.find(keyOf(h))
	if e != nil && t.owners.alive(e.owner()) {
		return t.warm(s, e, h)
	}
	if o, ok := s.odd[*h]; ok && t.owners.known(o.User, o.since) {
		return o.Live
	}

	return nil
}

// lastUsed returns the last use of a session as known on this node, or 0.
func (t *table) lastUsed(h *secret.Hash, login int64) int64 {
	s := t.shard(h)
	s.mu.RLock()
	defer s.mu.RUnlock()

	used := s.waits(login)
	e := s.find(keyOf(h))
	if e != nil {
		used = max(used, e.lastUsed())
	}

	return used
}

// since returns when a reader begins, for add.
func (t *table) since(h *secret.Hash) since {
	s := t.shard(h)
	s.mu.RLock()
	defer s.mu.RUnlock()
	return since{s.drops, t.owners.since()}
}

// add caches a record unless it may have been invalidated since it was read. It returns the
// session; of two readers with the same record, both get the session of the first.
//
//   - An invalidation in this shard since the read: the session is not cached.
//   - The session is cached already: that one.
//   - The owner was invalidated since the read: the session is not cached.
//   - It does not fit an entry: it is kept as an odd one.
//   - Otherwise it gets an entry.
func (t *table) add(h *secret.Hash, r *Record, before since, now time.Time) *Live {
	s := t.shard(h)
	s.mu.Lock()
	defer s.mu.Unlock()

	// It may have been used since its last use was written.
	e := s.find(keyOf(h))
	used := s.waits(r.Login)
	if e != nil {
		used = max(used, e.lastUsed())
	}

	ms := r.LastUsed.UnixMilli()
	if used > ms {
		r.LastUsed = time.UnixMilli(used)
	}

	// The drop may have been of this session. It is judged once, and read again next time.
	if s.drops != before.drops {
		return t.uncached(r)
	}

	l := t.look(s, h)
	if l != nil {
		return l
	}

	fresh, fits, known := t.pack(r, before.forgotten)
	switch {
	case !known:
		return t.uncached(r)
	case !fits:
		l = t.uncached(r)
		t.keepOdd(s, odd{l, before.forgotten}, now)
		return l
	}

	if e != nil { // of an owner that was invalidated
		// The mark goes on with the new entry: its last use is still to be written.
		fresh.use |= e.use & waitsBit
		t.release(s, e)
	} else {
		e = t.room(s, fresh.key, now.UnixMilli())
	}

	*e = fresh

	return t.warm(s, e, h)
}

// warm returns the session of an entry, with its shard locked by the caller.
func (t *table) warm(s *shard, e *entry, h *secret.Hash) *Live {
	// Keys share places, so only the full hash shows whose session it is. Readers may store at
	// the same time: all values of a session are equal.
	at := s.at(e.key)
	l := at.Load()
	if l != nil && l.hash == *h {
		l.advance(e.lastUsed())
		return l
	}

	l = t.live(e, h)
	at.Store(l)

	return l
}

// at returns the place of a key among the hot sessions.
func (s *shard) at(k key) *atomic.Pointer[Live] { return &s.hot[k[0]&uint64(len(s.hot)-1)] }

// uncached returns the session of a record.
func (t *table) uncached(r *Record) *Live {
	l := newLive(r)
	l.Known = t.spent
	return l
}

// live makes the session of an entry, with its shard locked by the caller.
func (t *table) live(e *entry, h *secret.Hash) *Live {
	o := t.owners.users.at(e.owner())
	// One allocation holds all strings.
	text := append(make([]byte, 0, idLen+nameLen+addressLen), idPrefix...)
	text = e.handle().Append(text)
	text = append(text, o.value.name[:o.value.length]...)
	n := len(text)

	source := e.source()
	switch {
	case source > lastSlot:
		text = append(text, words[numberedMost-source]...)
	case source >= numbered:
		text = netip.AddrFrom16(t.sources.at(uint32(source)).key).AppendTo(text)
	}

	all := string(text)
	l := &Live{
		Login:   e.login(),
		ID:      all[:idLen],
		Name:    all[idLen:n],
		User:    o.key,
		Groups:  t.owners.groups(&o.value),
		Created: time.UnixMilli(e.created()),
		class:   t.classes.at(e.class()).value,
		hash:    *h,
		source:  all[n:],
		ipv4:    source,
	}

	l.Key.Login = l.Login
	l.Key.User = l.User
	l.Known = t.spent
	l.lastUsed.Store(e.lastUsed())

	return l
}

// pack makes an entry of a record. fits is false if a number is too large, a text has another
// form, or there are too many classes. known is false if the owner was invalidated after the
// record was read.
func (t *table) pack(r *Record, since uint64) (e entry, fits, known bool) {
	e, fits = fitting(r)
	if !fits {
		return e, false, true
	}

	source, ok := t.holdSource(r.Source)
	if !ok {
		return e, false, true
	}

	// An entry holds all its slots or none: what was held is released when the next one fails.
	owner, known := t.owners.hold(r, since)
	if owner == 0 {
		t.releaseSource(source)
		return e, false, known
	}

	c := class{r.Service, r.Idle, r.Expires.Sub(r.Created)}
	slot := t.classes.hold(c, func(**class) bool { return true }, func() *class { return &c })
	e.setSlots(owner, slot, source)

	if slot == 0 {
		t.owners.release(owner)
		t.releaseSource(source)
		return e, false, true
	}

	return e, true, true
}

func (t *table) holdSource(text string) (uint64, bool) {
	for i, w := range words {
		if text == w {
			return numberedMost - uint64(i), true
		}
	}

	a, ok := address(text)
	if !ok {
		return 0, false
	}

	if a.Is4() {
		b := a.As4()
		return uint64(binary.BigEndian.Uint32(b[:])), true
	}

	slot := t.sources.hold(a.As16(), func(*struct{}) bool { return true }, func() (_ struct{}) { return })
	return numbered | uint64(slot), slot != 0
}

// releaseSource releases the slot of a source that has one: IPv4 addresses and some words
// are in the entry itself.
func (t *table) releaseSource(n uint64) {
	if n >= numbered && n <= lastSlot {
		t.sources.release(uint32(n))
	}
}

// release releases the slots of an entry. The caller has locked the shard.
func (t *table) release(s *shard, e *entry) {
	// A session among the hot ones is valid only while its entry is there.
	at := s.at(e.key)
	if at.Load() != nil && keyOf(&at.Load().hash) == e.key {
		at.Store(nil)
	}

	t.owners.release(e.owner())
	t.classes.release(e.class())
	t.releaseSource(e.source())
}

// drop removes ended sessions. After it has returned, none of them is found in the table.
func (t *table) drop(hashes ...secret.Hash) {
	for i := range hashes {
		h := &hashes[i]
		s := t.shard(h)
		s.mu.Lock()
		// Also when nothing is cached: a reader may be about to add what it has read before.
		s.drops++
		e := s.find(keyOf(h))
		if e != nil {
			s.settled(e.login(), math.MaxInt64) // its last use no longer matters
			t.release(s, e)
			*e = entry{}
		}

		if o, ok := s.odd[*h]; ok {
			s.settled(o.Login, math.MaxInt64)
			delete(s.odd, *h)
		}

		s.mu.Unlock()
	}
}

// forget invalidates every session of a user.
func (t *table) forget(user int64) { t.owners.forget(user) }

// forgetAll invalidates every session.
func (t *table) forgetAll() { t.owners.forgetAll() }

// kept counts the valid cached sessions.
func (t *table) kept() (n int) {
	for i := range t.shards {
		s := &t.shards[i]
		s.mu.RLock()

		for e := range s.entries() {
			if t.owners.alive(e.owner()) {
				n++
			}
		}

		for _, o := range s.odd {
			if t.owners.known(o.User, o.since) {
				n++
			}
		}

		s.mu.RUnlock()
	}

	return n
}

// The steps in which the last use of a session moves.
const (
	idleSteps = 128 // of the idle timeout
	minStep   = time.Second
)

// stepOf returns by how many milliseconds the last use of a session moves at least. Each step is a row to write,
// within ten seconds. So a session idles out early by one step at most, and never late.
func stepOf(idle time.Duration) int64 {
	return max(minStep, idle/idleSteps).Milliseconds()
}

// touch moves the last use of a session forward.
func (t *table) touch(l *Live, now time.Time) {
	ms := now.UnixMilli()
	// The steps, and one request of several at once, keep this off the path of a busy session.
	last, step := l.lastUsed.Load(), stepOf(l.Idle)
	if ms-last < step || !l.lastUsed.CompareAndSwap(last, ms) {
		return
	}

	s := t.shard(&l.hash)
	w := waiting{ms, keyOf(&l.hash)}
	s.mu.RLock()
	e := s.find(w.key)
	outgrown := e != nil && !reaches(e.created(), ms)
	if e == nil || outgrown {
		s.wait(l.Login, w)
	} else if e.touch(ms, step) && !s.wait(l.Login, w) {
		e.settle() // too many pending last uses: the use after the next step tries again
	}

	s.mu.RUnlock()

	if outgrown {
		// The next reader keeps the session as an odd one, whose last use has no limit.
		s.mu.Lock()
		e = s.find(w.key) // another goroutine may have changed it between the locks
		if e != nil {
			t.evict(s, e)
		}
		s.mu.Unlock()
	}
}

// unwritten returns the pending last uses, by login.
func (t *table) unwritten() (list []lastUse) {
	for i := range t.shards {
		s := &t.shards[i]
		s.waitMu.Lock()

		for login, w := range s.waiting {
			list = append(list, lastUse{w, login, s})
		}

		s.waitMu.Unlock()
	}

	slices.SortFunc(list, func(a, b lastUse) int { return cmp.Compare(a.login, b.login) })

	return list
}

// newest updates a last use that is about to be written. A later use is pending again.
func (t *table) newest(w *lastUse) {
	w.shard.mu.RLock()
	defer w.shard.mu.RUnlock()

	e := w.shard.find(w.key)
	if e != nil {
		w.used = max(w.used, e.settle())
		w.shard.wait(w.login, w.waiting) // until it is written
	}
}

// written removes a pending last use, unless there is a later one.
func (t *table) written(w lastUse) { w.shard.settled(w.login, w.used) }

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

// table keeps live sessions by hash, a bounded number of them in bounded memory, and stays
// exact: what has been dropped or forgotten is not put back by a reader who asked the
// store before. It is safe for concurrent use.
//
// A session has two buckets of eight entries where it may stand, and changes over where
// that helps another, so that nearly all of the room is used before one makes room for
// another: first those that are worth nothing any more, then the one that was used longest
// ago. A shard grows by a quarter at a time until it has its share. Sessions that do
// not fit an entry are odd: a few of them are kept as they are.
//
// Last uses wait in the shard until they are written down, also when their session has made
// room: it is not lost, and a session that comes back has it again.
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
	most    int    // buckets
	drops   uint64 // counts them
	// hot holds sessions that were looked for last, so that busy ones are not made anew
	// each time. One counts only beside its entry, and goes with it.
	hot     []atomic.Pointer[Live]
	odd     map[secret.Hash]odd
	mostOdd int

	waitMu  sync.Mutex        // taken last
	waiting map[int64]waiting // last uses, by login
}

type bucket [8]entry

// odd is a session that does not fit an entry, and when its reader began, on the clock
// of the owners.
type odd struct {
	*Live
	since uint64
}

// waiting is a last use that waits to be written down.
type waiting struct {
	used int64 // unix milliseconds
	key  key
}

// lastUse is one that is about to be written.
type lastUse struct {
	waiting
	login int64
	shard *shard
}

// since says when a reader began: read it before the store.
type since struct{ drops, forgotten uint64 }

// Of the sessions that are configured one in so many may be an odd one besides, or be known
// to have spent something.
const oddShare = 16

// newTable returns a table of at most so many sessions, but at least eight.
func newTable(sessions int) *table {
	// Shards are many, so that a growing one delays few, and large, so that they fill evenly.
	n := max(1, min(sessions/64, 64), min(sessions/4096, 1024))
	n = 1 << (bits.Len(uint(n)) - 1)
	hot := make([]atomic.Pointer[Live], max(4*n, min(64*n, 4096)))
	t := &table{shards: make([]shard, n), spent: count.NewKnown(max(sessions/oddShare, 1024))}
	for i := range t.shards {
		s := &t.shards[i]
		s.most = max(sessions/n/len(bucket{}), 1)
		s.hot = hot[i*len(hot)/n:][:len(hot)/n]
		s.mostOdd = max(sessions/n/oddShare, 1)
	}

	t.owners.init()
	t.classes.most = 1<<classBits - 1
	t.sources.most = uint32(lastSlot - numbered)

	return t
}

// shard takes bits of the hash that an entry does not hold, and that do not choose its bucket.
func (t *table) shard(h *secret.Hash) *shard {
	return &t.shards[int(binary.LittleEndian.Uint16(h[30:]))&(len(t.shards)-1)]
}

// get returns a session, or nil when it is not here.
func (t *table) get(h *secret.Hash) *Live {
	s := t.shard(h)
	s.mu.RLock()
	defer s.mu.RUnlock()
	return t.look(s, h)
}

// look is get for somebody who holds a lock of the shard.
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

// lastUsed returns the last use of a session as far as it is known here, or 0.
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

// since returns what add wants to be told.
func (t *table) since(h *secret.Hash) since {
	s := t.shard(h)
	s.mu.RLock()
	defer s.mu.RUnlock()
	return since{s.drops, t.owners.since()}
}

// add keeps what was read from the store unless it may have been dropped or forgotten since
// then. It returns the session, and where two readers came with the same one, what
// the first of them made known.
func (t *table) add(h *secret.Hash, r *Record, before since, now time.Time) *Live {
	s := t.shard(h)
	s.mu.Lock()
	defer s.mu.Unlock()

	// It may have been used since it was written down.
	e := s.find(keyOf(h))
	used := s.waits(r.Login)
	if e != nil {
		used = max(used, e.lastUsed())
	}

	ms := r.LastUsed.UnixMilli()
	if used > ms {
		r.LastUsed = time.UnixMilli(used)
	}
	if s.drops != before.drops {
		return t.lone(r)
	}

	if l := t.look(s, h); l != nil {
		return l
	}

	fresh, fits, known := t.pack(r, before.forgotten)
	switch {
	case !known:
		return t.lone(r)
	case !fits:
		l := t.lone(r)
		t.keepOdd(s, odd{l, before.forgotten}, now)
		return l
	}

	if e != nil { // of an owner who was forgotten
		fresh.use |= e.use & waitsBit
		t.release(s, e)
	} else {
		e = t.room(s, fresh.key, now.UnixMilli())
	}

	*e = fresh

	return t.warm(s, e, h)
}

// warm returns the session of an entry, to somebody who holds a lock of its shard.
func (t *table) warm(s *shard, e *entry, h *secret.Hash) *Live {
	at := s.at(e.key)
	if l := at.Load(); l != nil && l.hash == *h {
		l.heard(e.lastUsed())
		return l
	}

	l := t.live(e, h)
	at.Store(l)

	return l
}

// at returns where the session of a key is when it is hot.
func (s *shard) at(k key) *atomic.Pointer[Live] { return &s.hot[k[0]&uint64(len(s.hot)-1)] }

// lone returns a session that stands for itself, as it was read.
func (t *table) lone(r *Record) *Live {
	l := newLive(r)
	l.Known = t.spent
	return l
}

// live makes the session of an entry, for somebody who holds a lock of its shard.
func (t *table) live(e *entry, h *secret.Hash) *Live {
	o := t.owners.people.at(e.owner())
	// One piece of memory holds all texts.
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

	l.Key.Login, l.Known = l.Login, t.spent
	l.lastUsed.Store(e.lastUsed())

	return l
}

// pack makes an entry of a record. It does not fit where a number is too large, a
// text is none of ours, or there are too many classes. An owner who is not known
// was forgotten after the record was read.
func (t *table) pack(r *Record, since uint64) (e entry, fits, known bool) {
	e, fits = fitting(r)
	if !fits {
		return e, false, true
	}

	source, ok := t.holdSource(r.Source)
	if !ok {
		return e, false, true
	}

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

func (t *table) releaseSource(n uint64) {
	if n >= numbered && n <= lastSlot {
		t.sources.release(uint32(n))
	}
}

// release lets go of what an entry holds. The shard is locked.
func (t *table) release(s *shard, e *entry) {
	at := s.at(e.key)
	if at.Load() != nil && keyOf(&at.Load().hash) == e.key {
		at.Store(nil)
	}

	t.owners.release(e.owner())
	t.classes.release(e.class())
	t.releaseSource(e.source())
}

// drop forgets sessions that have ended. After it has returned none of them is found
// without the store.
func (t *table) drop(hashes ...secret.Hash) {
	for i := range hashes {
		h := &hashes[i]
		s := t.shard(h)
		s.mu.Lock()
		s.drops++
		e := s.find(keyOf(h))
		if e != nil {
			s.settled(e.login(), math.MaxInt64) // it has no last use that matters
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

// forget makes the next look at every session of a user ask the store.
func (t *table) forget(user int64) { t.owners.forget(user) }

// forgetAll makes the next look at every session ask the store.
func (t *table) forgetAll() { t.owners.forgetAll() }

// kept counts the sessions that are here.
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

// touch moves the last use of a session forward.
func (t *table) touch(l *Live, now time.Time) {
	ms, last := now.UnixMilli(), l.lastUsed.Load()
	if ms-last < 1000 || !l.lastUsed.CompareAndSwap(last, ms) {
		return
	}

	s := t.shard(&l.hash)
	w := waiting{ms, keyOf(&l.hash)}
	s.mu.RLock()
	e := s.find(w.key)
	outgrown := e != nil && !reaches(e.created(), ms)
	if e == nil || outgrown {
		s.wait(l.Login, w)
	} else if moved, begins := e.touch(ms); moved && begins && !s.wait(l.Login, w) {
		e.settle() // there is no room to wait: the next use tries again
	}

	s.mu.RUnlock()
	if outgrown {
		s.mu.Lock()
		if e := s.find(w.key); e != nil {
			t.evict(s, e)
		}
		s.mu.Unlock()
	}
}

// unwritten returns the last uses that wait to be written down, by login.
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

// newest brings a last use up to date as it is about to be written. What comes later
// waits anew.
func (t *table) newest(w *lastUse) {
	w.shard.mu.RLock()
	defer w.shard.mu.RUnlock()

	e := w.shard.find(w.key)
	if e != nil {
		w.used = max(w.used, e.settle())
		w.shard.wait(w.login, w.waiting) // until it is written
	}
}

// written ends the waiting of a last use, unless there is a later one.
func (t *table) written(w lastUse) { w.shard.settled(w.login, w.used) }

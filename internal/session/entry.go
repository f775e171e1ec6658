package session

import (
	"encoding/binary"
	"math/bits"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/jeton-auth/jeton/internal/secret"
)

// entry is a live session in the table: 48 bytes, and nothing in it points anywhere, so that
// the collector does not look into the table.
//
// It is found by the first 128 bits of the hash, and those alone decide. That is enough: the
// hash is the SHA-256 of 256 random bits, so that who guesses meets one of ten million
// entries once in 10^31 guesses; and the secrets are ours, so that nobody can prepare two
// whose hashes agree.
//
// The words, from their high bits on:
//
//	made  43 milliseconds from 1970 to the login, which are also in the id; 12 class; 9 login
//	from  33 source; 31 login, the lower bits
//	use   26 owner; 1 unused; 1 whether the last use waits to be written; 36 milliseconds
//	      from the login to the last use
//
// Only the word use changes while an entry is shared, and is read and written by atomic
// operations alone there. What does not fit, fitting reports, and it is kept as an odd one.
type entry struct {
	key    key
	random uint64 // of the id
	made   uint64
	from   uint64
	use    uint64
}

type key [2]uint64

func keyOf(h *secret.Hash) key {
	return key{binary.LittleEndian.Uint64(h[:]), binary.LittleEndian.Uint64(h[8:])}
}

const (
	classBits  = 12
	loginBits  = 40
	sourceBits = 33
	ownerBits  = 26
	usedBits   = 36 // two years
	madeBits   = 43 // until the year 2248

	lowLogin = 64 - sourceBits
	waitsBit = 1 << usedBits
	usedMask = waitsBit - 1
)

// numbered says that a source is a slot, or a word, and no IPv4 address.
const (
	numbered     = 1 << 32
	numberedMost = 1<<sourceBits - 1
	lastSlot     = numberedMost - uint64(len(words))
)

// words are sources that are no address, from numberedMost on downwards.
var words = [...]string{"", "local"}

// addressLen is enough for the text of an IPv6 address.
const addressLen = 48

func (e *entry) empty() bool     { return e.owner() == 0 }
func (e *entry) owner() uint32   { return uint32(atomic.LoadUint64(&e.use) >> (64 - ownerBits)) }
func (e *entry) class() uint32   { return uint32(e.made >> (loginBits - lowLogin) & (1<<classBits - 1)) }
func (e *entry) source() uint64  { return e.from >> lowLogin }
func (e *entry) created() int64  { return int64(e.made >> (64 - madeBits)) }
func (e *entry) lastUsed() int64 { return e.created() + int64(atomic.LoadUint64(&e.use)&usedMask) }
func (e *entry) waits() bool     { return atomic.LoadUint64(&e.use)&waitsBit != 0 }
func (e *entry) login() int64 {
	return int64(e.made&(1<<(loginBits-lowLogin)-1)<<lowLogin | e.from&(1<<lowLogin-1))
}

// touch moves the last use forward, in steps of a second so that a busy session does not
// keep the processors passing one cache line around. It reports whether it did, and
// whether the last use did not wait to be written before. It must not be called with a
// time that does not fit.
func (e *entry) touch(ms int64) (moved, begins bool) {
	for {
		old := atomic.LoadUint64(&e.use)
		if ms-e.created()-int64(old&usedMask) < 1000 {
			return false, false
		}
		if atomic.CompareAndSwapUint64(&e.use, old, old&^usedMask|waitsBit|uint64(ms-e.created())) {
			return true, old&waitsBit == 0
		}
	}
}

// settle returns the last use, which from now on does not wait to be written.
func (e *entry) settle() int64 {
	return e.created() + int64(atomic.AndUint64(&e.use, ^uint64(waitsBit))&usedMask)
}

// reaches reports whether an entry of a session made then can hold that last use.
func reaches(created, used int64) bool { return used >= created && used-created <= usedMask }

// handle returns the id.
func (e *entry) handle() (h secret.Handle) {
	binary.BigEndian.PutUint64(h[:], uint64(e.created())<<16)
	binary.BigEndian.PutUint64(h[6:], e.random)
	return h
}

// fitting makes an entry of a record, without what is in slots. It reports false for
// what does not fit.
func fitting(r *Record) (entry, bool) {
	h, ok := secret.ReadID(idPrefix, r.ID)
	created, used := r.Created.UnixMilli(), r.LastUsed.UnixMilli()
	e := entry{key: keyOf(&r.Hash), random: binary.BigEndian.Uint64(h[6:])}
	e.made = uint64(created)<<(64-madeBits) | uint64(r.Login)>>lowLogin
	e.from = uint64(r.Login) & (1<<lowLogin - 1)

	e.use = uint64(used - created)
	ok = ok && e.handle() == h && created >= 0 && bits.Len64(uint64(created)) <= madeBits &&
		r.Login > 0 && bits.Len64(uint64(r.Login)) <= loginBits && reaches(created, used) &&
		r.Created.Equal(time.UnixMilli(created)) && r.Created.Add(r.Expires.Sub(r.Created)).Equal(r.Expires)

	return e, ok
}

func (e *entry) setSlots(owner, class uint32, source uint64) {
	e.use |= uint64(owner) << (64 - ownerBits)
	e.made |= uint64(class) << (loginBits - lowLogin)
	e.from |= source << lowLogin
}

// address reads a source that is the usual text of an address.
func address(source string) (netip.Addr, bool) {
	a, err := netip.ParseAddr(source)
	return a, err == nil && a.Zone() == "" && a.String() == source
}

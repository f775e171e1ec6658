package session

import (
	"encoding/binary"
	"math/bits"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/jeton-auth/jeton/internal/secret"
)

// entry is a cached session in the table: 48 bytes without pointers, so that the garbage
// collector does not visit the table.
//
// It is found by the first 128 bits of the hash. That suffices: the hash is the SHA-256 of
// 256 random bits, so a guess matches one of ten million entries once in 10^31 tries; and
// the server makes the secrets, so no caller can prepare two whose hashes agree.
//
// The words, from the high bits down:
//
//	made  43 milliseconds from 1970 to the login, which are also in the id; 12 class; 9 login
//	from  33 source; 31 login, the lower bits
//	use   26 owner; 1 unused; 1 whether the last use is pending; 36 milliseconds from the
//	      login to the last use
//
// Only the word use changes while an entry is shared, and only by atomic operations. A
// record that does not fit is kept as an odd one.
type entry struct {
	key    key
	random uint64 // of the id
	made   uint64
	from   uint64
	use    uint64
}

// key is the first half of a hash. 128 bits of a SHA-256 name a session: two random secrets do
// not share them.
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

// A source of numbered and above is a slot or a word, not an IPv4 address.
const (
	numbered     = 1 << 32
	numberedMost = 1<<sourceBits - 1
	lastSlot     = numberedMost - uint64(len(words))
)

// words are sources that are not addresses, numbered from numberedMost down.
var words = [...]string{"", "local"}

// addressLen is enough for the text of an IPv6 address.
const addressLen = 48

// empty reports an entry without a session: every session has an owner, whose slot is never
// 0.
func (e *entry) empty() bool { return e.owner() == 0 }

func (e *entry) owner() uint32 {
	return uint32(atomic.LoadUint64(&e.use) >> (64 - ownerBits))
}

// lastUsed returns the last use, in milliseconds since 1970. It is stored as the time since
// the login, which fits into fewer bits.
func (e *entry) lastUsed() int64 {
	return e.created() + int64(atomic.LoadUint64(&e.use)&usedMask)
}

// waits reports whether the last use is not in the store yet.
func (e *entry) waits() bool { return atomic.LoadUint64(&e.use)&waitsBit != 0 }

func (e *entry) created() int64 { return int64(e.made >> (64 - madeBits)) }

func (e *entry) class() uint32 {
	return uint32(e.made >> (loginBits - lowLogin) & (1<<classBits - 1))
}

func (e *entry) source() uint64 { return e.from >> lowLogin }

// login joins the upper bits, which are in made, and the lower bits, which are in from.
func (e *entry) login() int64 {
	const (
		highMask = 1<<(loginBits-lowLogin) - 1
		lowMask  = 1<<lowLogin - 1
	)

	high := e.made & highMask
	low := e.from & lowMask

	return int64(high<<lowLogin | low)
}

// touch moves the last use forward, in steps of some milliseconds (see stepOf). It reports whether
// the last use is pending now and was not before. The time must fit the entry.
func (e *entry) touch(ms, step int64) (begins bool) {
	for {
		// Several requests touch at once: they hold the lock of the shard for reading only.
		old := atomic.LoadUint64(&e.use)
		if ms-e.created()-int64(old&usedMask) < step {
			return false
		}
		if atomic.CompareAndSwapUint64(&e.use, old, old&^usedMask|waitsBit|uint64(ms-e.created())) {
			return old&waitsBit == 0
		}
	}
}

// settle returns the last use and marks it as not pending.
func (e *entry) settle() int64 {
	return e.created() + int64(atomic.AndUint64(&e.use, ^uint64(waitsBit))&usedMask)
}

// reaches reports whether an entry of a session created then can hold that last use.
func reaches(created, used int64) bool { return used >= created && used-created <= usedMask }

// handle returns the id.
func (e *entry) handle() (h secret.Handle) {
	binary.BigEndian.PutUint64(h[:], uint64(e.created())<<16)
	binary.BigEndian.PutUint64(h[6:], e.random)
	return h
}

// fitting makes an entry of a record, without its slots. It reports false if the record does
// not fit.
func fitting(r *Record) (entry, bool) {
	h, ok := secret.ReadID(idPrefix, r.ID)
	created := r.Created.UnixMilli()
	used := r.LastUsed.UnixMilli()
	lifetime := r.Expires.Sub(r.Created)

	e := entry{
		key:    keyOf(&r.Hash),
		random: binary.BigEndian.Uint64(h[6:]),
		made:   uint64(created)<<(64-madeBits) | uint64(r.Login)>>lowLogin,
		from:   uint64(r.Login) & (1<<lowLogin - 1),
		use:    uint64(used - created),
	}

	switch {
	case !ok || e.handle() != h:
		return e, false // not an id of secret.ID at the time of the login
	case created < 0 || bits.Len64(uint64(created)) > madeBits:
		return e, false
	case r.Login <= 0 || bits.Len64(uint64(r.Login)) > loginBits:
		return e, false
	case !reaches(created, used):
		return e, false
	case !r.Created.Equal(time.UnixMilli(created)) || !r.Created.Add(lifetime).Equal(r.Expires):
		return e, false // not whole milliseconds, or a lifetime that overflows
	}

	return e, true
}

// setSlots stores the numbers of what several sessions share. The entry is new: its bits
// are 0.
func (e *entry) setSlots(owner, class uint32, source uint64) {
	e.use |= uint64(owner) << (64 - ownerBits)
	e.made |= uint64(class) << (loginBits - lowLogin)
	e.from |= source << lowLogin
}

// address parses a source that is an address in its normal form.
func address(source string) (netip.Addr, bool) {
	a, err := netip.ParseAddr(source)
	return a, err == nil && a.Zone() == "" && a.String() == source
}

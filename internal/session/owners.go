package session

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// owners holds the owners of cached sessions, each once. It invalidates one owner, or all, in
// one step, however many sessions they have.
//
// An entry of the table holds the slot of its owner, and is invalid once the owner is
// invalidated: the slot is not reused before the last such entry is removed. The clock
// separates a reader that read the store before an invalidation from a later one.
type owners struct {
	mu        sync.Mutex // for adding and invalidating owners; readers of entries do not lock it
	epoch     atomic.Uint32
	clock     atomic.Uint64 // number of invalidations
	forgotten [1024]atomic.Uint64
	all       atomic.Uint64
	users     slots[int64, owner]
	lists     slots[string, []string] // of groups
}

// owner takes 64 bytes with its key and reference count. A session whose owner has a longer
// name is an odd one.
type owner struct {
	epoch  uint32 // that of owners, or 0 if invalidated; atomic
	groups uint32 // slot of the list, or 0
	length uint8
	name   [nameLen]byte
}

const nameLen = 43

func (o *owners) init() {
	o.epoch.Store(1)
	o.users.limit = 1<<ownerBits - 1
	o.lists.limit = o.users.limit
}

// since returns the time on the clock; a reader takes it before it reads the store.
func (o *owners) since() uint64 { return o.clock.Load() }

func (o *owners) mark(user int64) *atomic.Uint64 {
	return &o.forgotten[uint64(user)%uint64(len(o.forgotten))]
}

// known reports whether a user that was read at that time was not invalidated since. It reports
// false for one in a thousand that was not.
func (o *owners) known(user int64, since uint64) bool {
	return o.mark(user).Load() <= since && o.all.Load() <= since
}

// hold returns the slot of an owner, with one more reference, or 0 if the owner does not fit.
// known is false, and there is no slot, if the owner was invalidated since it was read.
func (o *owners) hold(r *Record, since uint64) (slot uint32, known bool) {
	if len(r.Name) > nameLen {
		return 0, true
	}

	o.mu.Lock()
	defer o.mu.Unlock()

	// With the lock held, so that no invalidation comes between this and the new reference.
	if !o.known(r.User, since) {
		return 0, false
	}

	want := owner{epoch: o.epoch.Load(), length: uint8(len(r.Name))}
	copy(want.name[:], r.Name)

	if r.Groups != nil {
		want.groups = o.list(r.Groups)
		if want.groups == 0 {
			return 0, true
		}
	}

	fresh := false
	slot = o.users.hold(r.User, func(v *owner) bool {
		if *v == want {
			return true
		}

		// The owner has changed, and the invalidation has not arrived yet.
		atomic.StoreUint32(&v.epoch, 0)
		return false
	}, func() owner { fresh = true; return want })

	// Only a new slot keeps the reference that list has taken; an existing one has its own.
	if !fresh && want.groups != 0 {
		o.lists.release(want.groups)
	}

	return slot, true
}

// list returns the slot of a list of groups. Group names contain no NUL.
func (o *owners) list(groups []string) uint32 {
	key := strings.Join(groups, "\x00")
	same := func(v *[]string) bool { return slices.Equal(*v, groups) }
	return o.lists.hold(key, same, func() []string { return slices.Clip(groups) })
}

func (o *owners) release(slot uint32) {
	v, last := o.users.release(slot)
	if last && v.groups != 0 {
		o.lists.release(v.groups)
	}
}

// alive reports whether the owner in a slot has not been invalidated.
func (o *owners) alive(slot uint32) bool {
	return atomic.LoadUint32(&o.users.at(slot).value.epoch) == o.epoch.Load()
}

// groups returns the groups of an owner; the caller holds its slot.
func (o *owners) groups(v *owner) []string {
	if v.groups == 0 {
		return nil
	}
	return o.lists.at(v.groups).value
}

// forget invalidates every session of a user.
func (o *owners) forget(user int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	// The mark stops readers that have read the store before; the epoch ends the entries that
	// exist.
	o.mark(user).Store(o.clock.Add(1))
	o.users.alter(user, func(v *owner) { atomic.StoreUint32(&v.epoch, 0) })
}

// forgetAll invalidates every session.
func (o *owners) forgetAll() {
	o.mu.Lock()
	defer o.mu.Unlock()

	// As in forget, and the new epoch makes those of all owners invalid in one step.
	o.all.Store(o.clock.Add(1))
	if o.epoch.Add(1) == 0 { // 0 is the mark of an invalidated owner
		o.epoch.Add(1)
	}
}

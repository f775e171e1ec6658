package session

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// owners keeps whose sessions are in memory, each owner once, and forgets one of them, or
// all, in one step however many sessions they have.
//
// An entry of the table holds the slot of its owner, and is worth nothing once the owner is
// forgotten: the slot is given to nobody else before the last such entry is gone. A reader
// who asked the store before is told apart by the clock.
type owners struct {
	mu        sync.Mutex // of who comes and who is forgotten; readers of entries do not take it
	epoch     atomic.Uint32
	clock     atomic.Uint64 // counts what was forgotten
	forgotten [1024]atomic.Uint64
	all       atomic.Uint64
	people    slots[int64, owner]
	lists     slots[string, []string] // of groups
}

// owner is a row of 64 bytes, with its key and the number of its sessions. A name that
// is longer makes a session an odd one.
type owner struct {
	epoch  uint32 // as of the owners, or 0 when forgotten; atomic
	groups uint32 // slot of the list, or 0
	length uint8
	name   [nameLen]byte
}

const nameLen = 43

func (o *owners) init() {
	o.epoch.Store(1)
	o.people.most = 1<<ownerBits - 1
	o.lists.most = o.people.most
}

// since returns the time on the clock: a reader takes it before it asks the store.
func (o *owners) since() uint64 { return o.clock.Load() }

func (o *owners) mark(user int64) *atomic.Uint64 {
	return &o.forgotten[uint64(user)%uint64(len(o.forgotten))]
}

// known reports whether what was read of a user at that time still counts. It says no to one
// in a thousand of whom it could say yes.
func (o *owners) known(user int64, since uint64) bool {
	return o.mark(user).Load() <= since && o.all.Load() <= since
}

// hold returns the slot of an owner, held once more; or 0 for an owner that takes no slot.
// known tells whether the owner, as it was read, still counts; otherwise there is no slot.
func (o *owners) hold(r *Record, since uint64) (slot uint32, known bool) {
	if len(r.Name) > nameLen {
		return 0, true
	}

	o.mu.Lock()
	defer o.mu.Unlock()

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
	slot = o.people.hold(r.User, func(v *owner) bool {
		if *v == want {
			return true
		}

		// What is known of the owner has changed, and nobody has said so yet.
		atomic.StoreUint32(&v.epoch, 0)
		return false
	}, func() owner { fresh = true; return want })

	if !fresh && want.groups != 0 {
		o.lists.release(want.groups)
	}

	return slot, true
}

// list returns the slot of a list of groups. Names of groups have no NUL.
func (o *owners) list(groups []string) uint32 {
	key := strings.Join(groups, "\x00")
	return o.lists.hold(key, func(v *[]string) bool {
		return slices.Equal(
			*v,
			groups,
		)
	}, func() []string { return slices.Clip(groups) })
}

func (o *owners) release(slot uint32) {
	v, last := o.people.release(slot)
	if last && v.groups != 0 {
		o.lists.release(v.groups)
	}
}

// alive reports whether the owner in a slot has not been forgotten since.
func (o *owners) alive(slot uint32) bool {
	return atomic.LoadUint32(&o.people.at(slot).value.epoch) == o.epoch.Load()
}

// groups returns the groups of an owner whose slot somebody holds.
func (o *owners) groups(v *owner) []string {
	if v.groups == 0 {
		return nil
	}
	return o.lists.at(v.groups).value
}

// forget makes every session of a user worth nothing.
func (o *owners) forget(user int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.mark(user).Store(o.clock.Add(1))
	o.people.alter(user, func(v *owner) { atomic.StoreUint32(&v.epoch, 0) })
}

// forgetAll makes every session worth nothing.
func (o *owners) forgetAll() {
	o.mu.Lock()
	defer o.mu.Unlock()

	o.all.Store(o.clock.Add(1))
	if o.epoch.Add(1) == 0 { // which says that one is forgotten
		o.epoch.Add(1)
	}
}

package postgres

import "time"

// The node protocol keeps the promise "revoked is revoked" over many nodes, each of
// which answers most requests from a cache.
//
//   - Invalidation log. A step that revokes or changes something inserts rows into the
//     table changes, in its own transaction.
//   - Poll. Each node reads the rows that its last snapshot did not show, and drops from
//     its cache what they name. Snapshots are compared, not transaction numbers: so a
//     transaction that began early and committed late is seen.
//   - Lease. A poll that succeeds renews the lease, from the moment at which the poll
//     began. Only while the lease is valid, for less than the bound B of the node, does
//     the node answer from its cache. Afterwards it polls first, or answers 503.
//   - Acknowledgement. After a poll that found rows, a node notifies the others of the
//     snapshot that it has applied.
//   - Membership. A node has a row in the table nodes, with its bound and a heartbeat. A
//     node without heartbeats is marked, and much later removed. A node that finds itself
//     marked or removed drops its cache and registers again.
//   - Answer. The node that revoked waits after its commit until each node in the list
//     has acknowledged, or until the longest bound has passed. Then it answers.
//
// Why no node accepts what was revoked, once that has been answered: let the revocation
// be committed at c and answered at a. Let a node judge a request, which came after a, at
// t from its cache, and let the poll that renewed its lease have begun at s.
//
//  1. The node had acknowledged before a. It had dropped the credential before, and its
//     cache does not take back what was read before (docs/decisions/0006).
//  2. It had not. Then the answer waited for the bound, so a > c + B. The lease is valid,
//     so t < s + B. With t > a follows s > c: the poll began after the commit, and saw it.
//  3. The node is not in the list. The list was read after c. So the node registered
//     after c, with an empty cache, and has read only what was committed.
//  4. The node was removed from the list as dead. It was marked for longer than any bound
//     before that. Its next poll finds the mark, or no row, before it renews the lease.
//
// Three cases need more than that:
//
//   - Another server, after a failover, a restore or a crash, gives transaction numbers a
//     second time: the last snapshot then seems to show what it does not. So the first
//     poll on each connection drops the cache and registers the node again, and
//     acknowledgements count only after a poll that began after the commit. After a
//     failover the list may lack a node: for a while, acknowledgements do not count.
//   - A step that finds nothing left to revoke may follow another one, which still waits
//     for its acknowledgements. So it writes a row without names, and waits as well. A
//     caller without a valid credential causes no write: it waits until every node has
//     acknowledged the rows that are stored (settle). For the same reason a node applies
//     rows of its own steps that a poll shows, although their commits are not answered
//     yet: see stepState.
//   - A machine that sleeps may stop its monotonic clock. So a lease ends by the wall
//     clock as well: see leaseValid. If both clocks stop, the promise does not hold for the
//     request that is being judged, and for up to B after it.
//
// This file holds the decisions, as pure functions. The others do what they decide: node.go
// the loop, poll.go the poll, invalidate.go publishing and waiting, notify.go notifications,
// membership.go registration and heartbeats.
//
// Stored names are older than these words, and stay, so that nodes of other versions
// understand each other: nodes.beat is the heartbeat, nodes.heard the snapshot up to which
// a node has applied changes, nodes.gone the mark, "look" asks for a poll, and "heard" is an
// acknowledgement.

const (
	heartbeatEvery = 5 * time.Second
	// deadAfter is after how long without a heartbeat a node is marked, and after how long
	// again it is removed. It is longer than any bound (case 4 above).
	deadAfter = 3 * MaxStaleness
	// clockSlack covers the grain of two clocks.
	clockSlack = time.Millisecond
)

// leaseValid reports whether a lease renewed at a time is valid now. The monotonic clock
// decides. The wall clock can only shorten the lease: it alone sees that a machine slept.
func leaseValid(renewed, now time.Time, bound time.Duration) bool {
	return withinBound(now.Sub(renewed), now.Round(0).Sub(renewed.Round(0)), bound)
}

// withinBound reports whether both clocks say that less than bound has passed. A wall clock
// that was set back by more than the bound is not trusted either.
func withinBound(monotonic, wall, bound time.Duration) bool {
	return monotonic < bound && wall < bound && wall > -bound
}

// leasesEnd returns when no lease is valid any more that was renewed before a commit. It adds
// 1 %, since two clocks may run at different rates.
func leasesEnd(committed time.Time, bound time.Duration) time.Time {
	return committed.Add(bound + bound/100 + clockSlack)
}

// acknowledged reports whether all of the nodes have acknowledged a transaction.
func acknowledged(nodes []string, acks map[string]snapshot, xid uint64) bool {
	for _, id := range nodes {
		applied, ok := acks[id]
		if !ok || !applied.shows(xid) {
			return false
		}
	}

	return true
}

// mustRegister reports whether a poll has found that the node must drop its cache and register
// again. newConn: it is the first poll on its connection. server: when the server started that
// the last poll reached.
func (r pollResult) mustRegister(newConn bool, server string) bool {
	return newConn || !r.member || r.server != server
}

// stepState is what a node knows of a step of its own. The changes of a step that was
// committed are published to the caches once: when its commit is answered, or when a poll
// finds it before that.
type stepState int

const (
	stepDone      stepState = iota // nothing more will come; it is not kept
	stepPending                    // its commit is not answered yet
	stepPublished                  // as pending, but a poll has found it, and it was published
	stepUnknown                    // the answer to its commit was lost
)

// stepEvent is something that a node learns of a step of its own.
type stepEvent int

const (
	foundByPoll    stepEvent = iota
	commitDone               // it is committed
	commitRefused            // it is certainly not
	commitLost               // nothing is known
	snapshotPassed           // a snapshot shows everything up to the step
)

// on returns the next state of a step, and whether its changes are to be published now.
func (s stepState) on(e stepEvent) (next stepState, publish bool) {
	t := stepTransitions[stepTransition{s, e}]
	return t.next, t.publish
}

// stepTransition is a state and an event in it.
type stepTransition struct {
	state stepState
	event stepEvent
}

// stepTransitions lists the transitions. Any other ends the step without publishing.
var stepTransitions = map[stepTransition]struct {
	next    stepState
	publish bool
}{
	{stepPending, foundByPoll}:      {stepPublished, true},
	{stepPending, commitDone}:       {stepDone, true},
	{stepPending, commitLost}:       {stepUnknown, false},
	{stepPending, snapshotPassed}:   {stepPending, false},
	{stepPublished, foundByPoll}:    {stepPublished, false},
	{stepPublished, snapshotPassed}: {stepPublished, false},
	{stepUnknown, foundByPoll}:      {stepDone, true},
}

// peer is how another node looked when its row last changed.
type peer struct {
	heartbeat int64
	marked    bool
	since     time.Time
}

// overdue returns the statement that marks a peer, or removes one that is marked, after that long
// without a heartbeat. It returns "" before that. Only the clock of the node that asks counts.
func (p peer) overdue(now time.Time, limit time.Duration) string {
	if now.Sub(p.since) < limit {
		return ""
	}
	if p.marked {
		return removePeerSQL
	}

	return markPeerSQL
}

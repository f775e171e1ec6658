//go:build unix

package e2e

import (
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const (
	twenty    = "/twenty"
	mostUses  = 20 // of twenty, by one credential
	ownUses   = 12 // of a token that counts: fewer than of the route
	crowd     = 12 // clients
	window    = 7  // credentials that are used at the same time
	mostDoubt = 4  // uses without an answer, of one credential: each may hide one that was lost or doubled
)

// operation is a request of a client, with a credential.
type operation int

const (
	useCounted operation = iota // POST to the route that counts
	useFree                     // POST to the one that does not
	lookCounted
	endIt
)

func (q operation) String() string {
	return [...]string{"use /twenty", "use /free", "look at /twenty", "end"}[q]
}

// outcome is the result of an operation.
type outcome int

const (
	granted   outcome = iota // 200, or for an end: it was acknowledged
	exhausted                // 403: no use is left
	refused                  // 401; for an end: there was nothing to end
	nobodyCanTell
)

func (o outcome) String() string {
	return [...]string{"granted", "exhausted", "refused", "?"}[o]
}

// entry is one entry of a history. Times are of one monotonic clock, in nanoseconds.
type entry struct {
	client, node int
	credential   int
	operation    operation
	outcome      outcome
	left         int // that the answer says
	text         string
	call, back   int64
}

func (d entry) String() string {
	return fmt.Sprintf("%9.3f to %9.3f ms: client %2d at node %d: %s: %v, %d left %s",
		float64(d.call)/1e6, float64(d.back)/1e6, d.client, d.node, d.operation, d.outcome, d.left, d.text)
}

// history is what clients saw during the faults.
type history struct {
	*nodes
	seed        uint64
	credentials []*credential
	epoch       time.Time
	end         atomic.Bool
	extra       sync.WaitGroup // what endElsewhere has begun

	mu      sync.Mutex
	entries []entry
	doubts  []int // by credential
	odd     []string
	faults  map[string]int
	after   int // uses that were granted at a node after a fault
}

func (h *history) now() int64 { return int64(time.Since(h.epoch)) }

// record has clients use all nodes while one after another is disturbed.
func (all *nodes) record(t *testing.T, seed uint64, lasts time.Duration) *history {
	t.Helper()
	h := &history{nodes: all, seed: seed, faults: map[string]int{}}
	all.waitReady(t)
	h.makeCredentials(t)
	h.epoch = time.Now()

	for _, n := range all.list {
		// Faults of an earlier history on the same nodes do not count for this one.
		n.healed.Store(0)
	}

	var front atomic.Int64 // the first of the credentials that are used now
	var work sync.WaitGroup
	for c := range crowd {
		work.Go(func() {
			dice := rand.New(rand.NewPCG(seed, uint64(c)))
			for !h.end.Load() {
				i := (int(front.Load()) + dice.IntN(window)) % len(h.credentials)
				h.act(c, i, dice)
				time.Sleep(time.Duration(dice.IntN(8)) * time.Millisecond)
			}
		})
	}

	step := lasts / time.Duration(len(h.credentials))
	work.Go(func() {
		for !h.end.Load() {
			time.Sleep(step)
			front.Add(1)
		}
	})

	dice := rand.New(rand.NewPCG(seed, math.MaxUint64))
	pause(t, step*2)

	for h.now() < int64(lasts) {
		h.fault(t, dice)
	}

	all.waitReady(t)
	pause(t, 5*step)

	for range 3 { // should the machine have been too slow for any
		i, n := dice.IntN(len(h.credentials)), h.list[dice.IntN(len(h.list))]
		h.finishAndTry(0, n, i)
		h.ask(0, n, (i+1)%len(h.credentials), useFree)
	}

	h.end.Store(true)
	work.Wait()
	h.extra.Wait()
	all.waitReady(t)

	// The uses left at the end must fit all responses.
	for i := range h.credentials {
		for _, n := range all.list {
			h.ask(0, n, i, lookCounted)
		}
	}

	return h
}

// makeCredentials makes the credentials of a history, and sends them to all nodes.
func (h *history) makeCredentials(t *testing.T) {
	t.Helper()

	for range 10 {
		h.credentials = append(h.credentials, h.session(t, crashName, crashPW, nil))
	}

	for i := range 10 {
		h.credentials = append(h.credentials, h.token(t, h.crash, i%2*ownUses, nil))
	}

	for i := range 2 {
		acct := h.newAccount(t, fmt.Sprintf("h%d-%d", h.seed, i))
		steady := h.session(t, acct.name, acct.password, acct)
		h.credentials = append(h.credentials, steady, h.token(t, steady.secret, i%2*ownUses, acct))
	}

	dice := rand.New(rand.NewPCG(h.seed, math.MaxUint64-1))
	list := h.credentials
	dice.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	h.doubts = make([]int, len(h.credentials))

	for _, each := range h.credentials {
		h.warm(t, each)
	}
}

// act makes one request of a client.
func (h *history) act(client, i int, dice *rand.Rand) {
	n := h.list[dice.IntN(len(h.list))]
	roll := dice.IntN(1000)
	switch {
	case roll < 400:
		h.ask(client, n, i, useCounted)
	case roll < 850:
		h.ask(client, n, i, useFree)
	case roll < 980:
		h.ask(client, n, i, lookCounted)
	default:
		h.finishAndTry(client, n, i)
	}
}

// finishAndTry ends a credential at a node and uses it at once on every node.
func (h *history) finishAndTry(client int, n *node, i int) {
	if h.ask(client, n, i, endIt) != granted {
		return
	}

	for range 2 {
		for _, n := range h.list {
			h.ask(client, n, i, useFree)
		}
	}
}

// ask makes one request and records the result.
func (h *history) ask(client int, n *node, i int, q operation) outcome {
	each := h.credentials[i]
	counts := q == useCounted || q == useFree && each.own > 0
	if counts && !h.mayDoubt(i) {
		return nobodyCanTell
	}

	d := entry{
		client:     client,
		node:       n.number,
		credential: i,
		operation:  q,
		call:       h.now(),
	}
	var a Answer
	var err error

	switch q {
	case useCounted:
		a, err = n.talk().show(http.MethodPost, twenty, each, nil)
	case useFree:
		a, err = n.talk().show(http.MethodPost, "/free", each, nil)
	case lookCounted:
		a, err = n.talk().show(http.MethodHead, twenty, each, nil)
	case endIt:
		a, err = h.finish(n.talk(), each)
	}

	d.back, d.left = h.now(), a.Left()

	switch {
	case err != nil:
		d.outcome, d.text = nobodyCanTell, err.Error()
	case a.Status == http.StatusServiceUnavailable:
		d.outcome, d.text = nobodyCanTell, a.Body
	case q == endIt && a.Status/100 == 2 || a.Status == http.StatusOK:
		d.outcome = granted
	case a.Status == http.StatusForbidden && q != endIt:
		d.outcome = exhausted
	case a.Status == http.StatusUnauthorized && q != endIt, a.Status == http.StatusNotFound && q == endIt:
		d.outcome = refused
	default:
		d.outcome = nobodyCanTell
		h.mu.Lock()
		h.odd = append(h.odd, fmt.Sprintf("%s = %v", q, a))
		h.mu.Unlock()
	}

	h.mu.Lock()
	defer h.mu.Unlock()

	h.entries = append(h.entries, d)
	if counts && d.outcome == nobodyCanTell {
		h.doubts[i]++
	}

	since := n.healed.Load()
	if d.outcome == granted && since != 0 && d.call > since && q != endIt {
		h.after++
	}

	return d.outcome
}

// endElsewhere ends credentials that a disturbed node has cached, at another node. It uses
// them at the disturbed node as soon as the end is acknowledged; the clients may all be
// waiting for that node, and be too late.
func (h *history) endElsewhere(fault *node, dice *rand.Rand) {
	for range 2 {
		other, i := h.list[(fault.number+1+dice.IntN(len(h.list)-1))%len(h.list)], dice.IntN(len(h.credentials))
		h.extra.Go(func() { h.finishAndTry(crowd, other, i) })
	}
}

// mayDoubt reports whether another use may remain without an answer.
func (h *history) mayDoubt(i int) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.doubts[i] < mostDoubt
}

// finish ends a credential by a logout, by a revocation, or by disabling its owner.
func (h *history) finish(c *Client, each *credential) (Answer, error) {
	switch {
	case each.owner != nil:
		return h.change(c, each.owner, map[string]any{"disabled": true})
	case each.kind == aSession:
		return c.show(http.MethodPost, "/logout", each, nil)
	}

	return c.json(http.MethodDelete, "/api/v1/users/me/tokens/"+each.accessor, "Cookie", h.crash, nil)
}

// fault disturbs one of the nodes, or the database, for a while.
func (h *history) fault(t *testing.T, dice *rand.Rand) {
	t.Helper()
	n := h.list[dice.IntN(len(h.list))]

	between := func(low, high int) time.Duration {
		return time.Duration(low+dice.IntN(high-low)) * time.Millisecond
	}

	what := ""
	roll := dice.IntN(100)
	switch {
	case roll < 20:
		what = "kill"
		n.server.Kill()
		pause(t, between(1, 300))
		n.revive(t)
	case roll < 45:
		what = "pause"
		n.stop(t)
		most := 700
		if dice.IntN(4) == 0 {
			most = 2000
		}

		pause(t, between(50, most))
		n.goOn(t)
	case roll < 60:
		what = "cut"
		n.line.Cut()
		pause(t, between(10, 600))
		n.heal(t)
	case roll < 80:
		what = "hang"
		n.line.Hang()
		h.endElsewhere(n, dice)
		pause(t, between(50, 1200))
		n.heal(t)
	case roll < 92:
		what = "delay"
		n.line.Delay(between(5, 250))
		h.endElsewhere(n, dice)
		pause(t, between(300, 900))
		n.heal(t)
	default:
		// All nodes lose it.
		what = "kill of the database"
		end := h.pg.Kill
		if dice.IntN(3) == 0 {
			what, end = "stop of the database", h.pg.Stop
		}

		if err := end(); err != nil {
			t.Fatal(err)
		}

		pause(t, between(1, 300))
		if err := h.pg.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
	}

	h.mu.Lock()
	h.faults[what]++
	h.mu.Unlock()
	n.healed.CompareAndSwap(0, h.now())
	pause(t, between(1, 150))
}

//go:build unix

package e2e

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jeton-auth/jeton/internal/test/need"
	"github.com/jeton-auth/jeton/internal/test/pgtest"
)

// revoking is many sequences of the kind "ended on one node, then used on another".
type revoking struct {
	*nodes
	left     atomic.Int64 // sequences that have not begun
	accepted atomic.Int64 // uses after an end was acknowledged: there may be none
	refused  atomic.Int64
	unknown  atomic.Int64
	fault    atomic.Int64 // sequences during a fault
	faulty   atomic.Bool

	mu    sync.Mutex
	kinds map[string]int
}

// TestCredentialsEndedOnOneNodeAreRefusedOnTheOthers ends credentials on one
// node that every node has cached, and uses them on all nodes once that is acknowledged;
// meanwhile connections to the database are slow, hang or are cut at times.
func TestCredentialsEndedOnOneNodeAreRefusedOnTheOthers(t *testing.T) {
	sequences, workers := 80, 8
	if need.Soaking() {
		sequences = 10_000
	}

	all := newNodes(t, pgtest.Start(t), "", mixed()...)
	r := &revoking{nodes: all, kinds: map[string]int{}}
	disturbed := int64(sequences / 20) // at least; the work goes on until then
	r.left.Store(int64(sequences))
	var work sync.WaitGroup
	for w := range workers {
		work.Go(func() {
			acct := all.newAccount(t, fmt.Sprint("worker", w))
			for (r.left.Add(-1) >= 0 || r.fault.Load() < disturbed) && !t.Failed() {
				r.sequence(t, acct)
			}
		})
	}

	ended := make(chan struct{})
	go func() {
		work.Wait()
		close(ended)
	}()

	for again := true; again; {
		again = r.disturb(t, ended)
	}

	n := r.accepted.Load()
	if n > 0 {
		t.Errorf("%d uses accepted after their end was acknowledged, want 0", n)
	}
	if r.refused.Load() < int64(sequences) || r.fault.Load() < disturbed {
		t.Errorf(
			"%s: %d refusals, %d sequences during a fault; want at least %d and %d",
			nothingHappens, r.refused.Load(), r.fault.Load(), sequences, disturbed,
		)
	}

	t.Logf("%d ends acknowledged on one of three nodes (%v; %d while a connection was disturbed): "+
		"%d uses accepted afterwards, %d refused, %d not answered or 503",
		sequences, r.kinds, r.fault.Load(), r.accepted.Load(), r.refused.Load(), r.unknown.Load())
}

// disturb waits a while, then disturbs one connection. It reports false when the work has
// ended.
func (r *revoking) disturb(t *testing.T, ended <-chan struct{}) bool {
	t.Helper()
	wait := func(low, high int) bool {
		select {
		case <-ended:
			return false
		case <-time.After(time.Duration(low+rand.IntN(high-low)) * time.Millisecond):
			return true
		}
	}
	if !wait(300, 900) {
		return false
	}

	r.faulty.Store(true)
	defer r.faulty.Store(false)

	n := r.list[rand.IntN(len(r.list))]

	switch rand.IntN(4) {
	case 0:
		n.line.Cut()
	case 1:
		n.line.Hang()
	case 2:
		n.line.Delay(time.Duration(5+rand.IntN(150)) * time.Millisecond)
	default:
		n.stop(t)
		defer n.goOn(t)
		return wait(50, 500)
	}

	defer n.heal(t)

	return wait(50, 800)
}

// sequence makes a credential, sends it to all nodes, ends it at one, and uses it.
func (r *revoking) sequence(t *testing.T, acct *account) {
	var h *credential
	var end func(c *Client) (Answer, error)

	kind, after := "", func() {}
	roll := rand.IntN(100)
	switch {
	case roll < 40:
		kind, h = "logout", r.session(t, crashName, crashPW, nil)
		end = func(c *Client) (Answer, error) { return c.show(http.MethodPost, "/logout", h, nil) }
	case roll < 70:
		kind, h = "revocation", r.token(t, r.crash, 0, nil)
		end = func(c *Client) (Answer, error) {
			return c.json(http.MethodDelete, "/api/v1/users/me/tokens/"+h.accessor, "Cookie", r.crash, nil)
		}
	case roll < 85:
		kind, h = "disabling", r.held(t, acct)
		if h.kind == aSession && rand.IntN(2) == 0 {
			h = r.token(t, h.secret, 0, nil)
		}

		end = func(c *Client) (Answer, error) { return r.change(c, acct, map[string]any{"disabled": true}) }
		after = func() {
			again(t, "enable "+acct.name, http.StatusOK, func() (Answer, error) {
				return r.change(r.any(), acct, map[string]any{
					"disabled": false,
				})
			})
		}
	default:
		kind, h = "password", r.held(t, acct)
		acct.password = fmt.Sprintf("another %d of %s", rand.Uint64(), acct.name)
		end = func(c *Client) (Answer, error) { return r.change(c, acct, map[string]any{"password": acct.password}) }
	}

	r.warm(t, h)
	fault := r.faulty.Load()
	at := rand.IntN(len(r.list))
	finished := r.finish(t, kind, at, end)

	if kind == "disabling" {
		finished() // the second would disable whom we enable
	}

	var uses sync.WaitGroup
	for i := range r.list {
		uses.Go(func() {
			for range 2 {
				r.use(t, h, kind, at, i)
			}
		})
	}

	uses.Wait()
	finished()
	after()
	r.mu.Lock()
	r.kinds[kind]++

	r.mu.Unlock()
	if fault || r.faulty.Load() {
		r.fault.Add(1)
	}
}

// held is a credential of a user that ends with the password.
func (r *revoking) held(t *testing.T, acct *account) *credential {
	t.Helper()

	switch rand.IntN(6) {
	case 0:
		return &credential{kind: aPassword, secret: basic(acct.name, acct.password)}
	case 1, 2:
		return r.signed(t, acct)
	}

	return r.session(t, acct.name, acct.password, nil)
}

// finish requests the end until it is acknowledged: at one node, and sometimes at another
// at the same time. It returns when the first of them has answered, and what waits for both.
func (r *revoking) finish(t *testing.T, kind string, at int, end func(*Client) (Answer, error)) (finished func()) {
	first := make(chan struct{}, 2)
	ask := func(n *node) {
		defer func() { first <- struct{}{} }()

		Wait(t, kind+" to be answered", func() bool {
			a, err := end(n.talk())
			if err == nil && a.Status/100 != 2 && a.Status != http.StatusServiceUnavailable &&
				a.Status != http.StatusNotFound {
				t.Errorf("%s = %v, want 2xx, 404 or 503", kind, a)
			}
			return err == nil && a.Status != http.StatusServiceUnavailable
		})
	}

	var both sync.WaitGroup
	both.Go(func() { ask(r.list[at]) })

	if kind != "password" && rand.IntN(4) == 0 {
		both.Go(func() { ask(r.list[(at+1)%len(r.list)]) })
	}

	<-first

	return both.Wait
}

// use uses a credential that has ended.
func (r *revoking) use(t *testing.T, h *credential, kind string, at, i int) {
	a, err := r.list[i].talk().show(http.MethodPost, "/free", h, nil)
	switch {
	case err != nil || a.Status == http.StatusServiceUnavailable:
		r.unknown.Add(1)
	case a.Status == http.StatusUnauthorized:
		r.refused.Add(1)
	default:
		r.accepted.Add(1)
		t.Errorf("after a %s acknowledged by node %d, node %d answered %v, want a refusal", kind, at, i, a)
	}
}

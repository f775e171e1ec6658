//go:build unix

package e2e

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jeton-auth/jeton/internal/test/need"
	"github.com/jeton-auth/jeton/internal/test/pgtest"
)

// TestKillNodesUnderLoad is TestKillUnderLoad with two nodes on one database: one of them is
// killed repeatedly, and the other goes on.
func TestKillNodesUnderLoad(t *testing.T) {
	rounds := 2
	if need.Soaking() {
		rounds = 200
	}

	l, users, logins, survived := &ledger{}, &changedUsers{}, 0, 0
	pg := pgtest.Start(t)
	var all *nodes
	for round := range rounds {
		if round%20 == 0 {
			if all != nil {
				all.close()
			}
			all, l.logins = newNodes(t, pg, "", "250ms", "250ms"), nil
		}

		first := len(l.logins)
		survived += strainNodes(t, all, l, users, round)
		c := all.any()
		l.checkAll(c, first)
		users.check(t, c)

		if len(l.faults) > 0 {
			t.Fatalf(
				"round %d: %d promises broken, want none:\n%s",
				round, len(l.faults), strings.Join(l.faults[:min(20, len(l.faults))], "\n"),
			)
		}

		logins += len(l.logins) - first
		if (round+1)%50 == 0 {
			t.Logf("%d kills so far: %d uses acknowledged", round+1, l.grants)
		}
	}

	t.Logf("%d kills of one of two nodes under 32 clients: "+
		"%d uses acknowledged (%d by the other node after the kill) and %d without an answer, of %d logins; "+
		"%d changes of accounts acknowledged; 0 lost, 0 too many",
		rounds, l.grants, survived, l.lost, logins, users.acked)
}

// strainNodes has 32 clients work at both nodes, kills one meanwhile, lets them go on
// with the other, and starts it again. It returns how many uses were granted in between.
func strainNodes(t *testing.T, all *nodes, l *ledger, p *changedUsers, round int) int {
	first, victim := len(l.logins), rand.IntN(len(all.list))
	var killed, ended atomic.Bool

	pick := func() *node {
		if killed.Load() {
			return all.list[1-victim]
		}
		return all.list[rand.IntN(len(all.list))]
	}

	var wg sync.WaitGroup
	for range 32 {
		wg.Go(func() {
			for !ended.Load() {
				_ = act(pick().talk(), l, first) // what had no answer, the ledger notes
			}
		})
	}

	enough, changes := l.granted()+someUses(round)/2, p.count()
	if thorough(round) {
		changes += 1 + rand.IntN(3)
		wg.Go(func() {
			for n := 0; n < 3 && !ended.Load(); n++ { // each makes two changes
				at := pick()
				p.change(t, at.server, at.talk(), fmt.Sprintf("p%d-%d", round, n))
			}
		})
	}

	Wait(t, "enough to happen", func() bool { return l.granted() >= enough && p.count() >= changes })
	killed.Store(true)
	all.list[victim].server.Kill()
	before := l.granted()
	Wait(t, "the other node to go on", func() bool { return l.granted() >= before+50 })

	after := l.granted() - before
	ended.Store(true)
	wg.Wait()
	all.list[victim].revive(t)

	return after
}

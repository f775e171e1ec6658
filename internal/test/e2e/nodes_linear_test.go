//go:build unix

package e2e

import (
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jeton-auth/jeton/internal/test/need"
	"github.com/jeton-auth/jeton/internal/test/pgtest"
)

const historyLasts = 2500 * time.Millisecond

// mixed are three nodes whose memory may be of different age.
func mixed() []string { return []string{"250ms", "100ms", "400ms"} }

// TestHistoriesOfNodesAreLinearizable disturbs nodes, connections and the database at random
// and judges all responses. $JETON_SEED selects one history.
func TestHistoriesOfNodesAreLinearizable(t *testing.T) {
	histories, first := 1, rand.Uint64N(1_000_000_000)
	if need.Soaking() {
		histories = 100
	}

	text := os.Getenv("JETON_SEED")
	if text != "" {
		var err error
		if first, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatal(err)
		}
		histories = 1
	}

	pg := pgtest.Start(t)
	var all *nodes
	var sum total
	for i := range histories {
		if i%25 == 0 {
			if all != nil {
				all.close()
			}
			all = newNodes(t, pg, "", mixed()...)
		}

		seed := first + uint64(i)
		h := all.record(t, seed, historyLasts)
		recorded := time.Now()
		breaches := h.judge()
		var one total
		one.add(h)

		sum.add(h)
		t.Logf("history %d, judged in %v: %v", seed, time.Since(recorded).Round(time.Millisecond), one)

		if len(breaches) > 0 {
			t.Fatalf(
				"JETON_SEED=%d: %d promises broken, want none:\n%s",
				seed, len(breaches), strings.Join(breaches[:min(5, len(breaches))], "\n"),
			)
		}

		why := one.vacuous()
		if why != "" {
			t.Fatalf("JETON_SEED=%d: the history is %s: %s; want one with events", seed, nothingHappens, why)
		}
	}

	t.Logf("%d histories of three nodes are linearizable: %v", histories, sum)
}

//go:build unix

package e2e

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/jeton-auth/jeton/internal/test/need"
	"github.com/jeton-auth/jeton/internal/test/pgtest"
)

// TestPlantedBugsAreFlagged runs programs with one likely bug each, and expects that their
// histories are flagged. Otherwise a clean history would prove nothing.
func TestPlantedBugsAreFlagged(t *testing.T) {
	need.Soak(t) // it builds the program three times

	const most = 30 // histories; nearly always the first or the second flags it

	pg := pgtest.Start(t)
	for _, tc := range []struct {
		name, tag string
		by        []string // one of these flags it
	}{
		{"uses are counted by reading, then writing", "planted_reading", []string{tooMany, noExplanation}},
		{"memory is trusted for ever", "planted_boundless", []string{afterTheEnd}},
		{"an end is answered before its commit", "planted_early", []string{afterTheEnd, noExplanation}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			program, err := build(tc.tag)
			if err != nil {
				t.Fatal(err)
			}

			all := newNodes(t, pg, program, mixed()...)
			defer all.close()

			first := rand.Uint64N(1_000_000_000)
			for i := range uint64(most) {
				breaches := all.record(t, first+i, historyLasts).judge()
				by := map[string]int{}
				for _, text := range breaches {
					check, _, _ := strings.Cut(text, ":")
					by[check]++
				}

				if slices.ContainsFunc(tc.by, func(check string) bool { return by[check] > 0 }) {
					t.Logf("%s: flagged in history %d of it (seed %d), by %v", tc.tag, i+1, first+i, by)
					return
				}
			}

			t.Errorf("%s is in %d histories from seed %d on, want one flagged by %v", tc.tag, most, first, tc.by)
		})
	}
}

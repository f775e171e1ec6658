//go:build unix

package e2e

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"
)

// The promises that a history is checked for. A breach begins with one of them.
const (
	tooMany        = "granted more often than there are uses"
	afterTheEnd    = "granted after its end was acknowledged"
	withoutAnEnd   = "refused although no client has requested its end"
	noExplanation  = "no order of the calls explains the answers"
	tooLong        = "not judged in time"
	unexpectedly   = "unexpected answer"
	nothingHappens = "vacuous"
)

// judge returns the promises that were broken in the history.
func (h *history) judge() (breaches []string) {
	for _, text := range h.odd {
		breaches = append(breaches, unexpectedly+": "+text)
	}

	for i, each := range h.credentials {
		entries := h.of(i)
		breaches = append(breaches, overspent(each, entries)...)
		breaches = append(breaches, afterEnds(each, entries)...)

		switch porcupine.CheckOperationsTimeout(spending(each), operations(each, entries), time.Minute) {
		case porcupine.Illegal:
			breaches = append(breaches, noExplanation+":\n"+transcript(each, entries))
		case porcupine.Unknown:
			breaches = append(breaches, tooLong+":\n"+transcript(each, entries))
		}
	}

	return breaches
}

// of returns the entries with a credential, or with its owner, by the time of the call.
func (h *history) of(i int) []entry {
	var list []entry
	for _, d := range h.entries {
		shared := d.operation == endIt && h.credentials[i].owner != nil &&
			h.credentials[d.credential].owner == h.credentials[i].owner
		if d.credential == i || shared {
			list = append(list, d)
		}
	}

	slices.SortFunc(list, func(a, b entry) int { return int(a.call - b.call) })

	return list
}

// transcript shows all that happened to one credential, for a failure that may not be
// repeatable.
func transcript(each *credential, entries []entry) string {
	var b strings.Builder
	fmt.Fprintf(&b, "  a credential of kind %d with %d uses of its own:\n", each.kind, each.own)

	for _, d := range entries {
		fmt.Fprintln(&b, "   ", d)
	}

	return b.String()
}

// overspent counts the uses that were certainly granted.
func overspent(each *credential, entries []entry) []string {
	counted, own := 0, 0
	for _, d := range entries {
		if d.outcome == granted && d.operation == useCounted {
			counted++
		}
		if d.outcome == granted && (d.operation == useCounted || d.operation == useFree) {
			own++
		}
	}

	if counted > mostUses || each.own > 0 && own > each.own {
		return []string{fmt.Sprintf(
			"%s: %d of %d, and %d of %d of its own:\n%s",
			tooMany, counted, mostUses, own, each.own, transcript(each, entries),
		)}
	}

	return nil
}

// afterEnds compares each answer with the ends. From the request for an end until it is
// acknowledged, a node may know of it or not; a request sent after that must be refused.
// This also judges what is not counted, which a node answers from memory.
func afterEnds(each *credential, entries []entry) (breaches []string) {
	asked, acknowledged := int64(math.MaxInt64), int64(math.MaxInt64)
	for _, d := range entries {
		if d.operation != endIt {
			continue
		}
		// An end without an answer may have happened, from its call on.
		if d.outcome != refused {
			asked = min(asked, d.call)
		}
		if d.outcome == granted || d.outcome == refused { // that there is nothing to end says the same
			acknowledged = min(acknowledged, d.back)
		}
	}

	for _, d := range entries {
		if d.operation == endIt {
			continue
		}
		if (d.outcome == granted || d.outcome == exhausted) && d.call > acknowledged {
			breaches = append(breaches, fmt.Sprintf("%s:\n    %v\n%s", afterTheEnd, d, transcript(each, entries)))
		}
		if d.outcome == refused && d.back < asked {
			breaches = append(breaches, fmt.Sprintf("%s:\n    %v\n%s", withoutAnEnd, d, transcript(each, entries)))
		}
	}

	return breaches
}

// balance is the expected state of a credential: how many uses are left, and whether it has
// ended; and what may have happened to it besides, at an unknown time. What is left of a
// token that counts is less than what is left of the route, so that one number says it.
type balance struct {
	left     int
	doubts   int // uses without an answer that may still be found to have been taken
	ended    bool
	mayBeOff bool // an end without an answer
}

// spending is the specification of counted credentials: each use takes one, and after the
// end none is granted.
func spending(each *credential) porcupine.Model {
	full := balance{left: mostUses}
	if each.own > 0 {
		full.left = each.own
	}

	return porcupine.Model{
		Init: func() any { return full },
		Step: func(before, in, out any) (bool, any) {
			return before.(balance).after(in.(operation), out.(entry))
		},
	}
}

// after returns whether an answer is possible, and what is left after it. What has no answer
// may have happened then, later, or never: it is owed until an answer shows that it has.
func (p balance) after(q operation, d entry) (possible bool, after balance) {
	switch {
	case d.outcome == nobodyCanTell && q == endIt:
		p.mayBeOff = true
		return true, p
	case d.outcome == nobodyCanTell:
		p.doubts++
		return true, p
	case q == endIt && d.outcome == granted:
		p.ended = true
		return true, p
	case d.outcome == refused:
		possible = p.ended || p.mayBeOff
		p.ended = true
		return possible, p
	case d.outcome == exhausted:
		// A node may report a credential as used up before it knows of its end; afterEnds
		// checks the end.
		possible = p.left <= p.doubts
		p.doubts -= p.left
		p.left = 0
		return possible, p
	}

	found := p.left - d.left // by this answer, of what was owed
	if q != lookCounted {
		found--
	}

	possible = !p.ended && found >= 0 && found <= p.doubts && d.left >= 0 && (d.left > 0 || q != lookCounted)
	return possible, balance{left: d.left, doubts: p.doubts - found, mayBeOff: p.mayBeOff}
}

// operations returns what the model judges. A use that counts nothing is judged by
// afterEnds, and a look without an answer proves nothing.
func operations(each *credential, entries []entry) []porcupine.Operation {
	var list []porcupine.Operation
	for _, d := range entries {
		op := porcupine.Operation{
			ClientId: d.client,
			Input:    d.operation,
			Output:   d,
			Call:     d.call,
			Return:   d.back,
		}
		switch {
		case d.operation == useFree && each.own == 0, d.operation == lookCounted && d.outcome == nobodyCanTell:
			continue
		case d.outcome == nobodyCanTell:
			op.Return = d.call + 1 // it is owed from then on
		}

		list = append(list, op)
	}

	return list
}

// total sums up what happened in histories.
type total struct {
	entries, uses, unknown, after int
	ends, elsewhere               int // ends that were acknowledged, and refusals after that
	faults                        map[string]int
}

// add adds a history. elsewhere counts refusals that came after an acknowledged end:
// without them the test would prove nothing.
func (t *total) add(h *history) {
	if t.faults == nil {
		t.faults = map[string]int{}
	}

	ended := map[int]int64{}
	for _, d := range h.entries {
		t.entries++

		switch {
		case d.outcome == nobodyCanTell:
			t.unknown++
		case d.outcome == granted && d.operation == endIt:
			t.ends++
			if at, ok := ended[d.credential]; !ok || d.back < at {
				ended[d.credential] = d.back
			}
		case d.outcome == granted && d.operation != lookCounted:
			t.uses++
		}
	}

	for _, d := range h.entries {
		if at, ok := ended[d.credential]; ok && d.outcome == refused && d.call > at {
			t.elsewhere++
		}
	}

	t.after += h.after

	for what, n := range h.faults {
		t.faults[what] += n
	}
}

// vacuous returns what is missing in a history to prove anything, or "".
func (t total) vacuous() string {
	switch {
	case len(t.faults) == 0:
		return "no fault was injected"
	case t.after == 0:
		return "no use was granted by a node after a fault"
	case t.ends == 0:
		return "no end was acknowledged"
	case t.elsewhere == 0:
		return "no client tried what had ended"
	case t.uses < 50:
		return fmt.Sprintf("only %d uses were granted", t.uses)
	}

	return ""
}

func (t total) String() string {
	return fmt.Sprintf("%d requests, %d uses granted (%d by nodes after a fault), %d without an answer, "+
		"%d ends acknowledged and %d refusals after them, faults: %v",
		t.entries, t.uses, t.after, t.unknown, t.ends, t.elsewhere, t.faults)
}

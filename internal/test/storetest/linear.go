package storetest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/session"

	"github.com/anishathalye/porcupine"
)

// size is how much is recorded.
type size struct{ histories, operations, tokens int }

// The sizes. JETON_SOAK=1 asks for the full one.
var (
	short = size{histories: 3, operations: 2_000, tokens: 100}
	full  = size{histories: 20, operations: 20_000, tokens: 1_000}
)

const (
	usesOfToken = 3
	clients     = 32
	// crowd is over how many tokens the clients are spread at any time. Where more of them
	// meet at one, judging the history takes time that grows without measure.
	crowd = 8
)

// NotLinearizable is what the test says when a history has no explanation.
const NotLinearizable = "the history is not linearizable"

// Linearizable records what clients at the same time were answered, and checks that one
// order of the calls, in which each takes place between its start and its answer,
// explains all of it: uses count down from three, and after the end there are none.
// What a call without a known outcome did may have happened or not, then or later.
func Linearizable(t *testing.T, open Open) {
	size := short
	if os.Getenv("JETON_SOAK") == "1" {
		size = full
	}

	s := opened(t, open)
	r := recorder{size: size, store: s, budget: budget(t, s, "*", usesOfToken)}
	u := user(t, s, "diane")
	for i := range size.histories {
		start := time.Now()
		history := r.history(
			t,
			r.sessions(t, fmt.Sprint(i), func(service, secret string) session.Start {
				return at(
					u,
					service,
					secret,
					noon,
				)
			}),
			uint64(i),
		)

		tally := map[string]int{}
		for _, op := range history {
			tally[op.Input.(ask).String()+" "+op.Output.(answer).String()]++
		}

		recorded := time.Now()
		result := porcupine.CheckOperationsTimeout(counter, history, time.Minute)
		t.Logf("history %d, recorded in %v, checked in %v: %v", i, recorded.Sub(start), time.Since(recorded), tally)

		switch result {
		case porcupine.Illegal:
			t.Fatalf("%s:\n%s", NotLinearizable, unexplained(history))
		case porcupine.Unknown:
			t.Fatal("the history was not judged within a minute")
		}
	}
}

// kind is what a client asks for.
type kind int

const (
	spend kind = iota
	look
	end
)

// ask is one question about one token.
type ask struct {
	token int
	kind  kind
}

func (a ask) String() string { return [...]string{"spend", "left", "end"}[a.kind] }

// answer is what came back: uses left, or for an end how many sessions it ended.
type answer struct {
	n       int64
	outcome outcome
}

type outcome int

const (
	ok outcome = iota
	spent
	bad     // the session has ended
	unknown // the store could not tell
)

func (a answer) String() string {
	if a.outcome == ok {
		return fmt.Sprint("-> ", a.n)
	}
	return [...]string{"", "-> spent", "-> bad credential", "-> ?"}[a.outcome]
}

// state is what a token should be: uses left, or ended.
type state int64

const ended state = -1

// counter is the whole specification.
var counter = porcupine.Model{
	Partition: byToken,
	Init:      func() any { return state(usesOfToken) },
	Step: func(before, in, out any) (bool, any) {
		return step(before.(state), in.(ask).kind, out.(answer))
	},
}

func step(s state, k kind, out answer) (possible bool, after state) {
	switch k {
	case look:
		return out.outcome == unknown || out.outcome == bad && s == ended ||
			out.outcome == ok && s != ended && int64(s) == out.n, s
	case end:
		gone := int64(1)
		if s == ended {
			gone = 0
		}
		return out.outcome == unknown || out.outcome == ok && out.n == gone, ended
	}

	switch out.outcome {
	case ok:
		return s > 0 && int64(s)-1 == out.n, s - 1
	case spent:
		return s == 0, s
	case bad:
		return s == ended, s
	}

	// Unknown: it took a use if there was one. That it never happened is the same as that
	// it happens after everything else, where nobody looks.
	if s > 0 {
		return true, s - 1
	}

	return true, s
}

func byToken(history []porcupine.Operation) [][]porcupine.Operation {
	parts := map[int][]porcupine.Operation{}
	for _, op := range history {
		i := op.Input.(ask).token
		parts[i] = append(parts[i], op)
	}

	return slices.Collect(maps.Values(parts))
}

// unexplained prints the calls of the first token whose answers contradict each other.
func unexplained(history []porcupine.Operation) string {
	for _, part := range byToken(history) {
		if porcupine.CheckOperations(counter, part) {
			continue
		}

		var b strings.Builder
		fmt.Fprintf(&b, "token %d of %d uses:\n", part[0].Input.(ask).token, usesOfToken)
		slices.SortFunc(part, func(a, b porcupine.Operation) int { return int(a.Call - b.Call) })

		for _, op := range part {
			fmt.Fprintf(&b, "  client %2d, %6d to %6d: %v %v\n", op.ClientId, op.Call, op.Return, op.Input, op.Output)
		}

		return b.String()
	}

	return "no single token contradicts itself"
}

// recorder asks a store and writes down the answers.
type recorder struct {
	size
	store  Store
	budget policy.Budget
	clock  atomic.Int64 // orders calls and answers; finer than any real clock
}

// sessions starts one session a token, many at the same time.
func (r *recorder) sessions(
	t *testing.T,
	name string,
	start func(service, secret string) session.Start,
) []session.Record {
	t.Helper()
	list := make([]session.Record, r.tokens)
	var wg sync.WaitGroup
	const starters = 8
	for c := range starters {
		wg.Go(func() {
			for i := c; i < r.tokens; i += starters {
				// A service of their own for each few keeps what the judge is told short.
				in := start(fmt.Sprint("service ", name, " ", i/10), fmt.Sprint(name, " ", i))
				in.Remember = in.Created

				if err := r.store.StartSession(t.Context(), in, agree); err != nil {
					t.Errorf("StartSession: %v", err)
				}

				var err error
				list[i], err = r.store.FindSession(t.Context(), in.Hash)
				if err != nil {
					t.Errorf("FindSession: %v", err)
				}
			}
		})
	}

	if wg.Wait(); t.Failed() {
		t.FailNow()
	}

	return list
}

func (r *recorder) history(t *testing.T, list []session.Record, seed uint64) []porcupine.Operation {
	t.Helper()
	var next atomic.Int64

	parts := make([][]porcupine.Operation, clients)
	var wg sync.WaitGroup
	for c := range clients {
		wg.Go(func() {
			dice := rand.New(rand.NewPCG(seed, uint64(c)))
			for {
				n := int(next.Add(1)) - 1
				if n >= r.operations {
					return
				}

				// All clients are at the same few tokens at any time.
				token := (n/(r.operations/r.tokens) + dice.IntN(crowd)) % r.tokens
				parts[c] = append(parts[c], r.ask(t, list[token], ask{token, roll(dice)}, c, dice.IntN(100) == 0))
			}
		})
	}

	wg.Wait()

	return slices.Concat(parts...)
}

func roll(dice *rand.Rand) kind {
	n := dice.IntN(100)
	switch {
	case n < 60:
		return spend
	case n < 96:
		return look
	}

	return end
}

// ask asks and notes when. A client who goes away does not learn the outcome.
func (r *recorder) ask(t *testing.T, s session.Record, a ask, client int, goesAway bool) porcupine.Operation {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()

	op := porcupine.Operation{ClientId: client, Input: a, Call: r.clock.Add(1)}
	if goesAway {
		go cancel()
	}

	var out answer
	var err error

	switch a.kind {
	case spend:
		var left []int64
		if left, err = r.store.Spend(ctx, use(s, r.budget)); err == nil {
			out.n = left[0]
		}
	case look:
		var left []int64
		if left, err = r.store.Left(ctx, use(s, r.budget)); err == nil {
			out.n = left[0]
		}
	case end:
		var ended int
		ended, err = r.store.EndSessions(ctx, session.Which{ID: s.ID}, event(audit.SessionEnd, s.ID))
		out.n = int64(ended)
	}

	op.Return = r.clock.Add(1)
	switch {
	case err == nil:
	case errors.Is(err, jeton.ErrSpent):
		out.outcome = spent
	case errors.Is(err, jeton.ErrBadCredential):
		out.outcome = bad
	default:
		out.outcome, op.Return = unknown, math.MaxInt64
	}

	op.Output = out

	return op
}

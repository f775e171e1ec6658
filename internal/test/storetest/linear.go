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

// size is the size of a recording.
type size struct{ histories, operations, tokens int }

// JETON_SOAK=1 selects the full size.
var (
	short = size{histories: 3, operations: 2_000, tokens: 100}
	full  = size{histories: 20, operations: 20_000, tokens: 1_000}
)

const (
	usesOfToken = 3
	clients     = 32
	// crowd is the number of tokens that the clients use at any time. With more clients for
	// each token, checking a history takes exponential time.
	crowd = 8
)

// NotLinearizable is the failure message for a history that no order of calls explains.
const NotLinearizable = "the history is not linearizable"

// Linearizable records the results of concurrent clients and checks that one order of the
// calls explains all of them. Each call takes place between its start and its result. Uses
// count down from three, and an ended session has none. A call with an unknown outcome may
// have had its effect or not, then or later.
func Linearizable(t *testing.T, open Open) {
	size := short
	if os.Getenv("JETON_SOAK") == "1" {
		size = full
	}

	s := open(t)
	r := recorder{size: size, store: s, budget: budget(t, s, "*", usesOfToken)}
	u := user(t, s, "diane")
	for i := range size.histories {
		start := time.Now()
		history := r.history(
			t,
			r.sessions(t, fmt.Sprint(i), func(service, secret string) session.Start {
				return newLogin(u, service, secret, noon)
			}),
			uint64(i),
		)

		tally := map[string]int{}
		for _, call := range history {
			tally[call.Input.(op).String()+" "+call.Output.(answer).String()]++
		}

		recorded := time.Now()
		result := porcupine.CheckOperationsTimeout(counter, history, time.Minute)
		t.Logf("history %d, recorded in %v, checked in %v: %v", i, recorded.Sub(start), time.Since(recorded), tally)

		switch result {
		case porcupine.Illegal:
			t.Fatalf("%s:\n%s", NotLinearizable, unexplained(history))
		case porcupine.Unknown:
			t.Fatal("history not checked within a minute")
		}
	}
}

// kind is the kind of an operation.
type kind int

const (
	spend kind = iota
	look
	end
)

// op is one operation on one token.
type op struct {
	token int
	kind  kind
}

// String names the operation in the output of unexplained.
func (a op) String() string { return [...]string{"spend", "left", "end"}[a.kind] }

// answer is the result of an operation: uses left, or how many sessions it ended.
type answer struct {
	n       int64
	outcome outcome
}

// outcome is the kind of a result.
type outcome int

const (
	ok outcome = iota
	spent
	bad     // the session has ended
	unknown // the store was unavailable
)

func (a answer) String() string {
	if a.outcome == ok {
		return fmt.Sprint("-> ", a.n)
	}
	return [...]string{"", "-> spent", "-> bad credential", "-> ?"}[a.outcome]
}

// state is the expected state of a token: uses left, or ended.
type state int64

// ended is the state after an end; no operation leads out of it.
const ended state = -1

// counter is the whole specification.
var counter = porcupine.Model{
	Partition: byToken,
	Init:      func() any { return state(usesOfToken) },
	Step: func(before, in, out any) (bool, any) {
		return step(before.(state), in.(op).kind, out.(answer))
	},
}

// step says whether an answer is possible in a state, and what the state is afterwards.
func step(s state, k kind, out answer) (possible bool, after state) {
	switch k {
	case look:
		// Looking changes nothing, so an unknown answer is always possible.
		return out.outcome == unknown || out.outcome == bad && s == ended ||
			out.outcome == ok && s != ended && int64(s) == out.n, s
	case end:
		removed := int64(1)
		if s == ended {
			removed = 0
		}
		// An unknown end counts as done. If it had no effect, it comes after every other
		// call.
		return out.outcome == unknown || out.outcome == ok && out.n == removed, ended
	}

	switch out.outcome {
	case ok:
		return s > 0 && int64(s)-1 == out.n, s - 1
	case spent:
		return s == 0, s
	case bad:
		return s == ended, s
	}

	// Unknown: it took a use if there was one. If it had no effect, it may as well come after
	// every other call, where no call observes it.
	if s > 0 {
		return true, s - 1
	}

	return true, s
}

// byToken divides a history by token. Tokens have nothing in common, and checking takes
// exponential time in the length of a part.
func byToken(history []porcupine.Operation) [][]porcupine.Operation {
	parts := map[int][]porcupine.Operation{}
	for _, call := range history {
		i := call.Input.(op).token
		parts[i] = append(parts[i], call)
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
		fmt.Fprintf(&b, "token %d of %d uses:\n", part[0].Input.(op).token, usesOfToken)
		slices.SortFunc(part, func(a, b porcupine.Operation) int { return int(a.Call - b.Call) })

		for _, call := range part {
			fmt.Fprintf(
				&b, "  client %2d, %6d to %6d: %v %v\n", call.ClientId, call.Call, call.Return, call.Input,
				call.Output,
			)
		}

		return b.String()
	}

	return "each token alone has a valid history"
}

// recorder calls a store and records the results.
type recorder struct {
	size
	store  Store
	budget policy.Budget
	clock  atomic.Int64 // orders calls and results; finer than any real clock
}

// sessions starts one session for each token, many concurrently.
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
				// Few logins for each service keep the history of a login short.
				in := start(fmt.Sprint("service ", name, " ", i/10), fmt.Sprint(name, " ", i))
				in.Remember = in.Created

				if err := r.store.StartSession(t.Context(), in, acceptLogin); err != nil {
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

// history has clients make random calls and returns all of them. The seed
// fixes the dice of each client, though not how the calls interleave.
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

				// All clients use the same few tokens at any time.
				token := (n/(r.operations/r.tokens) + dice.IntN(crowd)) % r.tokens
				parts[c] = append(parts[c], r.ask(t, list[token], op{token, roll(dice)}, c, dice.IntN(100) == 0))
			}
		})
	}

	wg.Wait()

	return slices.Concat(parts...)
}

// roll chooses an operation. Ends are rare, or most tokens would end before they are spent.
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

// ask makes a call and records when. A client that cancels does not learn the outcome.
func (r *recorder) ask(t *testing.T, s session.Record, a op, client int, cancels bool) porcupine.Operation {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()

	call := porcupine.Operation{ClientId: client, Input: a, Call: r.clock.Add(1)}
	if cancels {
		go cancel()
	}

	var out answer
	var err error

	switch a.kind {
	case spend:
		var left []int64
		if left, err = r.store.Spend(ctx, sessionUse(s, r.budget)); err == nil {
			out.n = left[0]
		}
	case look:
		var left []int64
		if left, err = r.store.Left(ctx, sessionUse(s, r.budget)); err == nil {
			out.n = left[0]
		}
	case end:
		var ended int
		ended, err = r.store.EndSessions(ctx, session.Which{ID: s.ID}, event(audit.SessionEnd, s.ID))
		out.n = int64(ended)
	}

	call.Return = r.clock.Add(1)
	switch {
	case err == nil:
	case errors.Is(err, jeton.ErrSpent):
		out.outcome = spent
	case errors.Is(err, jeton.ErrBadCredential):
		out.outcome = bad
	default:
		out.outcome, call.Return = unknown, math.MaxInt64
	}

	call.Output = out

	return call
}

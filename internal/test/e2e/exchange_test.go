package e2e

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/jeton-auth/jeton/internal/test/need"
)

// shown is an assertion that was sent to a server that was killed, and the response.
type shown struct {
	text   string
	fate   fate
	tokens []*spent
}

// spent is what a client knows of a token with three uses of one route.
type spent struct {
	token          string
	acked, unknown int
}

// exchanges is what all clients of one server know. A fault is a promise that was broken.
type exchanges struct {
	mu     sync.Mutex
	list   []*shown
	acked  int // assertions that were exchanged, in all
	lost   int // those without an answer
	uses   int
	faults []string
}

// fault notes a broken promise. Goroutines must not end the test themselves.
func (x *exchanges) fault(format string, args ...any) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.faults = append(x.faults, fmt.Sprintf(format, args...))
}

func (x *exchanges) count() int {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.acked
}

// TestKillWhileAssertionsAreExchanged kills the server again and again while
// clients authenticate, and compares the answers that they got with what is there after
// each restart: an assertion that was accepted is used up, and a token never has more than
// three uses.
func TestKillWhileAssertionsAreExchanged(t *testing.T) {
	t.Parallel()
	rounds := 5
	if need.Soaking() {
		rounds = 300
	}

	s := Start(t, Options{Config: issuing})
	r, x := newRobot(t, s, "robot"), &exchanges{}
	for round := range rounds {
		x.list = nil
		c := s.Client(t)
		var wg sync.WaitGroup
		for range 16 {
			wg.Go(func() {
				for x.exchange(c, r) {
				}
			})
		}

		enough := x.count() + 10 + rand.IntN(50)
		Wait(t, "enough to happen", func() bool { return x.count() >= enough })
		s.Kill()
		wg.Wait()
		s = s.Restart(t)
		x.check(s.Client(t), r)

		if len(x.faults) > 0 {
			t.Fatalf(
				"round %d: %d promises broken, want none:\n%s",
				round, len(x.faults), strings.Join(x.faults[:min(20, len(x.faults))], "\n"),
			)
		}
	}

	if x.lost == 0 {
		t.Error("every request got an answer, want some without: else the kills prove little")
	}

	t.Logf(
		"%d kills under 16 clients: %d assertions exchanged and %d without an answer, %d uses; "+
			"0 exchanged twice, 0 uses lost, 0 too many",
		rounds,
		x.acked,
		x.lost,
		x.uses,
	)
}

// exchange sends a new assertion, and uses the token once or twice. It reports false when
// the server was killed.
func (x *exchanges) exchange(c *Client, r *robot) bool {
	s := &shown{text: r.assertion(), fate: unknown}
	x.mu.Lock()
	x.list = append(x.list, s)
	x.mu.Unlock()
	a, err := r.exchange(c, s.text, "reports")
	switch {
	case err != nil:
		x.mu.Lock()
		x.lost++
		x.mu.Unlock()
		return false
	case a.Status != 200 || a.token() == "":
		x.fault("a new assertion was answered %v", a)
		return false
	}

	tok := &spent{token: a.token()}
	x.mu.Lock()
	s.fate, s.tokens = done, append(s.tokens, tok)
	x.acked++
	x.mu.Unlock()

	for range 1 + rand.IntN(2) {
		if !x.use(c, r, tok) {
			return false
		}
	}

	return true
}

// use requests one use and notes the result.
func (x *exchanges) use(c *Client, r *robot, s *spent) bool {
	a, err := r.use(c, "POST", "/three", s.token)
	switch {
	case err != nil:
		s.unknown++
		return false
	case a.Status == 200:
		if s.acked++; s.acked > 3 {
			x.fault("a token was good for %d uses", s.acked)
		}
		x.mu.Lock()
		x.uses++
		x.mu.Unlock()
	case a.Status != 403 || s.acked+s.unknown < 3:
		x.fault("a token with %d uses acknowledged and %d unknown is answered %v", s.acked, s.unknown, a)
	}

	return true
}

// check sends every assertion of the round again, and uses every token up.
func (x *exchanges) check(c *Client, r *robot) {
	work := make(chan *shown)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for s := range work {
				x.checkOne(c, r, s)
			}
		})
	}

	for _, s := range x.list {
		work <- s
	}

	close(work)
	wg.Wait()
}

// checkOne shows an assertion again after the crash, and counts what its tokens are still
// good for.
func (x *exchanges) checkOne(c *Client, r *robot, s *shown) {
	// The first answer to an assertion of unknown state may be a token, the second may not.
	for try := range 2 {
		a, err := r.exchange(c, s.text, "reports")
		switch {
		case err != nil:
			x.fault("after the restart: %v", err)
		case a.Status == 200 && s.fate == unknown && try == 0:
			s.tokens = append(s.tokens, &spent{token: a.token()})
		case a.Status != 401 || !strings.Contains(a.Body, "invalid_client"):
			x.fault("an assertion of fate %d, shown again, is answered %v", s.fate, a)
		}
	}

	for _, tok := range s.tokens {
		for range 4 {
			if !x.use(c, r, tok) {
				x.fault("a use after the restart was not answered")
			}
		}

		total := tok.acked + tok.unknown
		if tok.acked > 3 || total < 3 {
			x.fault("a token had %d uses and %d unknown, want three", tok.acked, tok.unknown)
		}
	}
}

package e2e

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
)

// budget is a route whose uses are counted.
type budget struct {
	path string
	most int
}

var budgets = [2]budget{{"/three", 3}, {"/thousand", 1000}}

// The routes and the user of testdata/counted.yaml.
const (
	counted   = "testdata/counted.yaml"
	crashName = "crash"
	crashPW   = "crash_pw"
)

// fate is what a client knows of a change that it requested.
type fate int

const (
	never   fate = iota
	unknown      // asked, and no answer came
	done         // acknowledged
)

// tracked is what a client knows of a login.
type tracked struct {
	cookies string

	mu      sync.Mutex
	acked   [2]int          // uses that were granted, by budget
	unknown [2]int          // uses of which no answer came
	lefts   [2]map[int]bool // what grants said is left: each number can come once
	logout  fate
}

// ledger is what all clients know. A fault is a promise that the server broke.
type ledger struct {
	mu     sync.Mutex
	logins []*tracked
	faults []string
	grants int // uses that were granted
	lost   int // uses without an answer
}

// fault notes a broken promise.
func (l *ledger) fault(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.faults = append(l.faults, fmt.Sprintf(format, args...))
}

// granted returns how many uses were granted so far.
func (l *ledger) granted() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.grants
}

// pick returns a login of those from first on, or nil.
func (l *ledger) pick(first int) *tracked {
	l.mu.Lock()
	defer l.mu.Unlock()

	if len(l.logins) <= first {
		return nil
	}

	return l.logins[first+rand.IntN(len(l.logins)-first)]
}

// login logs in and notes it if that was acknowledged.
func (l *ledger) login(c *Client) error {
	cookies, a, err := c.Login(crashName, crashPW)
	if err != nil || a.Status != http.StatusOK {
		return err
	}

	l.mu.Lock()
	defer l.mu.Unlock()

	l.logins = append(l.logins, &tracked{cookies: cookies, lefts: [2]map[int]bool{{}, {}}})
	return nil
}

// use requests one use and notes the result. Statuses that grant nothing are
// 403 for spent, 401 after a logout, and 503 when the store fails: the outcome of
// the last is unknown.
func (l *ledger) use(c *Client, s *tracked, b int) error {
	a, err := c.Do(http.MethodPost, budgets[b].path, s.cookies)
	s.mu.Lock()
	defer s.mu.Unlock()

	l.mu.Lock()
	defer l.mu.Unlock()

	switch {
	case err != nil || a.Status == http.StatusServiceUnavailable:
		s.unknown[b]++
		l.lost++
	case a.Status == http.StatusOK:
		s.acked[b]++
		l.grants++

		if s.acked[b] > budgets[b].most {
			l.faults = append(l.faults, fmt.Sprintf("%s was granted %d times", budgets[b].path, s.acked[b]))
		}

		left := a.Left()
		if left < 0 || left >= budgets[b].most || s.lefts[b][left] {
			l.faults = append(l.faults, fmt.Sprintf("two grants of %s say that %d are left", budgets[b].path, left))
		} else {
			s.lefts[b][left] = true
		}
	case a.Status == http.StatusUnauthorized && s.logout == never:
		l.faults = append(l.faults, "an acknowledged login is not accepted: "+a.String())
	case a.Status != http.StatusForbidden && a.Status != http.StatusUnauthorized:
		l.faults = append(l.faults, "unexpected answer "+a.String())
	}

	return err
}

// end logs out.
func (l *ledger) end(c *Client, s *tracked) error {
	s.mu.Lock()
	s.logout = max(s.logout, unknown)
	s.mu.Unlock()
	a, err := c.Do(http.MethodPost, "/logout", s.cookies)
	if err == nil && a.Status == http.StatusOK {
		s.mu.Lock()
		s.logout = done
		s.mu.Unlock()
	}

	return err
}

// check compares the uses left of a login after a restart with what its clients know, and
// spends the rest of its three uses.
func (l *ledger) check(c *Client, s *tracked) {
	for b, budget := range budgets {
		a, err := c.Do(http.MethodHead, budget.path, s.cookies)
		if err != nil {
			l.fault("HEAD %s: %v", budget.path, err)
			return
		}

		switch {
		case a.Status == http.StatusUnauthorized && s.logout != never:
			return
		case s.logout == done:
			l.fault("a login whose logout was acknowledged is accepted: %v", a)
			return
		case a.Left() < 0 || a.Status != http.StatusOK && a.Status != http.StatusForbidden:
			l.fault("an acknowledged login is lost: %v", a)
			return
		}

		used := budget.most - a.Left()
		if used < s.acked[b] {
			l.fault("%s: %d acknowledged uses are lost of %d", budget.path, s.acked[b]-used, s.acked[b])
		}

		most := s.acked[b] + s.unknown[b]
		if used > most {
			l.fault("%s: %d uses are counted, and clients know of %d at most", budget.path, used, most)
		}

		s.acked[b], s.unknown[b] = used, 0
	}

	if a, err := c.Do(http.MethodGet, "/free", s.cookies); err != nil || a.Status != http.StatusOK {
		l.fault("an acknowledged login does not open the route that is not counted: %v %v", a, err)
	}

	for before := -1; s.acked[0] != before; {
		before = s.acked[0]
		if err := l.use(c, s, 0); err != nil {
			l.fault("POST /three: %v", err)
		}
	}

	if s.acked[0] != budgets[0].most {
		l.fault("/three ended after %d uses in all", s.acked[0])
	}
}

// checkAll checks the logins from first on, and some of the older ones.
func (l *ledger) checkAll(c *Client, first int) {
	list := append([]*tracked(nil), l.logins[first:]...)
	for range min(50, first) {
		list = append(list, l.logins[rand.IntN(first)])
	}

	work := make(chan *tracked)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for s := range work {
				l.check(c, s)
			}
		})
	}

	seen := map[*tracked]bool{}
	for _, s := range list {
		if !seen[s] {
			seen[s] = true
			work <- s
		}
	}

	close(work)
	wg.Wait()
}

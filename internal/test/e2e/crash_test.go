package e2e

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/jeton-auth/jeton/internal/test/need"
)

// TestKillUnderLoad kills the server again and again while 32 clients use it, and
// compares the answers that they got with what is there after each restart.
func TestKillUnderLoad(t *testing.T) {
	rounds := 2
	if need.Soaking() {
		rounds = 1000
	}

	l, users, logins := &ledger{}, &changedUsers{}, 0
	var s *Server
	for round := range rounds {
		if round%10 == 0 {
			// A new folder for every ten rounds, as each login reads the open ones.
			if s != nil {
				s.Stop(t)
			}
			s, l.logins = Start(t, Options{Config: counted}), nil
		}

		first := len(l.logins)
		strain(t, s, l, users, round)
		s = s.Restart(t)
		c := s.Client(t)
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

	t.Logf("%d kills under 32 clients: %d uses acknowledged and %d without an answer, of %d logins; "+
		"%d changes of accounts acknowledged; 0 lost, 0 too many",
		rounds, l.grants, l.lost, logins, users.acked)
}

// strain has 32 clients work until the server, which is killed meanwhile, answers none.
func strain(t *testing.T, s *Server, l *ledger, p *changedUsers, round int) {
	c, first := s.Client(t), len(l.logins)
	var wg sync.WaitGroup
	for range 32 {
		wg.Go(func() {
			for act(c, l, first) == nil {
			}
		})
	}

	enough, changes := l.granted()+someUses(round), p.count()
	if thorough(round) {
		changes += 1 + rand.IntN(3)
		wg.Go(func() {
			for n := 0; p.change(t, s, c, fmt.Sprintf("p%d-%d", round, n)); n++ {
			}
		})
	}

	Wait(t, "enough to happen", func() bool { return l.granted() >= enough && p.count() >= changes })
	s.Kill()
	wg.Wait()
}

// thorough reports whether a round has many uses and changes of accounts, whose passwords are
// slow to hash. Of many rounds it is every tenth; the others only vary the moment of the kill.
func thorough(round int) bool { return !need.Soaking() || round%10 == 0 }

// someUses returns how many uses are granted before a kill.
func someUses(round int) int {
	if need.Soaking() && thorough(round) {
		return 500 + rand.IntN(1500)
	}
	return 50 + rand.IntN(400)
}

// act makes one request of a client. An error means that the server was killed.
func act(c *Client, l *ledger, first int) error {
	s := l.pick(first)
	n := rand.IntN(100)
	switch {
	case s == nil || n < 10:
		return l.login(c)
	case n < 12:
		return l.end(c, s)
	case n < 40:
		return l.use(c, s, 0)
	default:
		return l.use(c, s, 1)
	}
}

// changedUsers are accounts that are changed by commands while the server is killed.
type changedUsers struct {
	mu    sync.Mutex
	list  []*changedUser
	acked int
}

// changedUser is an account to which one change was made.
type changedUser struct {
	name, pw, newPW string
	cookies         string // of a login before the change
	change          string
	fate            fate
	checked         bool
}

func (p *changedUsers) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.acked
}

// change adds an account, logs in, and makes one change. It reports false when the
// server was killed.
func (p *changedUsers) change(t *testing.T, s *Server, c *Client, name string) bool {
	user := &changedUser{name: name, pw: "the first of " + name, newPW: "the second of " + name}
	if s.Jeton(t, user.pw, "user", "add", name, "--password-stdin").Code != 0 {
		return false
	}

	p.mu.Lock()
	p.list, p.acked = append(p.list, user), p.acked+1
	p.mu.Unlock()
	var err error
	user.cookies, _, err = c.Login(name, user.pw)
	if err != nil {
		return false
	}

	changes := [][]string{
		{"passwd", "user", "passwd", name, "--password-stdin"},
		{"disable", "user", "disable", name},
		{"remove", "user", "remove", name},
		{"logout", "user", "logout", name},
	}
	chosen := changes[rand.IntN(len(changes))]
	user.change, user.fate = chosen[0], unknown
	if s.Jeton(t, user.newPW, chosen[1:]...).Code == 0 {
		user.fate = done
		p.mu.Lock()
		p.acked++
		p.mu.Unlock()
	}

	_, err = c.Do(http.MethodGet, "/free", "")
	return err == nil
}

// check compares the accounts with what the commands reported.
func (p *changedUsers) check(t *testing.T, c *Client) {
	t.Helper()

	for _, user := range p.list {
		if !user.checked {
			user.check(t, c)
			user.checked = true
		}
	}
}

// check accepts the state before the change or after it, by what was answered. After an
// answer it must be the new one: a change is durable before it is answered.
func (w *changedUser) check(t *testing.T, c *Client) {
	t.Helper()
	old := w.logsIn(t, c, w.pw)
	second := w.logsIn(t, c, w.newPW)
	open := false
	if w.cookies != "" {
		open = c.MustDo(t, http.MethodGet, "/free", w.cookies).Status == http.StatusOK
	}

	before := old && !second && open == (w.cookies != "")
	after := map[string]bool{
		"":        false,
		"passwd":  !old && second && !open,
		"disable": !old && !second && !open,
		"remove":  !old && !second && !open,
		"logout":  old && !second && !open,
	}[w.change]
	if w.fate == done && !after || w.fate == unknown && !before && !after || w.fate == never && !before {
		t.Errorf(
			"%s: change %q with fate %d left first password %t, second %t, old login %t; want what fits the fate",
			w.name, w.change, w.fate, old, second, open,
		)
	}
}

// logsIn reports whether a password is accepted.
func (w *changedUser) logsIn(t *testing.T, c *Client, pw string) bool {
	t.Helper()
	_, a, err := c.Login(w.name, pw)
	if err != nil {
		t.Fatal(err)
	}

	return a.Status == http.StatusOK
}

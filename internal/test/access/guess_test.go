package access_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/jeton-auth/jeton/internal/api"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/jetontest"
)

const guessed = `
trusted_proxies: [127.0.0.1/32]
throttle: {pair_burst: 3, source_burst: 20}
services:
  - name: shop
    listen: localhost:0
    login: {paths: [/login]}
    accept: [session, basic]
    users_api: {prefix: /api/v1}
    routes: [{match: GET /me, respond: {template: '{{.Name}}'}}]
`

// paths are the ways to have a password checked. Each returns the status.
var paths = []struct {
	name string
	try  func(s *jetontest.Server, from, session, name, password string) jetontest.Answer
}{
	{"Basic", func(s *jetontest.Server, from, _, name, password string) jetontest.Answer {
		return s.Ask("GET", "shop", "/me", "X-Forwarded-For", from, "Authorization", basic(name, password))
	}},
	{"the login form", func(s *jetontest.Server, from, _, name, password string) jetontest.Answer {
		return s.TryEnter("shop", name, password, "X-Forwarded-For", from)
	}},
	{"the login of the users API", func(s *jetontest.Server, from, _, name, password string) jetontest.Answer {
		body := fmt.Sprintf(`{"name":%q,"password":%q}`, name, password)
		return sendJSON(s, "POST", "/api/v1/auth_session/login", body, "X-Forwarded-For", from)
	}},
	{"current_password", func(s *jetontest.Server, from, session, _, password string) jetontest.Answer {
		body := fmt.Sprintf(`{"password":"short","current_password":%q}`, password)
		return sendJSON(s, "PUT", "/api/v1/users/me", body, "X-Forwarded-For", from, "Cookie", session)
	}},
}

func sendJSON(s *jetontest.Server, method, path, body string, header ...string) jetontest.Answer {
	return s.Send(s.Client(), method, s.URL("shop")+path, body, append(header, "Content-Type", "application/json")...)
}

// TestAThrottledSourceIsRefusedTheRightPassword checks that a guesser who hits the right password after the budget is
// used up does not learn it, although the owner's use has just left it in the cache.
func TestAThrottledSourceIsRefusedTheRightPassword(t *testing.T) {
	const owner, stranger = "192.0.2.1", "198.51.100.1"

	for _, from := range []string{owner, stranger} {
		for _, used := range paths {
			for _, path := range paths {
				if from == stranger && path.name != used.name {
					continue
				}

				t.Run(used.name+" used up, then "+path.name+" from "+from, func(t *testing.T) {
					s := jetontest.Start(t, guessed)
					s.AddUser("diane", pw)
					session := s.TryEnter("shop", "diane", pw, "X-Forwarded-For", owner).Cookies()
					for _, other := range paths { // each puts the password where it may be remembered
						other.try(s, owner, session, "diane", pw)
					}

					for i := range 3 {
						a := used.try(s, from, session, "diane", fmt.Sprint("guess ", i))
						if a.Status != 401 && a.Status != 403 {
							t.Fatalf("guess %d: %d %s, want 401 or 403", i, a.Status, a.Body)
						}
					}

					a := path.try(s, from, session, "diane", pw)
					if a.Status != http.StatusTooManyRequests {
						t.Errorf("the right password: %d %s, want 429", a.Status, a.Body)
					}
				})
			}
		}
	}
}

// TestARememberedPasswordIsOfOneNetwork counts checks by their audit events: one that is remembered has none.
func TestARememberedPasswordIsOfOneNetwork(t *testing.T) {
	s := jetontest.Start(t, guessed)
	s.AddUser("diane", pw)

	for _, tc := range []struct {
		name, from string
		want       int // checks so far
	}{
		{"the first request", "192.0.2.1", 1},
		{"again", "192.0.2.1", 1},
		{"from another address", "192.0.2.2", 2},
		{"again from there", "192.0.2.2", 2},
		{"by IPv6", "2001:db8::1", 3},
		{"from the same /64", "2001:db8::2", 3},
		{"from another /64", "2001:db8:0:1::1", 4},
		{"from an unreadable address", "nonsense", 5},
		{"again, which may be another client", "nonsense", 6},
	} {
		a := s.Ask("GET", "shop", "/me", "X-Forwarded-For", tc.from, "Authorization", basic("diane", pw))
		if a.Status != 200 {
			t.Fatalf("%s: %d %s, want 200", tc.name, a.Status, a.Body)
		}

		if got := checksOf(t, s); got != tc.want {
			t.Errorf("%s: %d checks, want %d", tc.name, got, tc.want)
		}
	}
}

func checksOf(t *testing.T, s *jetontest.Server) int {
	t.Helper()

	n := 0
	for _, e := range s.Events() {
		if e.Action == audit.Login {
			n++
		}
	}

	return n
}

// TestAStrangerAtTheSameAddress checks that guesses at other names do not keep a user out who is known there.
func TestAStrangerAtTheSameAddress(t *testing.T) {
	const office = "192.0.2.1"

	for _, known := range paths[:3] {
		t.Run("known by "+known.name, func(t *testing.T) {
			s := jetontest.Start(t, guessed)
			s.AddUser("diane", pw)
			s.AddUser("eshana", pw)
			known.try(s, office, "", "diane", pw)

			for i := range 21 {
				s.TryEnter("shop", fmt.Sprint("user", i), "wrong", "X-Forwarded-For", office)
			}

			for _, tc := range []struct {
				name     string
				user     string
				password string
				want     int
			}{
				{"a user who is known there", "diane", pw, 200},
				{"a wrong password, which looks as for an unknown name", "diane", "wrong", 429},
				{"an unknown name", "user99", "wrong", 429},
				{"a user who is not known there", "eshana", pw, 429},
			} {
				a := s.TryEnter("shop", tc.user, tc.password, "X-Forwarded-For", office)
				if a.Status != tc.want {
					t.Errorf("%s: %d %s, want %d", tc.name, a.Status, a.Body, tc.want)
				}
			}
		})
	}
}

// TestRefusalsTakeAsLongAsTheSlowestHash checks the lower bound only, which no load changes. The soak test of package
// e2e compares the times.
func TestRefusalsTakeAsLongAsTheSlowestHash(t *testing.T) {
	const (
		slowHash = "$2b$08$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy"
		least    = 3 * time.Millisecond // that no machine falls below with bcrypt of cost 8
	)

	s := jetontest.Start(t, guessed)
	s.AddUser("diane", pw)
	s.MustControl("POST", "/api/v1/users/import", api.Import{
		Users: []api.Moved{{Name: "slow", Hash: slowHash}},
	}, nil)
	s.TryEnter("shop", "slow", "wrong", "X-Forwarded-For", "192.0.2.9") // shows the time

	for i, path := range paths[:3] {
		for _, name := range []string{"unknown", "diane"} {
			for n := range 4 { // the last is throttled
				begun := time.Now()
				a := path.try(s, fmt.Sprintf("192.0.2.%d", i), "", name, "wrong")
				took := time.Since(begun)
				if took < least || a.Status != 401 && a.Status != 429 {
					t.Errorf("%s, %s, attempt %d: %d after %v, want 401 or 429 after %v",
						path.name, name, n, a.Status, took, least)
				}
			}
		}
	}
}

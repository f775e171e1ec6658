package forward_test

import (
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jeton-auth/jeton/guard"
	"github.com/jeton-auth/jeton/internal/test/e2e"
	"github.com/jeton-auth/jeton/jetontest"
)

// testClock is a clock that a test moves.
type testClock struct{ at atomic.Int64 }

// newTestClock returns a clock that stands at the current second.
func newTestClock() *testClock {
	c := &testClock{}
	c.at.Store(time.Now().Truncate(time.Second).UnixNano())

	return c
}

// Now returns the time.
func (c *testClock) Now() time.Time { return time.Unix(0, c.at.Load()) }

// add moves the clock.
func (c *testClock) add(d time.Duration) { c.at.Add(int64(d)) }

// TestAnAdmittedRequestIsAsserted checks the assertion of a decision as the service does, and that a request that
// repeats costs no signature.
func TestAnAdmittedRequestIsAsserted(t *testing.T) {
	clock := newTestClock()
	s := jetontest.Start(t, replayed, jetontest.Clock(clock.Now))
	s.AddUser("diane", right, "staff", "sales")
	token := s.AddToken(jetontest.NewToken{Name: "mine", User: "diane", Services: []string{"app"}})

	// assert returns the assertion for a request of diane.
	assert := func(method, target string) string {
		t.Helper()
		a := askAt(s, "traefik", uri(target).with("X-Forwarded-Method", method).
			and(row{"Authorization", "Bearer " + token.Secret, "Jeton-Assertion", "forged"}))
		text := a.Header.Get("Jeton-Assertion")
		if a.Status != http.StatusOK || text == "" || text == "forged" {
			t.Fatalf("got %d and the assertion %q, want 200 and one of Jeton", a.Status, text)
		}

		return text
	}

	first := assert("GET", "/a%20b?q=1")
	for _, tc := range []struct {
		name  string
		text  string
		equal bool
	}{
		{"the same request", assert("GET", "/a%20b?q=1"), true},
		{"another query", assert("GET", "/a%20b?q=2"), true},
		{"another method", assert("POST", "/a%20b?q=1"), false},
		{"another path", assert("GET", "/a%20c?q=1"), false},
	} {
		if (tc.text == first) != tc.equal {
			t.Errorf("%s: the assertion is the same: %t, want %t", tc.name, tc.text == first, tc.equal)
		}
	}

	g := guardOf(t, s, clock.Now)
	checkAsserted(t, g, first)

	clock.add(29 * time.Second)
	if assert("GET", "/a%20b") != first {
		t.Error("after 29 seconds there is a new assertion, want the same")
	}
	clock.add(time.Second)
	second := assert("GET", "/a%20b")
	if second == first {
		t.Error("after 30 seconds there is the same assertion, want a new one")
	}

	s.MustControl(http.MethodPost, "/api/v1/keys/rotate", map[string]bool{"now": true}, nil)
	third := assert("GET", "/a%20b")
	if third == second {
		t.Error("after a rotation there is the same assertion, want one by the new key")
	}
	checkAsserted(t, g, third)
}

// guardOf returns a guard of the service app.
func guardOf(t *testing.T, s *jetontest.Server, now func() time.Time) *guard.Guard {
	t.Helper()
	g, err := guard.New(guard.Config{
		Issuer:   s.Issuer(),
		Audience: "app",
		Client:   s.Client(),
		Now:      now,
	})
	if err != nil {
		t.Fatal(err)
	}

	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = g.Run(t.Context()) // nil when the context ends
	}()
	t.Cleanup(func() { <-ended })
	e2e.Wait(t, "the keys of the issuer", func() bool { return g.Ready() == nil })

	return g
}

// checkAsserted checks an assertion for GET /a%20b of diane.
func checkAsserted(t *testing.T, g *guard.Guard, text string) {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, "/a%20b?q=3", nil)
	r.Header.Set("Jeton-Assertion", text)
	r.Header.Set("Remote-User", "diane")
	r.Header.Set("Remote-Groups", "sales,staff")

	c, err := g.CheckAssertion(r)
	if err != nil || c.Principal.Name != "diane" {
		t.Errorf("CheckAssertion = %+v, %v, want diane", c, err)
	}
}

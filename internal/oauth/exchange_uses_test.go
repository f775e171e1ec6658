package oauth_test

import (
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

func TestUsesOfAnExchangedToken(t *testing.T) {
	c := newChained(t)

	t.Run("shared uses are those of both, exactly", func(t *testing.T) {
		c := c.on(t)
		parent := c.personal(9, "counted").Secret
		var tokens []string
		for range 3 {
			tokens = append(tokens, opens(t, "exchange", c.exchange("reports", parent, "archive")))
		}

		var taken atomic.Int64
		var all sync.WaitGroup
		for i := range 30 {
			all.Go(func() {
				service, token := "archive", parent
				if i%4 == 3 {
					service = "counted"
				} else {
					token = tokens[i%4]
				}
				if c.bearer(service, "/who", token).Status == http.StatusOK {
					taken.Add(1)
				}
			})
		}
		all.Wait()
		if taken.Load() != 9 {
			t.Errorf("%d requests were accepted, want 9", taken.Load())
		}

		a := c.exchange("reports", parent, "archive")
		bare(t, a, http.StatusBadRequest, "invalid_request")
		if got := c.bearer("archive", "/who", tokens[0]); got.Code() != "spent" {
			t.Errorf("a child of a spent token: got %d %q, want spent", got.Status, got.Code())
		}
	})

	t.Run("without shared uses there are no more than the token has left", func(t *testing.T) {
		c := c.on(t)
		parent := c.personal(3, "counted").Secret
		if a := c.bearer("counted", "/who", parent); a.Status != http.StatusOK {
			t.Fatalf("first use: got %d, want 200", a.Status)
		}

		a := c.exchange("reports", parent, "limited")
		token := opens(t, "exchange", a)
		if !strings.Contains(a.Body, `"max_uses":2`) {
			t.Errorf("exchange: got %s, want 2 uses", a.Body)
		}
		for _, want := range []string{"", "", "spent"} {
			if got := c.bearer("limited", "/files/a", token); got.Code() != want {
				t.Errorf("with the token: got %d %q, want %q", got.Status, got.Code(), want)
			}
		}
		if got := c.bearer("counted", "/who", parent); got.Left() != "1" {
			t.Errorf("the exchanged token has %s uses left, want 1: none was shared", got.Left())
		}
	})

	t.Run("the rule and the service limit them, too", func(t *testing.T) {
		c := c.on(t)
		a := c.exchange("reports", c.signed("reports"), "counted")
		opens(t, "exchange", a)
		if !strings.Contains(a.Body, `"max_uses":2`) {
			t.Errorf("exchange: got %s, want the 2 uses of the rule", a.Body)
		}
	})
}

func TestAClientNarrowsAnExchange(t *testing.T) {
	c := newChained(t)

	t.Run("fewer uses and a shorter time, of a token that is not counted", func(t *testing.T) {
		c := c.on(t)
		a := c.exchange("reports", c.signed("reports"), "archive", "max_uses", "1", "expires_in", "20")
		token := opens(t, "exchange", a)
		if !strings.Contains(a.Body, `"expires_in":20,`) || !strings.Contains(a.Body, `"max_uses":1}`) {
			t.Errorf("exchange: got %s, want one use in 20 seconds", a.Body)
		}
		for _, want := range []string{"", "spent"} {
			if got := c.bearer("archive", "/who", token); got.Code() != want {
				t.Errorf("with the token: got %d %q, want %q", got.Status, got.Code(), want)
			}
		}
	})

	t.Run("shared uses, where the rule has none", func(t *testing.T) {
		c := c.on(t)
		parent := c.personal(3, "counted").Secret
		token := opens(t, "exchange", c.exchange("reports", parent, "limited", "shared_uses", "true"))
		c.bearer("limited", "/files/a", token)
		if got := c.bearer("counted", "/who", parent); got.Left() != "1" {
			t.Errorf("the exchanged token has %s uses left, want 1 of 3 after one use of each", got.Left())
		}
	})

	t.Run("never wider than the rule", func(t *testing.T) {
		c := c.on(t)
		a := c.exchange("reports", c.signed("reports"), "counted", "max_uses", "5", "expires_in", "3600")
		opens(t, "exchange", a)
		if !strings.Contains(a.Body, `"max_uses":2}`) || !strings.Contains(a.Body, `"expires_in":300,`) {
			t.Errorf("exchange: got %s, want the 2 uses and 5 minutes of the rule", a.Body)
		}
	})

	t.Run("a rule that is removed ends a narrowed token, too", func(t *testing.T) {
		c := c.on(t)
		token := opens(t, "exchange", c.exchange("reports", c.signed("reports"), "archive", "expires_in", "20"))
		c.accepts(true, token)
		c.reload("      - {from: reports, to: archive, scopes: [read, delete], max_lifetime: 1m}\n", "")
		c.accepts(false, token)
		c.reload("max_lifetime: 1m", "max_lifetime: 1m")
	})

	for name, values := range map[string][]string{
		"max_uses":    {"0", "-1", "1.5", "x", "9223372036854775808"},
		"expires_in":  {"0", "-1", "1m", "9223372037"},
		"shared_uses": {"1", "yes"},
	} {
		for _, value := range values {
			a := c.exchange("reports", c.signed("reports"), "archive", name, value)
			if a.Status != http.StatusBadRequest || !strings.Contains(a.Body, "invalid "+name+": want ") {
				t.Errorf("%s=%q: got %d %s, want 400 and what is wanted", name, value, a.Status, a.Body)
			}
		}
	}
}

func TestAnExchangedTokenIsForTheRequestsOfTheRule(t *testing.T) {
	c := newChained(t)
	token := opens(t, "exchange", c.exchange("reports", c.personal(9, "counted").Secret, "limited"))
	if got := c.bearer("limited", "/files/a", token); got.Status != http.StatusOK {
		t.Errorf("a path of the rule: got %d %q, want 200", got.Status, got.Code())
	}
	if got := c.bearer("limited", "/who", token); got.Code() != "forbidden" {
		t.Errorf("another path: got %d %q, want forbidden", got.Status, got.Code())
	}
}

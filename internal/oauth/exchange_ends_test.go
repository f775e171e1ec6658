package oauth_test

import (
	"crypto/sha256"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/jetontest"
)

// reload makes the server read the configuration of chain with a change.
func (c *chained) reload(old, changed string) {
	c.t.Helper()
	if !strings.Contains(chain, old) {
		c.t.Fatalf("the configuration has no %q", old)
	}

	hash := fmt.Sprintf("%x", sha256.Sum256([]byte(chainSecret)))
	yaml := strings.Replace(chain, old, changed, 1)
	if err := c.Reload(strings.ReplaceAll(yaml, "${HASH}", hash)); err != nil {
		c.t.Fatalf("reload: %v", err)
	}
}

func TestWhatEndsTokensOfAClientEndsThoseWithWhichItActs(t *testing.T) {
	c := newChained(t)
	const reports = "  - name: reports\n    secret_hash: ${HASH}\n"
	for _, tc := range []struct {
		name string
		end  func(c *chained)
	}{
		{"its tokens are revoked", func(c *chained) {
			c.MustControl("POST", "/api/v1/clients/reports/end-tokens", nil, nil)
		}},
		{"it is disabled, and enabled again", func(c *chained) {
			c.reload(reports, reports+"    disabled: true\n")
			c.reload(reports, reports)
		}},
		{"it is removed, and declared again", func(c *chained) {
			from := strings.Index(chain, reports)
			to := strings.Index(chain, "  - name: archive\n    secret_hash")
			c.reload(chain[from:to], "")
			c.reload(reports, reports)
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := c.on(t)
			front := c.personal(0, "front").Secret
			first := opens(t, "exchange", c.exchange("reports", c.signed("reports"), "archive"))
			last := opens(t, "front to reports", c.exchange("front", front, "reports"))
			last = opens(t, "reports to archive", c.exchange("reports", last, "archive"))

			for _, token := range []string{first, last} {
				if a := c.bearer("archive", "/who", token); a.Status != http.StatusOK {
					t.Fatalf("before: got %d %q, want 200", a.Status, a.Code())
				}
			}

			tc.end(c)
			for _, token := range []string{first, last} {
				if a := c.bearer("archive", "/who", token); a.Code() != "bad_credential" {
					t.Errorf("afterwards: got %d %q, want bad_credential", a.Status, a.Code())
				}
			}

			again := opens(t, "exchange again", c.exchange("reports", c.signed("reports"), "archive"))
			if a := c.bearer("archive", "/who", again); a.Status != http.StatusOK {
				t.Errorf("a new exchange: got %d %q, want 200", a.Status, a.Code())
			}
		})
	}
}

func TestAnExchangeGivesAClientNoServiceThatItMayNotUse(t *testing.T) {
	c := newChained(t)
	own := func(service string) jetontest.Answer {
		return c.Post(
			"/oauth2/token", "grant_type", "client_credentials", "client_id", "ci", "client_secret", chainSecret,
			"audience", service,
		)
	}
	token := opens(t, "token of ci", own("reports"))
	bare(t, own("archive"), http.StatusBadRequest, "invalid_target")

	a := c.exchange("reports", token, "archive")
	bare(t, a, http.StatusBadRequest, "invalid_target")
	if check, says := c.failed(a.Request()); check != "owner" || !strings.Contains(says, "archive") {
		t.Errorf("refused by %q: %q, want owner with archive", check, says)
	}
	opens(t, "exchange for a service that ci may use", c.exchange("reports", token, "counted"))
}

func TestSharedUsesStayShared(t *testing.T) {
	c := newChained(t)
	root := c.personal(2, "counted").Secret
	shared := opens(t, "with shared uses", c.exchange("reports", root, "archive"))

	accepted := 0
	for range 3 {
		a := c.exchange("archive", shared, "reports")
		if a.Status != http.StatusOK {
			break
		}
		token := opens(t, "without shared uses", a)
		for range 2 {
			if c.bearer("reports", "/who", token).Status == http.StatusOK {
				accepted++
			}
		}
	}
	if accepted != 2 {
		t.Errorf("%d requests were accepted, want the 2 of the first token", accepted)
	}
}

func TestATokenHasABoundOfRules(t *testing.T) {
	c := newChained(t)
	ask := func(rules int) error {
		var allows []string
		for i := range rules {
			allows = append(allows, fmt.Sprintf("* /files/%d", i))
		}
		return c.Control("POST", "/api/v1/tokens", map[string]any{
			"name":       "laptop",
			"user":       "diane",
			"services":   []string{"counted"},
			"allows":     allows,
			"expires_at": c.clock.now().Add(time.Hour),
		}, nil)
	}

	if err := ask(policy.MaxRules); err != nil {
		t.Errorf("as many rules as permitted: %v", err)
	}
	err := ask(policy.MaxRules + 1)
	if err == nil || !strings.Contains(err.Error(), "invalid allows: 101 rules, want at most 100") {
		t.Errorf("more: got %v, want the bound", err)
	}
}

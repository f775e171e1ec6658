package oauth_test

import (
	"crypto/rand"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/jeton-auth/jeton/internal/secret"
	"github.com/jeton-auth/jeton/jetontest"
)

// exchangeRefusal is an exchange that must be refused, and the check that fails.
type exchangeRefusal struct {
	name, by, token, to string
	fields              []string
	code                string
	check, says         string
}

// badSubjects lists tokens that must not be exchanged.
func (c *chained) badSubjects() []exchangeRefusal {
	revoked := c.signed("reports")
	c.MustControl("DELETE", "/api/v1/tokens/"+jtiOf(c.t, revoked), nil, nil)
	revokedOpaque := c.personal(0, "reports")
	c.MustControl("DELETE", "/api/v1/tokens/"+revokedOpaque.Accessor, nil, nil)
	unknown, err := secret.New(secret.Personal, rand.Reader)
	if err != nil {
		c.t.Fatal(err)
	}
	spent := c.personal(1, "reports").Secret
	if a := c.bearer("reports", "/who", spent); a.Status != http.StatusOK {
		c.t.Fatalf("the only use: got %d, want 200", a.Status)
	}
	early := c.AddToken(jetontest.NewToken{
		User:      "diane",
		Name:      "early",
		Services:  []string{"reports"},
		NotBefore: c.clock.now().Add(30 * time.Minute),
		Expires:   c.clock.now().Add(time.Hour),
	})

	return []exchangeRefusal{
		{"not a token", "reports", "x", "archive", nil, "invalid_request", "subject token", "header.payload"},
		{"an opaque token of a wrong form", "reports", "jtp_" + strings.Repeat("0", 40), "archive", nil,
			"invalid_request", "subject token", "form"},
		{"an unknown opaque token", "reports", unknown.Reveal(), "archive", nil, "invalid_request",
			"subject token", "no such token"},
		{"a revoked signed token", "reports", revoked, "archive", nil, "invalid_request", "subject token", "ended"},
		{"a revoked opaque token", "reports", revokedOpaque.Secret, "archive", nil, "invalid_request",
			"subject token", "ended"},
		{"a token that is not valid yet", "reports", early.Secret, "archive", nil, "invalid_request", "window", "now"},
		{"a spent token", "reports", spent, "archive", nil, "invalid_request", "uses", "none left"},
	}
}

// badRequests lists what the rules do not allow, with tokens that are valid.
func (c *chained) badRequests() []exchangeRefusal {
	diane := c.signed("reports")
	front := c.signed("front")

	return []exchangeRefusal{
		{"a client without a rule", "other", diane, "archive", nil, "invalid_target", "exchange", "no rule"},
		{"a service without a rule", "reports", diane, "front", nil, "invalid_target", "exchange", "no rule"},
		{"a service that does not exist", "reports", diane, "nowhere", nil, "invalid_target", "exchange", "no rule"},
		{"a token for another service", "reports", front, "archive", nil, "invalid_target", "exchange",
			"for another service"},
		{"a service that requires more", "reports", diane, "vault", nil, "invalid_target", "owner", "requires more"},
		{"a service that the user may not use", "reports", diane, "closed", nil, "invalid_target", "owner",
			"may not log in"},
		{"a wider scope", "reports", diane, "archive", []string{"scope", "admin"}, "invalid_scope", "scopes",
			"requested"},
	}
}

func TestAnExchangeIsRefused(t *testing.T) {
	c := newChained(t)
	for _, tc := range append(c.badSubjects(), c.badRequests()...) {
		t.Run(tc.name, func(t *testing.T) {
			c := c.on(t)
			a := c.exchange(tc.by, tc.token, tc.to, tc.fields...)
			bare(t, a, http.StatusBadRequest, tc.code)

			check, says := c.failed(a.Request())
			if check != tc.check || !strings.Contains(says, tc.says) {
				t.Errorf("refused by %q: %q, want %q with %q", check, says, tc.check, tc.says)
			}
		})
	}

	t.Run("an expired token", func(t *testing.T) {
		c := c.on(t)
		token := c.signed("reports")
		c.clock.move(11 * time.Minute)
		a := c.exchange("reports", token, "archive")
		bare(t, a, http.StatusBadRequest, "invalid_request")
		if check, says := c.failed(a.Request()); check != "window" {
			t.Errorf("refused by %q: %q, want window", check, says)
		}
	})

	t.Run("a token that ends before the new one would be valid", func(t *testing.T) {
		c := c.on(t)
		token := c.signed("reports")
		c.clock.move(6 * time.Minute)
		a := c.exchange("reports", token, "later")
		bare(t, a, http.StatusBadRequest, "invalid_request")
		if check, says := c.failed(a.Request()); check != "terms" {
			t.Errorf("refused by %q: %q, want terms", check, says)
		}
	})
}

func TestAnExchangeNeedsTheParametersOfTheStandard(t *testing.T) {
	c := newChained(t)
	token := c.signed("reports")
	base := map[string]string{
		"grant_type":         grantExchange,
		"client_id":          "reports",
		"client_secret":      chainSecret,
		"subject_token":      token,
		"subject_token_type": typeAccess,
		"audience":           "archive",
	}
	const jwt = "urn:ietf:params:oauth:token-type:jwt"

	for _, tc := range []struct {
		name, field, value string
		status             int
		code               string
	}{
		{"an actor_token", "actor_token", "x", 400, "invalid_request"},
		{"an actor_token_type", "actor_token_type", typeAccess, 400, "invalid_request"},
		{"no subject_token", "subject_token", "", 400, "invalid_request"},
		{"no subject_token_type", "subject_token_type", "", 400, "invalid_request"},
		{"a type that is not supported", "subject_token_type", "urn:ietf:params:oauth:token-type:saml2", 400,
			"invalid_request"},
		{"a token of this server as one of another issuer", "subject_token_type", jwt, 400, "invalid_request"},
		{"another requested type", "requested_token_type", jwt, 400, "invalid_request"},
		{"no audience", "audience", "", 400, "invalid_request"},
		{"two services", "resource", "counted", 400, "invalid_request"},
		{"no secret", "client_secret", "", 401, "invalid_client"},
		{"a wrong secret", "client_secret", "wrong", 401, "invalid_client"},
		{"an unknown client", "client_id", "unknown", 401, "invalid_client"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := c.on(t)
			fields := []string{tc.field, tc.value}
			for name, value := range base {
				if name != tc.field {
					fields = append(fields, name, value)
				}
			}
			a := c.Post("/oauth2/token", fields...)
			if a.Status != tc.status || !strings.HasPrefix(a.Body, `{"error":"`+tc.code+`"`) {
				t.Errorf("got %d %s, want %d %s", a.Status, a.Body, tc.status, tc.code)
			}
		})
	}
}

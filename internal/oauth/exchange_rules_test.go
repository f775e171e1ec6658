package oauth_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/jeton-auth/jeton/internal/jose"
	"github.com/jeton-auth/jeton/jetontest"
)

// accepts checks that archive accepts tokens, or that it refuses all of them.
func (c *chained) accepts(want bool, tokens ...string) {
	c.t.Helper()
	for i, token := range tokens {
		a := c.bearer("archive", "/who", token)
		if want && a.Status != http.StatusOK || !want && a.Code() != "bad_credential" {
			c.t.Errorf("token %d at archive: got %d %q, want it accepted: %v", i, a.Status, a.Code(), want)
		}
	}
}

func TestARuleOfAnExchangeThatChangesEndsItsTokens(t *testing.T) {
	c := newChained(t)
	const rule = "      - {from: reports, to: archive, scopes: [read, delete], max_lifetime: 1m}\n"
	const hop = "exchanges: [{from: front, to: reports, scopes: [read, write]}, "
	for _, tc := range []struct {
		name         string
		old, changed string
		first, last  bool // the tokens for archive are accepted: of one exchange, and of the chain from front
	}{
		{"another rule is removed", "      - {from: reports, to: later, scopes: [read]}\n", "", true, true},
		{"its scopes in another order", "[read, delete]", "[delete, read]", true, true},
		{"it is removed", rule, "", false, false},
		{"a scope is removed", "[read, delete]", "[read]", false, false},
		{"its lifetime is shorter", "max_lifetime: 1m", "max_lifetime: 30s", false, false},
		{"its uses are limited", "max_lifetime: 1m", "max_lifetime: 1m, max_uses: 5", false, false},
		{"its requests are limited", "max_lifetime: 1m", `max_lifetime: 1m, allows: ["GET /who"]`, false, false},
		{"the rule of the first exchange of a chain is removed", hop, "exchanges: [", true, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := c.on(t)
			first := opens(t, "exchange", c.exchange("reports", c.signed("reports"), "archive"))
			last := opens(t, "front to reports", c.exchange("front", c.personal(0, "front").Secret, "reports"))
			last = opens(t, "reports to archive", c.exchange("reports", last, "archive"))
			c.accepts(true, first, last)

			c.reload(tc.old, tc.changed)
			c.accepts(tc.first, first)
			c.accepts(tc.last, last)

			// The rule as it was is the same rule again.
			c.reload(rule, rule)
			c.accepts(true, first, last)
		})
	}
}

func TestARuleThatIsRemovedWhileTheServerIsStoppedEndsItsTokens(t *testing.T) {
	c := newChained(t)
	token := opens(t, "exchange", c.exchange("reports", c.signed("reports"), "archive"))
	c.restart()
	c.accepts(true, token)

	c.yaml = strings.Replace(c.yaml, "{from: reports, to: archive, scopes: [read, delete], max_lifetime: 1m}",
		"{from: reports, to: archive, scopes: [read]}", 1)
	c.restart()
	a := c.bearer("archive", "/who", token)
	if a.Code() != "bad_credential" {
		t.Fatalf("after a start with another rule: got %d %q, want bad_credential", a.Status, a.Code())
	}
	list, _ := c.checks(a.Request())
	if text := object(t, map[string]any{"checks": list}); !strings.Contains(text, "has been changed or removed") {
		t.Errorf("the operator sees %s, want that the rule has changed", text)
	}
}

func TestASigningKeyThatIsRevokedEndsWhatItsTokensWereExchangedFor(t *testing.T) {
	c := newChained(t)
	signed := c.signed("reports")
	first := opens(t, "a signed token", c.exchange("reports", signed, "archive"))
	opaque := opens(t, "an opaque token", c.exchange("reports", c.personal(0, "reports").Secret, "archive"))
	// From a signed token to reports, and from there to archive: the key is that of the first.
	last := opens(t, "front to reports", c.exchange("front", c.signed("front"), "reports"))
	last = opens(t, "reports to archive", c.exchange("reports", last, "archive"))
	c.accepts(true, first, opaque, last)

	var header struct{ Kid string }
	if err := json.Unmarshal([]byte(unb64(t, strings.Split(signed, ".")[0])), &header); err != nil || header.Kid == "" {
		t.Fatalf("header of the signed token: %v", err)
	}
	c.MustControl("DELETE", "/api/v1/keys/"+header.Kid, nil, nil)
	bare(t, c.exchange("reports", signed, "archive"), http.StatusBadRequest, "invalid_request")
	c.accepts(false, first, last)
	c.accepts(true, opaque)

	c.restart()
	c.accepts(false, first, last)
	c.accepts(true, opaque)
}

// keyed has a client with a key that exchanges tokens.
const keyed = `
issuer:
  url: 'http://localhost:${ISSUER_PORT}'
  listen: 'localhost:${ISSUER_PORT}'
  plain_http: true
clients:
  - name: reports
    keys: [{public: '${KEY}'}, {public: '${NEXT}'}]
    exchanges: [{from: reports, to: archive}]
services:
  - name: reports
    listen: localhost:0
    plain_http: true
    login: {token: /token}
    tokens: {}
    routes: [{match: GET /who, respond: {template: "{{.Name}}"}}]
  - name: archive
    listen: localhost:0
    plain_http: true
    tokens: {}
    routes: [{match: GET /who, respond: {template: "{{.Name}}"}}]
`

func TestAKeyOfAClientThatIsRemovedEndsWhatItWasExchangedWith(t *testing.T) {
	newKey := func() (jetontest.Key, string) {
		signer, err := jose.Generate(jose.EdDSA)
		if err != nil {
			t.Fatal(err)
		}
		return jetontest.Key{Client: "reports", Signer: signer}, string(signer.Key().JWK())
	}
	old, oldKey := newKey()
	next, nextKey := newKey()
	c := &chained{newFixture(t, keyed, jetontest.Env("KEY", oldKey), jetontest.Env("NEXT", nextKey))}
	c.AddUser("diane", "correct horse battery")
	exchange := func(k jetontest.Key) string {
		return opens(t, "exchange", c.Post(
			"/oauth2/token", "grant_type", grantExchange, "client_assertion_type", assertionType,
			"client_assertion", c.right(k), "subject_token", c.signed("reports"),
			"subject_token_type", typeAccess, "audience", "archive",
		))
	}
	first, second := exchange(old), exchange(next)
	c.accepts(true, first, second)

	without := strings.Replace(keyed, "{public: '${KEY}'}, ", "", 1)
	if err := c.Reload(without); err != nil {
		t.Fatal(err)
	}
	c.accepts(false, first)
	c.accepts(true, second)

	c.yaml = without
	c.restart()
	c.accepts(false, first)
	c.accepts(true, second)
}

func TestARuleOfAWorkloadThatChangesEndsItsTokens(t *testing.T) {
	p := newPlatforms(t)
	reload := func(changes ...string) {
		if err := p.Reload(strings.NewReplacer(changes...).Replace(workloads)); err != nil {
			t.Fatal(err)
		}
	}
	who := func(what, token, want string) {
		t.Helper()
		if a := p.bearer("reports", "/who", token); a.Code() != want {
			t.Errorf("%s: got %d %q, want %q", what, a.Status, a.Code(), want)
		}
	}
	opaque := opens(t, "exchange", p.exchange(p.github.Token(p.actions())))
	signed := opens(t, "exchange", p.exchange(p.cluster.Token(p.serviceAccount())))
	other := opens(t, "exchange", p.exchange(p.mesh.Token(p.svid())))
	who("opaque", opaque, "")
	who("signed", signed, "")

	reload("max_uses: 2", "max_uses: 1", "system:serviceaccount:shop:*", "system:serviceaccount:shop:other")
	who("an opaque token of a narrower rule", opaque, "bad_credential")
	who("a signed token of a narrower rule", signed, "bad_credential")
	who("a token of another rule", other, "")

	// The order of the rules is not the same, and the rules are.
	reload()
	who("a signed token of the rule as it was", signed, "")

	p.yaml = strings.Replace(p.yaml, "system:serviceaccount:shop:*", "system:serviceaccount:shop:other", 1)
	p.restart()
	who("after a start with another rule", signed, "bad_credential")
	who("a token of another rule after it", other, "")
}

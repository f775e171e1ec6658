package config

import (
	"github.com/jeton-auth/jeton/internal/policy"
)

// maxExchangeAllows is how many rules a token has at most: they are stored with each.
const maxExchangeAllows = 100

// exchanges checks the rules by which a client exchanges tokens.
func (c checker) exchanges(client *Client) {
	list := client.Exchanges
	public := client.OpenID != nil && client.OpenID.Public
	if len(list) > 0 && (public || len(client.Keys) == 0 && client.KeySource == nil && !c.Has(&client.SecretHash)) {
		c.Fault(&client.Exchanges, "need a client that authenticates; add keys, key_source or secret_hash")
	}

	taken := map[string]*string{}
	for i := range list {
		e := &list[i]
		c.serviceExists(&e.From)
		c.serviceExists(&e.To)

		first := taken[e.From+" to "+e.To]
		switch {
		case e.From == e.To:
			c.Fault(&e.To, "is the same as from; a token that is valid there need not be exchanged")
		case first != nil:
			c.Fault(&e.To, "%s has the rule for both services already; keep one", c.Path(first))
		default:
			taken[e.From+" to "+e.To] = &e.To
		}

		c.scopes(e.Scopes)
		if len(e.Allows) > maxExchangeAllows {
			c.Fault(&e.Allows, "%d rules, want at most %d", len(e.Allows), maxExchangeAllows)
		}
		for j := range e.Allows {
			if _, err := policy.ParseRule(e.Allows[j]); err != nil {
				c.Invalid(
					&e.Allows[j], "rule", e.Allows[j], `a method and a path, as in "GET /files/*" or "* /reports/*"`,
				)
			}
		}
	}
}

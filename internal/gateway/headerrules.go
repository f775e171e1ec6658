package gateway

import (
	"net/http"

	"github.com/jeton-auth/jeton/internal/config"
)

// applyHeaders changes headers by the rules of a configuration, which checks that they touch none of ours.
func applyHeaders(h http.Header, rules *config.HeaderRules) {
	for _, name := range rules.Remove {
		h.Del(name)
	}
	for i := range rules.Set {
		h.Set(rules.Set[i].Name, rules.Set[i].Value)
	}
	for i := range rules.Add {
		h.Add(rules.Add[i].Name, rules.Add[i].Value)
	}
}

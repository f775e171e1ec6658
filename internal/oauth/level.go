package oauth

import (
	"encoding/json"
	"net/url"
	"slices"
	"strings"

	"github.com/jeton-auth/jeton/internal/factor"
)

// levelClaim is the claim acr as a request wants it in the ID token (OpenID Connect Core 1.0, section 5.5.1.1).
type levelClaim struct {
	Essential bool     `json:"essential"`
	Value     string   `json:"value"`
	Values    []string `json:"values"`
}

// readLevelClaim returns what the parameter claims says of acr, and whether it is valid. What it says of other claims
// is ignored: the metadata have claims_parameter_supported false.
func readLevelClaim(q url.Values) (levelClaim, bool) {
	text := q.Get("claims")
	if text == "" {
		return levelClaim{}, true
	}

	var claims struct {
		IDToken struct {
			Level levelClaim `json:"acr"`
		} `json:"id_token"`
	}
	err := json.Unmarshal([]byte(text), &claims)

	return claims.IDToken.Level, err == nil
}

// levels are the levels of the authentication (acr) that a request wants.
type levels struct {
	wanted []string // of which one is enough, the preferred one first; none: any
	needed bool     // without one of them, the client gets an error instead of a code
	two    bool     // two factors are needed in any case
}

// levels returns the levels that a request wants. Those of acr_values are a wish (OpenID Connect Core 1.0, section
// 3.1.2.1), unless the tokens are for a service, which would refuse them (RFC 9470, section 5). Those of an essential
// claim are needed. What the service of the tokens requires is needed, whatever the client asks for.
func (a authorization) levels() levels {
	asked := strings.Fields(a.query.Get("acr_values"))
	needed := a.resource != nil && len(asked) > 0

	claim, _ := readLevelClaim(a.query)
	if claim.Value != "" {
		claim.Values = append(claim.Values, claim.Value)
	}
	if len(claim.Values) > 0 {
		asked, needed = claim.Values, needed || claim.Essential
	}

	unknown := func(level string) bool { return !slices.Contains(factor.Levels(), level) }
	l := levels{
		wanted: slices.DeleteFunc(asked, unknown),
		needed: needed,
		two:    a.requires().Factors > 1,
	}
	// A wish for unknown levels alone is none.
	if len(l.wanted) == 0 && !l.needed && l.two {
		l.wanted = []string{factor.TwoFactors}
	}

	return l
}

// impossible reports whether no sign-in reaches what is needed: a level that this server does not know.
func (l levels) impossible() bool { return l.needed && len(l.wanted) == 0 }

// reached reports whether methods (amr) reach what a request wants.
func (l levels) reached(methods []string) bool {
	return l.sufficed(methods) && (len(l.wanted) == 0 || reachAny(methods, l.wanted))
}

// sufficed reports whether methods (amr) reach what a request needs.
func (l levels) sufficed(methods []string) bool {
	return (!l.two || factor.Reaches(methods, factor.TwoFactors)) && (!l.needed || reachAny(methods, l.wanted))
}

// reachAny reports whether methods (amr) reach one of the levels.
func reachAny(methods, list []string) bool {
	return slices.ContainsFunc(list, func(level string) bool { return factor.Reaches(methods, level) })
}

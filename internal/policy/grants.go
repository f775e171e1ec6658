package policy

import (
	"slices"

	"github.com/jeton-auth/jeton"
)

// Grants are the scopes that users have at a service. The zero value grants none. A user may ask
// for any scope of a token; the token has those that are granted, at each request.
type Grants []Grant

// Grant gives scopes to users.
type Grant struct {
	Scopes []string
	Allow  *Allow // users who have them; nil: all
}

// Of returns the scopes that a user has.
func (g Grants) Of(user jeton.Principal) []string {
	var list []string
	for _, grant := range g {
		if grant.Allow == nil || grant.Allow.Check(user) == nil {
			list = append(list, grant.Scopes...)
		}
	}

	return list
}

// Limit returns which of its scopes a token of the owner has at the service. A client has the
// scopes that it was registered with, which were judged when the token was issued.
func (g Grants) Limit(owner jeton.Principal, scopes []string) []string {
	if len(scopes) == 0 || owner.Kind != jeton.KindUser {
		return scopes
	}

	granted := g.Of(owner)
	lacks := func(s string) bool { return !slices.Contains(granted, s) }
	if !slices.ContainsFunc(scopes, lacks) {
		return scopes
	}

	return slices.DeleteFunc(slices.Clone(scopes), lacks)
}

// Lacking returns the first of the needed scopes that has does not contain, or "".
func Lacking(has, needs []string) string {
	for _, s := range needs {
		if !slices.Contains(has, s) {
			return s
		}
	}

	return ""
}

package approval

import (
	"fmt"
	"strings"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/naming"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/secret"
	"github.com/jeton-auth/jeton/internal/token"
)

// check returns jeton.ErrInvalid with the member of a request that is wrong.
func check(in jeton.TokenRequest) error {
	if in.User == "" {
		return jeton.WithDetail(jeton.ErrInvalid, "user is required: whom a client asks")
	}
	if _, _, err := naming.User(in.User); err != nil {
		return jeton.WithDetail(jeton.ErrInvalid, "invalid user: "+err.Error())
	}

	shown := func(text string, most int) bool { return len(text) <= most && naming.Printable(text) }
	problem := ""
	switch {
	case in.Name != "" && !shown(in.Name, token.MaxName):
		problem = fmt.Sprintf("invalid name %.60q: want 1 to %d bytes of printable characters", in.Name, token.MaxName)
	case in.Name == "":
		problem = fmt.Sprintf("name is required: want 1 to %d bytes of printable characters", token.MaxName)
	case !shown(in.Reason, maxReason):
		problem = fmt.Sprintf("invalid reason: want at most %d bytes of printable characters", maxReason)
	}
	if problem != "" {
		return jeton.WithDetail(jeton.ErrInvalid, problem)
	}

	return checkTerms(in.TokenTerms)
}

// checkTerms returns jeton.ErrInvalid for terms that no token can have, or no user can judge.
func checkTerms(in jeton.TokenTerms) error {
	longest := int64(token.MaxPersonal / time.Second)
	switch {
	case in.MaxUses < 0:
		return jeton.WithDetail(jeton.ErrInvalid, "max_uses must be 1 or more, or absent")
	case in.Seconds < int64(MinToken/time.Second) || in.Seconds > longest:
		return jeton.WithDetail(
			jeton.ErrInvalid, fmt.Sprintf("invalid expires_in: want %.0f to %d seconds", MinToken.Seconds(), longest),
		)
	}

	if err := checkScopes(in.Scopes); err != nil {
		return err
	}

	return checkRules(in.Allows)
}

// checkScopes returns jeton.ErrInvalid for scopes that no service has, or too many.
func checkScopes(scopes []string) error {
	if len(scopes) > maxScopes {
		return jeton.WithDetail(jeton.ErrInvalid, fmt.Sprintf("invalid scopes: want at most %d", maxScopes))
	}
	for _, scope := range scopes {
		if err := naming.Scope(scope); err != nil {
			return jeton.WithDetail(jeton.ErrInvalid, fmt.Sprintf("invalid scope %.60q: %v", scope, err))
		}
	}

	return nil
}

// checkRules returns jeton.ErrInvalid for rules of which one is none, or too many.
func checkRules(rules []string) error {
	if len(rules) > maxRules || !naming.Printable(strings.Join(rules, "")) {
		return jeton.WithDetail(
			jeton.ErrInvalid, fmt.Sprintf("invalid allows: want at most %d rules of printable characters", maxRules),
		)
	}

	_, err := policy.ParseRules(rules)

	return err
}

// Narrow returns the terms of an approval: those that were requested, or narrower ones. It returns jeton.ErrInvalid,
// and jeton.ErrForbidden for terms that are wider.
func Narrow(asked jeton.TokenTerms, in jeton.TokenApproval) (jeton.TokenTerms, error) {
	terms := asked
	if in.Scopes != nil {
		terms.Scopes = in.Scopes
	}
	if in.Allows != nil {
		terms.Allows = in.Allows
	}
	if in.MaxUses != 0 {
		terms.MaxUses = in.MaxUses
	}
	if in.Seconds != 0 {
		terms.Seconds = in.Seconds
	}
	if err := checkTerms(terms); err != nil {
		return terms, err
	}

	wider := func(what string) (jeton.TokenTerms, error) {
		return terms, jeton.WithDetail(jeton.ErrForbidden, "an approval cannot exceed the request: "+what)
	}

	within, err := covered(asked.Allows, terms.Allows)
	switch {
	case err != nil:
		return terms, err
	case policy.CheckScopes(asked.Scopes, terms.Scopes) != nil:
		return wider("scopes")
	case !within:
		return wider("allows")
	case asked.MaxUses != 0 && terms.MaxUses > asked.MaxUses:
		return wider("max_uses")
	case terms.Seconds > asked.Seconds:
		return wider("expires_in")
	}

	return terms, nil
}

// covered reports whether rules permit no more than those that were requested.
func covered(asked, rules []string) (bool, error) {
	outer, err := policy.ParseRules(asked)
	if err != nil {
		return false, err
	}
	inner, err := policy.ParseRules(rules)

	return policy.Limits{Allows: inner}.Within(policy.Limits{Allows: outer}), err
}

// describe returns a request for the audit log. Names and reasons are free text, into which a secret may have got.
func describe(id string, in jeton.TokenRequest) string {
	text := fmt.Sprintf("%s %q, %s", id, secret.Mask(in.Name), describeTerms(in.TokenTerms))
	if in.Reason != "" {
		text += fmt.Sprintf(", reason %q", secret.Mask(in.Reason))
	}

	return clip(strings.TrimSpace(text))
}

// describeTerms returns terms that were checked for the audit log.
func describeTerms(t jeton.TokenTerms) string {
	// First what is short: a long text is cut.
	parts := []string{
		fmt.Sprintf("for %v", time.Duration(t.Seconds)*time.Second),
	}
	if t.MaxUses > 0 {
		parts = append(parts, fmt.Sprintf("at most %d uses", t.MaxUses))
	}
	parts = append(parts, fmt.Sprintf("scopes %v", t.Scopes))
	for _, rule := range t.Allows {
		parts = append(parts, "only "+rule)
	}

	return strings.Join(parts, ", ")
}

// clip bounds a text for the audit log.
func clip(text string) string {
	const limit = 1000

	return strings.ToValidUTF8(text[:min(len(text), limit)], "")
}

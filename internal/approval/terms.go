package approval

import (
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/secret"
	"github.com/jeton-auth/jeton/internal/token"
)

// check returns jeton.ErrInvalid with the member of a request that is wrong.
func check(in jeton.TokenRequest) error {
	shown := func(text string, most int) bool {
		return len(text) <= most && utf8.ValidString(text) && !strings.ContainsFunc(text, unicode.IsControl)
	}

	problem := ""
	switch {
	case in.User == "":
		problem = "user is required: whom a client asks"
	case in.Name == "" || !shown(in.Name, token.MaxName):
		problem = fmt.Sprintf("name is required: want 1 to %d bytes without control characters", token.MaxName)
	case !shown(in.Reason, maxReason):
		problem = fmt.Sprintf("invalid reason: want at most %d bytes without control characters", maxReason)
	}
	if problem != "" {
		return jeton.WithDetail(jeton.ErrInvalid, problem)
	}

	return checkTerms(in.TokenTerms)
}

// checkTerms returns jeton.ErrInvalid for terms that no token can have.
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

	_, err := policy.ParseRules(in.Allows)

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

// describeTerms returns the terms of a token for the audit log.
func describeTerms(t jeton.TokenTerms) string {
	parts := []string{
		fmt.Sprintf("scopes %v", t.Scopes),
		fmt.Sprintf("for %v", min(time.Duration(max(0, t.Seconds)), token.MaxPersonal/time.Second)*time.Second),
	}
	if t.MaxUses > 0 {
		parts = append(parts, fmt.Sprintf("at most %d uses", t.MaxUses))
	}
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

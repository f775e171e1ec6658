package policy

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"time"
)

// WorkloadKind is the kind of an issuer whose tokens software has where it runs.
type WorkloadKind string

// The kinds of issuers.
const (
	WorkloadOIDC       WorkloadKind = "oidc"
	WorkloadGitHub     WorkloadKind = "github"     // GitHub Actions
	WorkloadGitLab     WorkloadKind = "gitlab"     // id_tokens of GitLab CI/CD
	WorkloadKubernetes WorkloadKind = "kubernetes" // tokens of service accounts
	WorkloadSPIFFE     WorkloadKind = "spiffe"     // JWT-SVID
)

// Reuses reports whether tokens of the kind are accepted more than once by default: the platform gives one to a
// process for its lifetime, and not one for each use.
func (k WorkloadKind) Reuses() bool { return k == WorkloadKubernetes || k == WorkloadSPIFFE }

// Claim is a claim that a token must have: exactly the value, or with * at its end at least one more character.
type Claim struct {
	Name  string
	Value string
}

// matches reports whether a token has the claim. A number, true and false are compared as JSON writes them; a list
// and an object match nothing.
func (c Claim) matches(claims map[string]json.RawMessage) bool {
	raw := claims[c.Name]
	if len(raw) == 0 || raw[0] == '{' || raw[0] == '[' || string(raw) == "null" {
		return false
	}

	text := string(raw)
	if raw[0] == '"' && json.Unmarshal(raw, &text) != nil {
		return false
	}

	prefix, open := strings.CutSuffix(c.Value, "*")
	if open {
		return strings.HasPrefix(text, prefix) && len(text) > len(prefix)
	}

	return text == c.Value
}

// registered are the claims that say nothing about which software has the token.
var registered = []string{"iss", "aud", "exp", "nbf", "iat", "jti"}

// The forms of values that name an owner. With a * at the end, the fixed part has the whole name: octo/* and not octo*,
// which is octopus, too.
var (
	wholeName = regexp.MustCompile(`^[^*]+$`)
	pathForm  = regexp.MustCompile(`^[^/*]+/.`)
	groupForm = regexp.MustCompile(`^[^/*]+(/.*)?$`)

	// A repository can have its sub begin with another claim, such as environment:production, which every other one
	// can have, too.
	gitHubSubject = regexp.MustCompile(
		`^((repo|repository):[^/:*]+/.|(repository_id|repository_owner|repository_owner_id):[^/:*]+(:|$))`,
	)
	gitLabSubject     = regexp.MustCompile(`^project_path:[^/:*]+/.`)
	kubernetesSubject = regexp.MustCompile(`^system:serviceaccount:[^:*]+:.`)
	spiffeSubject     = regexp.MustCompile(`^spiffe://[^/*]+/[^/*][^*]*(/\*)?$`)
)

// owners are, by kind, the claims that name an owner beyond the issuer, and the form of their values. An issuer such as
// GitHub signs tokens for everyone, who can choose all other claims, such as ref.
var owners = map[WorkloadKind]map[string]*regexp.Regexp{
	WorkloadGitHub: {
		"sub":                 gitHubSubject,
		"repository":          pathForm,
		"repository_id":       wholeName,
		"repository_owner":    wholeName,
		"repository_owner_id": wholeName,
	},
	WorkloadGitLab: {
		"sub":            gitLabSubject,
		"project_path":   pathForm,
		"project_id":     wholeName,
		"namespace_path": groupForm,
		"namespace_id":   wholeName,
	},
	WorkloadKubernetes: {"sub": kubernetesSubject},
	WorkloadSPIFFE:     {"sub": spiffeSubject},
}

// OwnerClaims returns the claims of which a rule of the kind needs one; nil: any that is not about the token itself.
func (k WorkloadKind) OwnerClaims() []string {
	var names []string
	for name := range owners[k] {
		names = append(names, name)
	}
	slices.Sort(names)

	return names
}

// Narrows reports whether a claim admits less than all software of an issuer of the kind.
func (k WorkloadKind) Narrows(c Claim) bool {
	of := owners[k]
	if of == nil {
		return strings.TrimSuffix(c.Value, "*") != "" && !slices.Contains(registered, c.Name)
	}

	form, ok := of[c.Name]

	return ok && form.MatchString(c.Value)
}

// WorkloadRule says which client a token of another issuer stands for, and with which terms.
type WorkloadRule struct {
	Client   string
	Claims   []Claim       // all must match
	Services []string      // of those of the client; none: all of them
	Scopes   []string      // of those of the client; none: all of them
	Lifetime time.Duration // at most; 0: that of the service
	MaxUses  int64         // at most, or Unlimited: that of the service
	Allows   []Rule        // see Limits
}

// WorkloadRulePrefix begins the ID of each rule of a workload issuer.
const WorkloadRulePrefix = "workload "

// ID names the rule of an issuer. Another rule, and one of other claims or terms, has another ID.
func (r WorkloadRule) ID(name, issuer string) string {
	return ruleID(WorkloadRulePrefix+name, struct {
		Issuer string
		Rule   WorkloadRule
	}{issuer, r})
}

// Matches reports whether the rule is for a token with these claims.
func (r WorkloadRule) Matches(claims map[string]json.RawMessage) bool {
	for _, c := range r.Claims {
		if !c.matches(claims) {
			return false
		}
	}

	return len(r.Claims) > 0
}

// Terms returns the terms of a token by the rule, which are never wider than those of the service.
func (r WorkloadRule) Terms(t TokenTerms) TokenTerms {
	if r.Lifetime > 0 {
		t.Lifetime = min(t.Lifetime, r.Lifetime)
	}
	if r.MaxUses != Unlimited && (t.MaxUses == Unlimited || r.MaxUses < t.MaxUses) {
		t.MaxUses = r.MaxUses
	}

	// The limits are stored with the token, and a signed one need not be looked up.
	if len(r.Allows) > 0 {
		t.Format = Opaque
	}

	return t
}

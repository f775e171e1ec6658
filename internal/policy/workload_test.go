package policy_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/jeton-auth/jeton/internal/policy"
)

func TestClaimsMatchExactly(t *testing.T) {
	const token = `{"sub":"repo:octo/shop","n":12,"ok":true,"no":null,"list":["a"],"in":{"a":"b"},"escaped":"a\u002fb"}`

	for _, tc := range []struct {
		name  string
		claim policy.Claim
		want  bool
	}{
		{"the text", policy.Claim{Name: "sub", Value: "repo:octo/shop"}, true},
		{"a part of it", policy.Claim{Name: "sub", Value: "repo:octo"}, false},
		{"its beginning", policy.Claim{Name: "sub", Value: "repo:octo/*"}, true},
		{"all of it, and then something", policy.Claim{Name: "sub", Value: "repo:octo/shop*"}, false},
		{"another case", policy.Claim{Name: "sub", Value: "repo:Octo/shop"}, false},
		{"another name", policy.Claim{Name: "Sub", Value: "repo:octo/shop"}, false},
		{"a number", policy.Claim{Name: "n", Value: "12"}, true},
		{"true", policy.Claim{Name: "ok", Value: "true"}, true},
		{"null", policy.Claim{Name: "no", Value: "null"}, false},
		{"a list", policy.Claim{Name: "list", Value: "a"}, false},
		{"the text of a list", policy.Claim{Name: "list", Value: `["a"]`}, false},
		{"an object", policy.Claim{Name: "in", Value: "*"}, false},
		{"a text with an escape", policy.Claim{Name: "escaped", Value: "a/b"}, true},
		{"an absent claim", policy.Claim{Name: "none", Value: ""}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var claims map[string]json.RawMessage
			if err := json.Unmarshal([]byte(token), &claims); err != nil {
				t.Fatal(err)
			}

			got := policy.WorkloadRule{Claims: []policy.Claim{tc.claim}}.Matches(claims)
			if got != tc.want {
				t.Errorf("Matches(%v) = %t, want %t", tc.claim, got, tc.want)
			}
		})
	}
}

func TestAClaimNarrowsIfItNamesAnOwner(t *testing.T) {
	for _, tc := range []struct {
		kind  policy.WorkloadKind
		name  string
		value string
		want  bool
	}{
		{policy.WorkloadGitHub, "sub", "repo:octo/shop:ref:refs/heads/main", true},
		{policy.WorkloadGitHub, "sub", "repo:octo/*", true},
		{policy.WorkloadGitHub, "sub", "repo:octo@65/shop@72:*", true},
		{policy.WorkloadGitHub, "sub", "repository:octo/shop", true},
		{policy.WorkloadGitHub, "sub", "repository_owner:octo", true},
		{policy.WorkloadGitHub, "sub", "repository_owner_id:65:*", true},
		{policy.WorkloadGitHub, "sub", "repository_id:72:environment:production", true},
		{policy.WorkloadGitHub, "sub", "repo:octo*", false},
		{policy.WorkloadGitHub, "sub", "repo:octo*/", false},
		{policy.WorkloadGitHub, "sub", "repo:*", false},
		{policy.WorkloadGitHub, "sub", "repo:/*", false},
		{policy.WorkloadGitHub, "sub", "repository_owner:octo*", false},
		{policy.WorkloadGitHub, "sub", "repository_owner_id:6*", false},
		{policy.WorkloadGitHub, "sub", "environment:production", false},
		{policy.WorkloadGitHub, "sub", "ref:refs/heads/main", false},
		{policy.WorkloadGitHub, "sub", "ref:refs/*", false},
		{policy.WorkloadGitHub, "sub", "job_workflow_ref:octo/ci/.github/workflows/x.yml@refs/heads/main", false},
		{policy.WorkloadGitHub, "repository", "octo/*", true},
		{policy.WorkloadGitHub, "repository", "/x*", false},
		{policy.WorkloadGitHub, "repository_owner", "octo", true},
		{policy.WorkloadGitHub, "repository_owner", "octo*", false},
		{policy.WorkloadGitHub, "environment", "production", false},
		{policy.WorkloadGitLab, "sub", "project_path:group/shop:ref_type:branch:ref:main", true},
		{policy.WorkloadGitLab, "sub", "project_path:group/*", true},
		{policy.WorkloadGitLab, "sub", "project_path:group*", false},
		{policy.WorkloadGitLab, "sub", "ref_type:branch", false},
		{policy.WorkloadGitLab, "sub", "x/*", false},
		{policy.WorkloadGitLab, "project_path", "group/shop", true},
		{policy.WorkloadGitLab, "namespace_path", "group", true},
		{policy.WorkloadGitLab, "namespace_path", "group/*", true},
		{policy.WorkloadGitLab, "namespace_path", "group*", false},
		{policy.WorkloadKubernetes, "sub", "system:serviceaccount:shop:build", true},
		{policy.WorkloadKubernetes, "sub", "system:serviceaccount:shop:*", true},
		{policy.WorkloadKubernetes, "sub", "system:serviceaccount:shop*", false},
		{policy.WorkloadKubernetes, "sub", "x", false},
		{policy.WorkloadSPIFFE, "sub", "spiffe://example.org/gone", true},
		{policy.WorkloadSPIFFE, "sub", "spiffe://example.org/ns/*", true},
		{policy.WorkloadSPIFFE, "sub", "spiffe://example.org/ns*", false},
		{policy.WorkloadSPIFFE, "sub", "spiffe://example.org/*", false},
		{policy.WorkloadSPIFFE, "sub", "x", false},
		{policy.WorkloadOIDC, "project", "shop", true},
		{policy.WorkloadOIDC, "project", "*", false},
		{policy.WorkloadOIDC, "aud", "shop", false},
	} {
		t.Run(string(tc.kind)+" "+tc.name+" "+tc.value, func(t *testing.T) {
			got := tc.kind.Narrows(policy.Claim{Name: tc.name, Value: tc.value})
			if got != tc.want {
				t.Errorf("Narrows = %t, want %t", got, tc.want)
			}
		})
	}
}

func TestARuleWithoutClaimsMatchesNothing(t *testing.T) {
	if (policy.WorkloadRule{}).Matches(map[string]json.RawMessage{"sub": []byte(`"x"`)}) {
		t.Error("a rule without claims matches a token, want no match")
	}
}

func TestTheTermsOfARuleAreNotWiderThanThoseOfTheService(t *testing.T) {
	service := policy.TokenTerms{Format: policy.JWT, Lifetime: 10 * time.Minute, MaxUses: 5}

	for _, tc := range []struct {
		name string
		rule policy.WorkloadRule
		want policy.TokenTerms
	}{
		{"no terms", policy.WorkloadRule{MaxUses: policy.Unlimited}, service},
		{
			"less",
			policy.WorkloadRule{Lifetime: time.Minute, MaxUses: 2},
			policy.TokenTerms{Format: policy.JWT, Lifetime: time.Minute, MaxUses: 2},
		},
		{"more", policy.WorkloadRule{Lifetime: time.Hour, MaxUses: 9}, service},
		{
			"only some requests",
			policy.WorkloadRule{MaxUses: policy.Unlimited, Allows: []policy.Rule{{Method: "GET", Path: "/"}}},
			policy.TokenTerms{Format: policy.Opaque, Lifetime: 10 * time.Minute, MaxUses: 5},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := tc.rule.Terms(service)
			if got != tc.want {
				t.Errorf("Terms = %+v, want %+v", got, tc.want)
			}
		})
	}
}

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

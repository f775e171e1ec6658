package factor

import (
	"slices"
	"strings"
	"testing"
)

func TestLevel(t *testing.T) {
	for _, tc := range []struct {
		name    string
		methods string
		wanted  []string
		want    string
	}{
		{"nothing was shown", "", nil, ""},
		{"a password is one factor", "pwd", nil, ""},
		{"a code alone is one factor", "otp", nil, ""},
		{"a key alone is one factor", "hwk", nil, ""},
		{"another provider is one factor", "upstream:company", nil, ""},
		{"a link and a code are one", "link otp mfa", nil, ""},
		{"a link and a key are one", "link hwk user mfa", []string{TwoFactors}, ""},
		{"a password and a code are two", "pwd otp mfa", nil, TwoFactors},
		{"a key that verified its user resists phishing", "hwk user mfa", nil, PhishingResistant},
		{"a password and a synced key do, too", "pwd swk mfa", nil, PhishingResistant},
		{"the lower level is wanted and reached", "hwk user mfa", []string{TwoFactors}, TwoFactors},
		{"the first that is reached", "pwd otp mfa", []string{PhishingResistant, TwoFactors}, TwoFactors},
		{"a wanted level that is not reached", "pwd otp mfa", []string{PhishingResistant}, TwoFactors},
		{"an unknown level", "pwd otp mfa", []string{"urn:example:gold"}, TwoFactors},
		{"a level for one factor", "pwd", []string{TwoFactors}, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := Level(strings.Fields(tc.methods), tc.wanted)
			if got != tc.want {
				t.Errorf("Level(%q, %q) = %q, want %q", tc.methods, tc.wanted, got, tc.want)
			}
		})
	}
}

func TestEachLevelIncludesThoseBefore(t *testing.T) {
	for _, methods := range []string{"", "pwd", "pwd otp mfa", "hwk user mfa", "swk", "pwd hwk mfa"} {
		reached := func(level string) bool { return Reaches(strings.Fields(methods), level) }

		first := slices.IndexFunc(Levels(), func(l string) bool { return !reached(l) })
		if first >= 0 && slices.ContainsFunc(Levels()[first:], reached) {
			t.Errorf("methods %q reach a level after one that they do not reach", methods)
		}
	}
}

package policy_test

import (
	"errors"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/policy"
)

func TestRequireAnd(t *testing.T) {
	for _, tc := range []struct {
		name     string
		one, two policy.Require
		want     policy.Require
		text     string
	}{
		{"nothing", policy.Require{}, policy.Require{}, policy.Require{}, ""},
		{"one factor is nothing more", policy.Require{Factors: 1}, policy.Require{}, policy.Require{Factors: 1}, ""},
		{
			"each requires something",
			policy.Require{Factors: 2},
			policy.Require{MaxAge: 5 * time.Minute},
			policy.Require{Factors: 2, MaxAge: 5 * time.Minute},
			"two factors, proved at most 5m0s ago",
		},
		{
			"the shorter time",
			policy.Require{MaxAge: time.Hour},
			policy.Require{MaxAge: time.Minute},
			policy.Require{MaxAge: time.Minute},
			"proved at most 1m0s ago",
		},
		{
			"the more factors",
			policy.Require{Factors: 1},
			policy.Require{Factors: 2},
			policy.Require{Factors: 2},
			"two factors",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for _, got := range []policy.Require{tc.one.And(tc.two), tc.two.And(tc.one)} {
				if got != tc.want || got.String() != tc.text || got.IsZero() != (tc.text == "") {
					t.Errorf("And = %+v %q, zero %t, want %+v %q", got, got, got.IsZero(), tc.want, tc.text)
				}
			}
		})
	}
}

func TestUnmetIsTheOutcomeWithAText(t *testing.T) {
	err := error(&policy.Unmet{Text: "why"})
	if !errors.Is(err, jeton.ErrFactor) || jeton.Detail(err) != "why" {
		t.Errorf("Unmet = %v with the detail %q, want ErrFactor with its text", err, jeton.Detail(err))
	}
}

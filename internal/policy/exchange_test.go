package policy

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
)

func TestTermsOfAnExchangeAreNeverWiderThanThoseOfTheService(t *testing.T) {
	service := TokenTerms{
		Format:   JWT,
		Audience: "archive",
		Lifetime: 10 * time.Minute,
		MaxUses:  5,
	}
	open := service
	open.MaxUses = Unlimited

	for _, tc := range []struct {
		name     string
		rule     ExchangeRule
		service  TokenTerms
		lifetime time.Duration
		uses     int64
	}{
		{"nothing is said", ExchangeRule{MaxUses: Unlimited}, open, 10 * time.Minute, Unlimited},
		{"the service counts", ExchangeRule{MaxUses: Unlimited}, service, 10 * time.Minute, 5},
		{"the rule counts", ExchangeRule{MaxUses: 3}, open, 10 * time.Minute, 3},
		{"both count, the rule less", ExchangeRule{MaxUses: 3}, service, 10 * time.Minute, 3},
		{"both count, the service less", ExchangeRule{MaxUses: 9}, service, 10 * time.Minute, 5},
		{"a shorter lifetime", ExchangeRule{Lifetime: time.Minute, MaxUses: Unlimited}, open, time.Minute, Unlimited},
		{"a longer lifetime", ExchangeRule{Lifetime: time.Hour, MaxUses: Unlimited}, open, 10 * time.Minute, Unlimited},
		{"the zero value", ExchangeRule{}, open, 10 * time.Minute, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := tc.rule.Terms(tc.service)
			if got.Format != Opaque || got.Lifetime != tc.lifetime || got.MaxUses != tc.uses ||
				got.Audience != "archive" {
				t.Errorf("Terms = %+v, want opaque, %v and %d uses", got, tc.lifetime, tc.uses)
			}
		})
	}
}

func TestAClientNarrowsTheRuleOfAnExchange(t *testing.T) {
	rule := ExchangeRule{Lifetime: time.Minute, MaxUses: 3}
	shared := ExchangeRule{MaxUses: Unlimited, SharedUses: true}

	for _, tc := range []struct {
		name string
		rule ExchangeRule
		wish ExchangeWish
		want ExchangeRule
	}{
		{"nothing is asked for", rule, ExchangeWish{}, rule},
		{"a shorter time", rule, ExchangeWish{Lifetime: 1}, ExchangeRule{Lifetime: 1, MaxUses: 3}},
		{"a longer time", rule, ExchangeWish{Lifetime: time.Hour}, rule},
		{"fewer uses", rule, ExchangeWish{MaxUses: 2}, ExchangeRule{Lifetime: time.Minute, MaxUses: 2}},
		{"more uses", rule, ExchangeWish{MaxUses: 4}, rule},
		{"uses of an unlimited rule", shared, ExchangeWish{MaxUses: 4}, ExchangeRule{MaxUses: 4, SharedUses: true}},
		{"uses of a rule with none", ExchangeRule{}, ExchangeWish{MaxUses: 4}, ExchangeRule{}},
		{"shared uses", ExchangeRule{MaxUses: Unlimited}, ExchangeWish{SharedUses: true}, shared},
		{"no shared uses", shared, ExchangeWish{}, shared},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := tc.rule.Narrowed(tc.wish); !reflect.DeepEqual(got, tc.want) {
				t.Errorf("Narrowed = %+v, want %+v", got, tc.want)
			}
		})
	}
}

func TestAnExchangeGrantsScopesThatBothHave(t *testing.T) {
	has := []string{"admin", "read", "write"}
	for _, tc := range []struct {
		name  string
		rule  []string
		scope []string
	}{
		{"none by default", nil, []string{}},
		{"those of both", []string{"write", "read"}, []string{"read", "write"}},
		{"none that the token lacks", []string{"delete"}, []string{}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := ExchangeRule{Scopes: tc.rule}.Granted(has)
			if !slices.Equal(got, tc.scope) {
				t.Errorf("Granted = %v, want %v", got, tc.scope)
			}
		})
	}
}

// TestNarrowedLimitsPermitWhatBothPermit compares with each rule by itself, on requests of few values.
func TestNarrowedLimitsPermitWhatBothPermit(t *testing.T) {
	g := rand.New(rand.NewPCG(19, 3))
	methods := []string{"*", "GET", "POST"}
	paths := []string{"/*", "/a", "/a/*", "/a/b", "/a/b/*", "/ab", "/b/*"}
	rules := func() []Rule {
		var list []Rule
		for range g.IntN(4) {
			list = append(list, Rule{methods[g.IntN(len(methods))], paths[g.IntN(len(paths))]})
		}
		return list
	}

	for range 5000 {
		own, more := Limits{Allows: rules()}, rules()
		both, err := own.Narrowed(more)
		for _, method := range []string{"GET", "POST", "DELETE"} {
			for _, path := range []string{"/", "/a", "/a/b", "/a/b/c", "/ab", "/b/c"} {
				req := Request{Method: method, Path: path, Source: netip.MustParseAddr("10.0.0.1")}
				want := own.Check(req) == nil && Limits{Allows: more}.Check(req) == nil
				if got := err == nil && both.Check(req) == nil; got != want {
					t.Fatalf("%v and %v permit %s %s: %v, want %v", own.Allows, more, method, path, got, want)
				}
			}
		}
	}
}

func TestNarrowedLimitsHaveABound(t *testing.T) {
	methods := []Rule{{"GET", "/*"}, {"HEAD", "/*"}, {"POST", "/*"}, {"PUT", "/*"}, {"DELETE", "/*"}}
	files := func(n int) Limits {
		var l Limits
		for i := range n {
			l.Allows = append(l.Allows, Rule{"*", fmt.Sprintf("/files/%d", i)})
		}
		return l
	}

	if got, err := files(maxNarrowed / 5).Narrowed(methods); err != nil || len(got.Allows) != maxNarrowed {
		t.Errorf("as many rules as permitted: got %d, %v, want %d", len(got.Allows), err, maxNarrowed)
	}
	if got, err := files(maxNarrowed/5 + 1).Narrowed(methods); !errors.Is(err, jeton.ErrForbidden) {
		t.Errorf("more: got %d rules, %v, want ErrForbidden", len(got.Allows), err)
	}
}

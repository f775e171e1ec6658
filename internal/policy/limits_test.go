package policy_test

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/policy"
)

func rules(t *testing.T, texts ...string) []policy.Rule {
	t.Helper()
	var list []policy.Rule
	for _, text := range texts {
		r, err := policy.ParseRule(text)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, r)
	}

	return list
}

func networks(texts ...string) []netip.Prefix {
	var list []netip.Prefix
	for _, text := range texts {
		list = append(list, netip.MustParsePrefix(text))
	}
	return list
}

func TestARuleInLowerCaseIsAnsweredWithTheMethodInCapitals(t *testing.T) {
	_, err := policy.ParseRule("get /x")

	const want = `invalid rule "get /x": methods are in capitals, as in "GET /reports"`
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("ParseRule(get /x) = %v, want %s", err, want)
	}
}

func TestParseRule(t *testing.T) {
	for _, tc := range []struct {
		name, text string
		ok         bool
	}{
		{"a method and a path", "GET /reports", true},
		{"every method", "* /reports", true},
		{"a prefix", "GET /reports/*", true},
		{"everything", "* /*", true},
		{"no method", "/reports", false},
		{"no path", "GET ", false},
		{"an unknown method", "FETCH /x", false},
		{"a method in lower case", "get /x", false},
		{"a star in the middle", "GET /a/*/b", false},
		{"a star after a letter", "GET /rep*", false},
		{"two stars", "GET /**", false},
		{"a relative path", "GET x", false},
		{"a query", "GET /x?y=1", false},
		{"two spaces", "GET  /x", false},
		{"nothing", "", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r, err := policy.ParseRule(tc.text)
			if (err == nil) != tc.ok {
				t.Fatalf("ParseRule(%q) = %v, want success = %t", tc.text, err, tc.ok)
			}
			if err != nil && !errors.Is(err, jeton.ErrInvalid) {
				t.Errorf("ParseRule = %v, want ErrInvalid", err)
			}

			if err == nil && r.String() != tc.text {
				t.Errorf("String of rule %q = %q, want the same", tc.text, r)
			}
		})
	}
}

func TestLimits(t *testing.T) {
	reports := policy.Limits{Allows: rules(t, "GET /reports/*", "POST /exports")}
	office := policy.Limits{Networks: networks("10.0.0.0/8", "2001:db8::/32")}
	everywhere := policy.Limits{Networks: networks("0.0.0.0/0", "::/0")}

	for _, tc := range []struct {
		name         string
		limits       policy.Limits
		method, path string
		source       string
		ok           bool
	}{
		{"without limits", policy.Limits{}, "DELETE", "/x", "192.0.2.1", true},
		{"without limits, over a Unix socket", policy.Limits{}, "GET", "/x", "", true},
		{"inside", reports, "GET", "/reports/today", "192.0.2.1", true},
		{"the folder itself", reports, "GET", "/reports/", "192.0.2.1", true},
		{"the folder without its slash", reports, "GET", "/reports", "192.0.2.1", false},
		{"a neighbour", reports, "GET", "/reports-old/x", "192.0.2.1", false},
		{"another method", reports, "POST", "/reports/today", "192.0.2.1", false},
		{"HEAD is not GET", reports, "HEAD", "/reports/today", "192.0.2.1", false},
		{"the second rule", reports, "POST", "/exports", "192.0.2.1", true},
		{"more than an exact path", reports, "POST", "/exports/1", "192.0.2.1", false},
		{"from the office", office, "GET", "/x", "10.9.8.7", true},
		{"from the office, IPv4-mapped", office, "GET", "/x", "::ffff:10.9.8.7", true},
		{"from the office by IPv6", office, "GET", "/x", "2001:db8:1::1", true},
		{"from elsewhere", office, "GET", "/x", "192.0.2.1", false},
		{"over a Unix socket", office, "GET", "/x", "", false},
		{"from an unknown address", office, "GET", "/x", policy.UnknownSource.String(), false},
		{"from an unknown address, where every one is allowed", everywhere, "GET", "/x", "::%unknown", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var source netip.Addr
			if tc.source != "" {
				source = netip.MustParseAddr(tc.source)
			}

			err := tc.limits.Check(policy.Request{Method: tc.method, Path: tc.path, Source: source})
			if (err == nil) != tc.ok || err != nil && !errors.Is(err, jeton.ErrForbidden) {
				t.Errorf("Check = %v, want success = %t", err, tc.ok)
			}
		})
	}
}

func TestWithin(t *testing.T) {
	for _, tc := range []struct {
		name         string
		inner, outer policy.Limits
		want         bool
	}{
		{"no limits in no limits", policy.Limits{}, policy.Limits{}, true},
		{
			"limits in no limits",
			policy.Limits{Allows: rules(t, "GET /x"), Networks: networks("10.0.0.0/8")},
			policy.Limits{},
			true,
		},
		{"no rules in rules", policy.Limits{}, policy.Limits{Allows: rules(t, "GET /x")}, false},
		{"no networks in networks", policy.Limits{}, policy.Limits{Networks: networks("10.0.0.0/8")}, false},
		{"the same", policy.Limits{Allows: rules(t, "GET /x")}, policy.Limits{Allows: rules(t, "GET /x")}, true},
		{"one method in all", policy.Limits{Allows: rules(t, "GET /x")}, policy.Limits{Allows: rules(t, "* /x")}, true},
		{
			"all methods in one",
			policy.Limits{Allows: rules(t, "* /x")},
			policy.Limits{Allows: rules(t, "GET /x")},
			false,
		},
		{
			"a path in a folder",
			policy.Limits{Allows: rules(t, "GET /a/b")},
			policy.Limits{Allows: rules(t, "GET /a/*")},
			true,
		},
		{
			"a folder in a folder",
			policy.Limits{Allows: rules(t, "GET /a/b/*")},
			policy.Limits{Allows: rules(t, "GET /a/*")},
			true,
		},
		{
			"a folder in its own subfolder",
			policy.Limits{Allows: rules(t, "GET /a/*")},
			policy.Limits{Allows: rules(t, "GET /a/b/*")},
			false,
		},
		{
			"one rule inside, one outside",
			policy.Limits{Allows: rules(t, "GET /a/b", "GET /c")},
			policy.Limits{Allows: rules(t, "GET /a/*")},
			false,
		},
		{
			"each rule in one of several",
			policy.Limits{Allows: rules(t, "GET /a/b", "POST /c")},
			policy.Limits{Allows: rules(t, "GET /a/*", "* /c")},
			true,
		},
		{
			"a smaller network",
			policy.Limits{Networks: networks("10.1.0.0/16")},
			policy.Limits{Networks: networks("10.0.0.0/8")},
			true,
		},
		{
			"a larger network",
			policy.Limits{Networks: networks("10.0.0.0/7")},
			policy.Limits{Networks: networks("10.0.0.0/8")},
			false,
		},
		{
			"another network",
			policy.Limits{Networks: networks("192.0.2.0/24")},
			policy.Limits{Networks: networks("10.0.0.0/8")},
			false,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := tc.inner.Within(tc.outer)
			if got != tc.want {
				t.Errorf("%v within %v = %t, want %t", tc.inner, tc.outer, got, tc.want)
			}
		})
	}
}

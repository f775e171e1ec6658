package limit

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/text/secure/precis"
)

func TestSpellings(t *testing.T) {
	spellings := []string{
		"zoë", "Zoë", "ZOË", "zOË", "zoe\u0308", "ZOE\u0308", "Zoe\u0308", " zoë", "zoë ", "\tZoë\n",
		"\u00a0zoë", "\u3000zoë\u3000", "ｚｏë", "ＺＯË", "Ｚｏë", "ｚｏｅ\u0308", "𝐳𝐨ë", "𝗭𝗢Ë", "ⓩⓞë", "ℤoë",
	}

	l := open(t, Config{Pair: ample, Account: Rate{5, time.Minute}, Source: ample})
	passed := 0
	for i := range 1000 {
		passed += allowed(t, l, 1, noon, spellings[i%len(spellings)], home, false)
	}

	if passed != 5 {
		t.Errorf("%d attempts allowed with %d spellings, want 5", passed, len(spellings))
	}

	for _, other := range []string{"zoe", "zo", "zoëe", "z oë", ""} {
		if fold(other) == fold("zoë") {
			t.Errorf("%q shares the budget of zoë, want its own", other)
		}
	}

	for _, same := range [][2]string{{"straße", "STRASSE"}, {"ΟΔΟΣ", "οδος"}, {"ﬁlip", "FILIP"}, {"K8s", "k8s"}} {
		if fold(same[0]) != fold(same[1]) {
			t.Errorf("%q and %q have two budgets, want one", same[0], same[1])
		}
	}
}

// TestFoldIsCoarserThanUserNames checks for each letter that spellings which are one user name
// (RFC 8265) have one budget.
func TestFoldIsCoarserThanUserNames(t *testing.T) {
	for r := rune('!'); r < 0x20000; r++ {
		s := "a" + string(r)
		f := fold(s)
		again := fold(f)
		if again != f {
			t.Errorf("fold(%+q) = %+q, which folds to %+q, want itself", s, f, again)
		}

		if name, err := precis.UsernameCaseMapped.String(s); err == nil && fold(name) != f {
			t.Errorf("%+q and %+q are one user name and have two budgets, want one", s, name)
		}
	}
}

func TestSources(t *testing.T) {
	for _, tc := range []struct {
		name string
		a, b string // "" is the invalid address
		same bool
	}{
		{"two IPv4 addresses", "192.0.2.1", "192.0.2.2", false},
		{"an IPv4 address in IPv6 form", "192.0.2.1", "::ffff:192.0.2.1", true},
		{"two IPv4 addresses in IPv6 form", "::ffff:192.0.2.1", "::ffff:192.0.2.2", false},
		{"two addresses in one /64", "2001:db8::1", "2001:db8::ffff:1:2:3", true},
		{"two /64 in one /48", "2001:db8:0:1::1", "2001:db8:0:2::1", false},
		{"one address in two zones", "fe80::1%eth0", "fe80::1%eth1", true},
		{"no address, twice", "", "", true},
		{"no address and the zero address", "", "0.0.0.0", false},
		{"an unknown address, twice", "::%unknown", "::%unknown", true},
		{"an unknown address and none", "::%unknown", "", false},
		{"an unknown address and the zero address", "::%unknown", "::", false},
		{"the zero addresses of both kinds", "0.0.0.0", "::", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var a, b netip.Addr
			if tc.a != "" {
				a = netip.MustParseAddr(tc.a)
			}
			if tc.b != "" {
				b = netip.MustParseAddr(tc.b)
			}

			if same := Network(a) == Network(b); same != tc.same {
				t.Errorf("one source = %t, want %t", same, tc.same)
			}
		})
	}
}

func TestKeys(t *testing.T) {
	seen := map[key][]string{}
	for _, parts := range [][]string{
		{"a", "bc"},
		{"ab", "c"},
		{"abc"},
		{"abc", ""},
		{"", "abc"},
		{"a", "b", "c"},
		{"\x01abc"},
		{"a\x02bc"},
		{"a\x00", "b"},
		{"a", "\x00b"},
		{},
	} {
		k := keyOf(parts...)
		if other, ok := seen[k]; ok {
			t.Errorf("%q and %q have the same key", parts, other)
		}
		seen[k] = parts
	}
}

func TestLongNames(t *testing.T) {
	l := open(t, cfg)
	long := strings.Repeat("A", 1<<20)
	if got := allowed(t, l, 10, noon, long, home, false); got != 3 {
		t.Errorf("%d attempts allowed for a long name, want 3", got)
	}

	if got := allowed(t, l, 10, noon, long[1:], home, false); got != 3 {
		t.Errorf("%d attempts allowed for another, want 3", got)
	}
}

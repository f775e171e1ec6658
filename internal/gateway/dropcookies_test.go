package gateway

import (
	"slices"
	"strings"
	"testing"
)

func FuzzCookieHeaders(f *testing.F) {
	for _, seed := range []string{
		"jeton=x",
		"a=1; jeton=x; b=2",
		"jeton",
		"=jeton=x",
		" jeton = x ;;",
		`a="jeton=x"`,
		"JETON=x",
	} {
		f.Add(seed)
	}

	f.Fuzz(func(t *testing.T, line string) {
		h := map[string][]string{"Cookie": {line}}
		before := slices.Clone(h["Cookie"])
		dropCookies(h, []string{"jeton"})

		if !slices.Equal(before, []string{line}) {
			t.Fatalf("lines = %q, want %q unchanged", before, line)
		}

		for _, kept := range h["Cookie"] {
			if hasCookie(kept, "jeton") {
				t.Errorf("%q became %q, want it without the cookie", line, kept)
			}
		}
	})
}

// hasCookie reads a Cookie header as liberally as any backend does.
func hasCookie(line, name string) bool {
	for pair := range strings.SplitSeq(line, ";") {
		key, _, ok := strings.Cut(pair, "=")
		if ok && strings.TrimSpace(key) == name {
			return true
		}
	}

	return false
}

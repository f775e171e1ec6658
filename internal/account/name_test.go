package account

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/jeton-auth/jeton"
)

func TestName(t *testing.T) {
	for _, tc := range []struct {
		name, in         string
		prepared, folded string // both "" when it is refused
	}{
		{"plain", "diane", "diane", "diane"},
		{"upper case is kept, and does not tell names apart", "Diane", "Diane", "diane"},
		{"an address", "diane.o'hara+x@example.com", "diane.o'hara+x@example.com", "diane.o'hara+x@example.com"},
		{"one letter", "d", "d", "d"},
		{"as long as can be", strings.Repeat("d", 128), strings.Repeat("d", 128), strings.Repeat("d", 128)},
		{"composed and decomposed are one", "E\u0301milie", "\u00c9milie", "\u00e9milie"},
		{"full width letters are letters", "\uff44\uff49", "di", "di"},
		{"another script", "Διάνα", "Διάνα", "διάνα"},
		{"sharp s is not ss", "groß", "groß", "groß"},
		{"right to left", "דיאנה", "דיאנה", "דיאנה"},
		{"like a header, which is the doors' matter", "a'b\"c\\d;e=f,g", "a'b\"c\\d;e=f,g", "a'b\"c\\d;e=f,g"},
		{"a path", "../../etc/passwd", "../../etc/passwd", "../../etc/passwd"},
		{"markup", "<script>alert(1)</script>", "<script>alert(1)</script>", "<script>alert(1)</script>"},
		{"jtn alone is no prefix of ours", "jtn", "jtn", "jtn"},

		{"nothing", "", "", ""},
		{"too long", strings.Repeat("d", 129), "", ""},
		{"too long in bytes", strings.Repeat("é", 65), "", ""},
		{"a blank", "diane smith", "", ""},
		{"blanks around", " diane ", "", ""},
		{"a blank alone", " ", "", ""},
		{"a no-break space", "diane\u00a0smith", "", ""},
		{"a colon, which Basic cannot carry", "diane:smith", "", ""},
		{"a full width colon, which becomes one", "diane\uff1asmith", "", ""},
		{"a line break", "diane\nAdmin", "", ""},
		{"a carriage return", "diane\r", "", ""},
		{"a zero byte", "diane\x00", "", ""},
		{"delete", "diane\x7f", "", ""},
		{"not UTF-8", "diane\xff", "", ""},
		{"cut UTF-8", "diane\xc3", "", ""},
		{"an overlong slash", "\xc0\xaf", "", ""},
		{"a surrogate", "\xed\xa0\x80", "", ""},
		{"zero width space", "di\u200bane", "", ""},
		{"right-to-left override", "diane\u202e", "", ""},
		{"byte order mark", "\ufeffdiane", "", ""},
		{"a smile", "diane\U0001f600", "", ""},
		{"left to right and right to left mixed", "dianeדיאנה", "", ""},
		{"a private character", "\ue000", "", ""},
		{"an unassigned character", "\U000e0fff", "", ""},
		{"like our secrets", "jtn_s_abc", "", ""},
		{"like our secrets in upper case", "JTN_S_abc", "", ""},
		{"like our secrets in full width", "\uff4a\uff54\uff4e\uff3fx", "", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			prepared, folded, err := Name(tc.in)
			if prepared != tc.prepared || folded != tc.folded {
				t.Errorf("Name(%q) = %q, %q, %v, want %q, %q", tc.in, prepared, folded, err, tc.prepared, tc.folded)
			}
			if (err != nil) != (tc.prepared == "") {
				t.Errorf("Name(%q): %v", tc.in, err)
			}

			if err != nil && (!errors.Is(err, jeton.ErrInvalid) || jeton.Detail(err) == "") {
				t.Errorf("Name(%q): %v, want ErrInvalid and what a name is", tc.in, err)
			}
		})
	}
}

func TestGroups(t *testing.T) {
	for _, tc := range []struct {
		name string
		in   []string
		want []string // nil when it is refused
	}{
		{"none", nil, []string{}},
		{"sorted, each once", []string{"c", "a", "b", "a"}, []string{"a", "b", "c"}},
		{"case tells groups apart", []string{"b", "B"}, []string{"B", "b"}},
		{"another script", []string{"größe"}, []string{"größe"}},
		{"as long as can be", []string{strings.Repeat("g", 128)}, []string{strings.Repeat("g", 128)}},
		{"too long", []string{strings.Repeat("g", 129)}, nil},
		{"empty", []string{"a", ""}, nil},
		{"a blank", []string{"a b"}, nil},
		{"a comma, which would be two in a header", []string{"a,admin"}, nil},
		{"a line break", []string{"a\nb"}, nil},
		{"a zero byte", []string{"a\x00"}, nil},
		{"delete", []string{"a\x7f"}, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			before := slices.Clone(tc.in)
			got, err := Groups(tc.in)
			if !slices.Equal(got, tc.want) || (got == nil) != (tc.want == nil) {
				t.Errorf("Groups(%q) = %q, %v, want %q", tc.in, got, err, tc.want)
			}

			if (err != nil) != (tc.want == nil) || err != nil && !errors.Is(err, jeton.ErrInvalid) {
				t.Errorf("Groups(%q): %v", tc.in, err)
			}
			if !slices.Equal(tc.in, before) {
				t.Error("the list that was given was changed")
			}
		})
	}
}

// FuzzName holds what the rest of the server builds on, whatever is typed.
func FuzzName(f *testing.F) {
	for _, s := range []string{
		"diane",
		"Diane",
		"É",
		"E\u0301",
		"a:b",
		"jtn_x",
		"\uff4atn_",
		"x\x00",
		"\xff",
		"groß",
		"ΟΔΟΣ",
		"ſ",
		"K",
		"İ",
		"ﬁ",
		"діана",
		"דיאנה",
		"a\u200db",
		"ᾳ",
	} {
		f.Add(s)
	}

	f.Fuzz(func(t *testing.T, in string) {
		prepared, folded, err := Name(in)
		if err != nil {
			if prepared != "" || folded != "" || !errors.Is(err, jeton.ErrInvalid) {
				t.Fatalf("Name(%q) = %q, %q, %v", in, prepared, folded, err)
			}
			return
		}

		for _, s := range []string{prepared, folded} {
			if s == "" || !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool {
				return r <= ' ' || r == ':' || r == 0x7f || r >= 0x80 && r < 0xa0
			}) {
				t.Errorf("Name(%q) lets through %q", in, s)
			}
		}

		if strings.HasPrefix(strings.ToLower(prepared), reserved) || strings.HasPrefix(folded, reserved) {
			t.Errorf("Name(%q) = %q, %q, which begins like a secret", in, prepared, folded)
		}

		// What is stored is found again by itself.
		again, foldedAgain, err := Name(prepared)
		if len(prepared) <= maxName && (err != nil || again != prepared || foldedAgain != folded) {
			t.Errorf("Name(%q) = %q, %q; of that it makes %q, %q, %v", in, prepared, folded, again, foldedAgain, err)
		}
		if b, err := json.Marshal(prepared); err != nil || strings.Contains(string(b), `\ufffd`) {
			t.Errorf("%q cannot be written as JSON: %s, %v", prepared, b, err)
		}
	})
}

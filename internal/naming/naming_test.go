package naming

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/jeton-auth/jeton/internal/secret"
)

func TestUser(t *testing.T) {
	for _, tc := range []struct {
		name, in         string
		prepared, folded string // both "" for an invalid name
	}{
		{"plain", "diane", "diane", "diane"},
		{"upper case is kept, and folded", "Diane", "Diane", "diane"},
		{"an address", "diane.o'hara+x@example.com", "diane.o'hara+x@example.com", "diane.o'hara+x@example.com"},
		{"one letter", "d", "d", "d"},
		{"of the maximum length", strings.Repeat("d", 128), strings.Repeat("d", 128), strings.Repeat("d", 128)},
		{"composed and decomposed are the same", "E\u0301milie", "\u00c9milie", "\u00e9milie"},
		{"full width letters are letters", "\uff44\uff49", "di", "di"},
		{"another script", "Διάνα", "Διάνα", "διάνα"},
		{"sharp s is not ss", "groß", "groß", "groß"},
		{"right to left", "דיאנה", "דיאנה", "דיאנה"},
		{"like a header, which those who send one must quote", "a'b\"c\\d;e=f,g", "a'b\"c\\d;e=f,g", "a'b\"c\\d;e=f,g"},
		{"a path", "../../etc/passwd", "../../etc/passwd", "../../etc/passwd"},
		{"markup", "<script>alert(1)</script>", "<script>alert(1)</script>", "<script>alert(1)</script>"},
		{"jtn without the underscore", "jtn", "jtn", "jtn"},

		{"empty", "", "", ""},
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
		{"a secret's prefix", "jtn_s_abc", "", ""},
		{"a secret's prefix in upper case", "JTN_S_abc", "", ""},
		{"a secret's prefix in full width", "\uff4a\uff54\uff4e\uff3fx", "", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			prepared, folded, err := User(tc.in)
			if prepared != tc.prepared || folded != tc.folded {
				t.Errorf("User(%q) = %q, %q, %v, want %q, %q", tc.in, prepared, folded, err, tc.prepared, tc.folded)
			}

			checkError(t, err, tc.prepared != "", tc.in)
		})
	}
}

// checkError checks that a rule accepts what it should, and otherwise says what it wants
// and does not repeat the name.
func checkError(t *testing.T, err error, accepted bool, name string) {
	t.Helper()

	if (err == nil) != accepted {
		t.Errorf("the rule for %q = %v, want it to be accepted: %t", name, err, accepted)
	}
	if err != nil && !strings.HasPrefix(err.Error(), "want ") {
		t.Errorf("error for %q = %q, want one that begins with \"want \"", name, err)
	}

	if err != nil && len(name) > 6 && strings.Contains(err.Error(), name) {
		t.Errorf("error for %q = %q, want one without the name", name, err)
	}
}

func TestClient(t *testing.T) {
	for _, tc := range []struct {
		name, in string
		ok       bool
	}{
		{"plain", "reports-job", true},
		{"upper case, digits, dots and underscores", "Job_2.eu-West", true},
		{"128 bytes", strings.Repeat("n", 128), true},
		{"129 bytes", strings.Repeat("n", 129), false},
		{"empty", "", false},
		{"a space", "a b", false},
		{"a colon, which Basic authentication cannot carry", "a:b", false},
		{"a slash, which splits a URL", "a/b", false},
		{"a dot segment", "..", false},
		{"a dash first, which a command takes for a flag", "-a", false},
		{"a letter that looks like another", "jоb", false},
		{"a full-width letter", "ａ", false},
		{"a newline", "a\n", false},
		{"a secret's prefix", "jtn_c_x", false},
		{"a secret's prefix in upper case", "JTN_c_x", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			folded, err := Client(tc.in)
			checkError(t, err, tc.ok, tc.in)

			want := ""
			if tc.ok {
				want = strings.ToLower(tc.in)
			}

			if folded != want {
				t.Errorf("Client(%q) = %q, want %q", tc.in, folded, want)
			}
		})
	}
}

func TestOtherNames(t *testing.T) {
	for _, tc := range []struct {
		name string
		rule func(string) error
		in   string
		ok   bool
	}{
		{"a group in another script", Group, "größe", true},
		{"a group of 128 bytes", Group, strings.Repeat("g", 128), true},
		{"a group of 129 bytes", Group, strings.Repeat("g", 129), false},
		{"an empty group", Group, "", false},
		{"a group with a comma, which would be two in a header", Group, "a,admin", false},
		{"a group with a line break", Group, "a\nb", false},
		{"a service", Service, "shop-2", true},
		{"a service of 63 bytes", Service, strings.Repeat("s", 63), true},
		{"a service of 64 bytes", Service, strings.Repeat("s", 64), false},
		{"a service in upper case", Service, "Shop", false},
		{"a service that begins with a dash", Service, "-shop", false},
		{"a service with a dot", Service, "shop.eu", false},
		{"an empty service", Service, "", false},
		{"a scope", Scope, "orders:read", true},
		{"a scope with a space", Scope, "a b", false},
		{"a scope with a quote", Scope, `a"b`, false},
		{"a scope with a backslash", Scope, `a\b`, false},
		{"an empty scope", Scope, "", false},
		{"a kid", KeyID, "2026-11:a@host=1+~", true},
		{"a kid of 129 bytes", KeyID, strings.Repeat("k", 129), false},
		{"a kid with a slash", KeyID, "a/../b", false},
		{"a kid that is a dot segment", KeyID, "..", false},
		{"a kid with a secret's prefix", KeyID, "jtn_s_abc", false},
		{"an empty kid", KeyID, "", false},
		{"an address", Email, "diane@example.org", true},
		{"an address of 255 bytes", Email, strings.Repeat("a", 243) + "@example.org", false},
		{"an address without an @", Email, "diane.example.org", false},
		{"an address with two", Email, "a@b@example.org", false},
		{"an address without a domain", Email, "diane@", false},
		{"an address with a name", Email, "Diane <diane@example.org>", false},
		{"a real name", RealName, "Diana Prince", true},
		{"a real name of 257 bytes", RealName, strings.Repeat("a", 257), false},
		{"a real name with a line break", RealName, "a\nb", false},
	} {
		t.Run(tc.name, func(t *testing.T) { checkError(t, tc.rule(tc.in), tc.ok, tc.in) })
	}
}

func TestReservedIsThePrefixOfSecrets(t *testing.T) {
	for _, kind := range []secret.Kind{secret.Access, secret.Client, secret.Personal} {
		made, err := secret.New(kind, strings.NewReader(strings.Repeat("x", 32)))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(made.Reveal(), reserved) {
			t.Errorf("secret of kind %c = %q, want the prefix %s", kind, made.Reveal(), reserved)
		}
	}
}

// FuzzUser checks for every input what the rest of the server relies on.
func FuzzUser(f *testing.F) {
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
		prepared, folded, err := User(in)
		if err != nil {
			if prepared != "" || folded != "" {
				t.Fatalf("User(%q) = %q, %q, %v, want no name with an error", in, prepared, folded, err)
			}
			return
		}

		for _, s := range []string{prepared, folded} {
			if s == "" || !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool {
				return r <= ' ' || r == ':' || r == 0x7f || r >= 0x80 && r < 0xa0
			}) {
				t.Errorf("User(%q) = %q, which has a character that no name may have", in, s)
			}
		}

		if strings.HasPrefix(strings.ToLower(prepared), reserved) || strings.HasPrefix(folded, reserved) {
			t.Errorf("User(%q) = %q, %q, which begins with the prefix of secrets", in, prepared, folded)
		}

		// A stored name is found by itself.
		again, foldedAgain, err := User(prepared)
		if len(prepared) <= maxLen && (err != nil || again != prepared || foldedAgain != folded) {
			t.Errorf(
				"User(%q) = %q, %q; User of that = %q, %q, %v, want the same",
				in, prepared, folded, again, foldedAgain, err,
			)
		}
		if b, err := json.Marshal(prepared); err != nil || strings.Contains(string(b), `\ufffd`) {
			t.Errorf("%q cannot be written as JSON: %s, %v", prepared, b, err)
		}
	})
}

func TestPrintable(t *testing.T) {
	for _, tc := range []struct {
		name, text string
		want       bool
	}{
		{"words", "weekly report, part 2", true},
		{"letters of other scripts", "Übersicht отчёт 報告", true},
		{"nothing", "", true},
		{"a line break", "weekly\nreport", false},
		{"an escape sequence", "\x1b[31mreport", false},
		{"a turned direction", "report \u202egpj.exe", false},
		{"a character that cannot be seen", "report\u200b", false},
		{"a line separator", "weekly\u2028report", false},
		{"a space that is no space", "weekly\u00a0report", false},
		{"bytes that are no text", "report\xff", false},
	} {
		if got := Printable(tc.text); got != tc.want {
			t.Errorf("Printable of %s = %t, want %t", tc.name, got, tc.want)
		}
	}
}

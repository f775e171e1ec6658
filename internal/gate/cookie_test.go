package gate

import (
	"net/http"
	"strings"
	"testing"
)

func TestCookie(t *testing.T) {
	for _, tc := range []struct {
		name  string
		lines []string
		value string
		n     int
	}{
		{"none", nil, "", 0},
		{"one", []string{"jeton=x"}, "x", 1},
		{"among others", []string{"a=1; jeton=x; b=2"}, "x", 1},
		{"without spaces", []string{"a=1;jeton=x;b=2"}, "x", 1},
		{"in quotes", []string{`jeton="x"`}, "x", 1},
		{"half a quote", []string{`jeton="`}, `"`, 1},
		{"with an equals sign in it", []string{"jeton=x=y"}, "x=y", 1},
		{"empty", []string{"jeton="}, "", 1},
		{"a name alone", []string{"jeton"}, "", 0},
		{"another case", []string{"Jeton=x"}, "", 0},
		{"twice", []string{"jeton=x; jeton=y"}, "x", 2},
		{"on two lines", []string{"jeton=x", "jeton=y"}, "x", 2},
		{"a space before the equals sign", []string{"jeton =x"}, "", 0},
		{"within a value", []string{"a=jeton=x"}, "", 0},
		{"separators only", []string{";;; ;"}, "", 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h := http.Header{"Cookie": tc.lines}
			if value, n := cookie(h, "jeton"); value != tc.value || n != tc.n {
				t.Errorf("cookie = %q, %d, want %q, %d", value, n, tc.value, tc.n)
			}

			got := CookieValue(h, "jeton")
			if (tc.n != 1 && got != "") || tc.n == 1 && got != tc.value {
				t.Errorf("CookieValue = %q", got)
			}
		})
	}
}

// FuzzCookie compares with the parser of net/http where both take a cookie.
func FuzzCookie(f *testing.F) {
	for _, seed := range []string{
		"jeton=x",
		`a=1; jeton="x y"; b`,
		"jeton=x; jeton=y",
		"jeton",
		"=;=",
		" jeton=x ",
		"jeton=\x00",
		"jeton==",
		"\tjeton=x",
	} {
		f.Add(seed)
	}

	f.Fuzz(func(t *testing.T, line string) {
		h := http.Header{"Cookie": {line}}
		value, n := cookie(h, "jeton")
		var theirs []string
		for _, c := range (&http.Request{Header: h}).Cookies() {
			if c.Name == "jeton" && c.Value != "" { // a name alone has an empty value there
				theirs = append(theirs, c.Value)
			}
		}

		if len(theirs) == 1 && n == 1 && value != "" && theirs[0] != value {
			t.Errorf("%q: %q, net/http reads %q", line, value, theirs[0])
		}
		if n == 0 && len(theirs) > 0 && !strings.Contains(
			line,
			"jeton ",
		) && !strings.Contains(line, "jeton\t") && !strings.ContainsAny(line, "\r\n\v\f\u0085\u00a0") {
			t.Errorf("%q: none, net/http reads %q", line, theirs)
		}
		if n == 0 && value != "" || n > strings.Count(line, "jeton=") {
			t.Errorf("%q: %d of %q", line, n, value)
		}
	})
}

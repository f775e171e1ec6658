package web_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/jeton-auth/jeton/internal/web"
)

func TestFindCookie(t *testing.T) {
	for _, tc := range []struct {
		name  string
		lines []string
		value string
		count int
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
			if value, count := web.FindCookie(h, "jeton"); value != tc.value || count != tc.count {
				t.Errorf("FindCookie = %q, %d, want %q, %d", value, count, tc.value, tc.count)
			}
		})
	}
}

// FuzzCookie compares with the parser of net/http where both take a cookie.
func FuzzFindCookie(f *testing.F) {
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
		value, count := web.FindCookie(h, "jeton")
		var theirs []string
		for _, c := range (&http.Request{Header: h}).Cookies() {
			if c.Name == "jeton" && c.Value != "" { // a name alone has an empty value there
				theirs = append(theirs, c.Value)
			}
		}

		if len(theirs) == 1 && count == 1 && value != "" && theirs[0] != value {
			t.Errorf("FindCookie(%q) = %q, want %q as of net/http", line, value, theirs[0])
		}

		if count == 0 && len(theirs) > 0 && !strings.Contains(
			line,
			"jeton ",
		) && !strings.Contains(line, "jeton\t") && !strings.ContainsAny(line, "\r\n\v\f\u0085\u00a0") {
			t.Errorf("FindCookie(%q) finds none, want %q as of net/http", line, theirs)
		}

		if count == 0 && value != "" || count > strings.Count(line, "jeton=") {
			t.Errorf("FindCookie(%q) = %q and %d cookies, want at most as many as are named", line, value, count)
		}
	})
}

func TestCookieAttributes(t *testing.T) {
	for _, tc := range []struct {
		name   string
		cookie web.Cookie
		set    func(web.Cookie, http.ResponseWriter)
		want   string
	}{
		{
			"for an hour",
			web.Cookie{Name: "__Host-jeton-app"},
			func(c web.Cookie, w http.ResponseWriter) { c.Set(w, "secret", time.Hour) },
			"__Host-jeton-app=secret; Path=/; Max-Age=3600; HttpOnly; Secure; SameSite=Lax",
		},
		{
			"until the browser is closed, without TLS",
			web.Cookie{Name: "app", PlainHTTP: true},
			func(c web.Cookie, w http.ResponseWriter) { c.Set(w, "secret", 0) },
			"app=secret; Path=/; HttpOnly; SameSite=Lax",
		},
		{
			"cleared",
			web.Cookie{Name: "__Host-jeton-app"},
			func(c web.Cookie, w http.ResponseWriter) { c.Clear(w) },
			"__Host-jeton-app=; Path=/; Max-Age=0; HttpOnly; Secure; SameSite=Lax",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			rec := httptest.NewRecorder()
			tc.set(tc.cookie, rec)

			got := rec.Header().Get("Set-Cookie")
			if got != tc.want {
				t.Errorf("Set-Cookie is %q, want %q", got, tc.want)
			}
		})
	}
}

// TestCookieEndLeavesCookiesThatNoPageWasAskedForWith is why Chromium shows no page again after a logout.
func TestCookieEndLeavesCookiesThatNoPageWasAskedForWith(t *testing.T) {
	var traces []string
	for range 2 {
		rec := httptest.NewRecorder()
		web.Cookie{Name: "app"}.End(rec)

		got := rec.Result().Cookies()
		if len(got) != 2 || got[0].Name != "app" || got[0].MaxAge >= 0 || got[1].MaxAge != 900 {
			t.Fatalf("End sets %v, want app deleted and another cookie for 15 minutes", got)
		}
		traces = append(traces, got[1].Value)
	}

	if traces[0] == traces[1] {
		t.Errorf("two logouts leave the same cookie %q, want different ones", traces[0])
	}
}

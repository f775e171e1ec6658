package web_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/jeton-auth/jeton/internal/web"
)

// leaves are texts that left the origin in Chromium or Firefox when they stood in a Location as they are.
var leaves = []string{
	"//evil.example",
	`/\evil.example`,
	`\\evil.example`,
	`\/evil.example`,
	"///evil.example",
	"////evil.example",
	"\t//evil.example",
	" //evil.example",
	"/\t/evil.example",
	"//evil%2eexample",
	"//EVIL.example",
	"//evil.example:80%2f@app.example/",
	`http:\\evil.example`,
	"http:///evil.example",
	`http://evil.example\@app.example/`,
	"http://evil.example/",
	"https:evil.example",
	"javascript:alert(1)",
	"data:text/html,x",
}

func TestReturnPathRefusesWhatLeavesTheOrigin(t *testing.T) {
	for _, text := range leaves {
		if got := web.ReturnPath(text); got != "/" {
			t.Errorf("ReturnPath(%q) = %q, want /", text, got)
		}
	}
}

func TestReturnPath(t *testing.T) {
	for _, tc := range []struct{ name, text, want string }{
		{"a path with a query", "/reports/7?a=b&c=%20d;e", "/reports/7?a=b&c=%20d;e"},
		{"the start page", "/", "/"},
		{"a question mark alone", "/a?", "/a?"},
		{"an encoded slash", "/%2fevil.example", "/%2fevil.example"},
		{"an encoded backslash", "/%5cevil.example", "/%5cevil.example"},
		{"an encoded tab", "/%09/evil.example", "/%09/evil.example"},
		{"an address in the query", "/go?to=//evil.example", "/go?to=//evil.example"},
		{"nothing", "", "/"},
		{"a path that is not rooted", "reports", "/"},
		{"slashes further on", "/a//b", "/"},
		{"a dot segment before two slashes", "/.//evil.example", "/"},
		{"an encoded dot segment", "/%2E%2e//evil.example", "/"},
		{"dot segments that are not rooted", "./..//evil.example", "/"},
		{"a space", "/a b", "/"},
		{"a line break", "/a\r\nSet-Cookie: x=y", "/"},
		{"DEL", "/a\x7f", "/"},
		{"a backslash in the query", `/a?b=\`, "/"},
		{"a fragment", "/a#b", "/"},
		{"a letter that is not ASCII", "/ä", "/"},
		{"an invalid escape", "/a%zz", "/"},
		{"2 KiB", "/" + strings.Repeat("a", 2047), "/" + strings.Repeat("a", 2047)},
		{"over 2 KiB", "/" + strings.Repeat("a", 2048), "/"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := web.ReturnPath(tc.text); got != tc.want {
				t.Errorf("ReturnPath(%.60q) = %.60q, want %.60q", tc.text, got, tc.want)
			}
		})
	}
}

// FuzzReturnPath checks that whatever the text is, the result stays on the origin, as a program reads it that follows
// RFC 3986 and as one that repairs first.
func FuzzReturnPath(f *testing.F) {
	for _, text := range leaves {
		f.Add(text)
	}
	f.Add("/a/b?c=d")

	base, err := url.Parse("https://app.example/here")
	if err != nil {
		f.Fatal(err)
	}

	f.Fuzz(func(t *testing.T, text string) {
		got := web.ReturnPath(text)
		if again := web.ReturnPath(got); again != got {
			t.Errorf("ReturnPath(%q) = %q, and of that %q, want the same", text, got, again)
		}

		// What a browser does before it reads: WHATWG URL, sections 4.1 and 4.4.
		repaired := strings.NewReplacer("\t", "", "\n", "", "\r", "", `\`, "/").Replace(strings.TrimSpace(got))
		for _, read := range []string{got, repaired} {
			to, err := base.Parse(read)
			if err != nil || to.Host != base.Host || to.Scheme != base.Scheme || strings.HasPrefix(read, "//") {
				t.Errorf("ReturnPath(%q) = %q, which leads to %v (%v), want https://app.example", text, got, to, err)
			}
		}
	})
}

package web_test

import (
	"errors"
	"net/url"
	"path"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/web"
)

func TestCheckPath(t *testing.T) {
	for _, tc := range []struct {
		name, path string
		ok         bool
	}{
		{"the root", "/", true},
		{"a path", "/a/b", true},
		{"a slash at the end", "/a/b/", true},
		{"a space, encoded", "/a%20b", true},
		{"UTF-8", "/%C3%A9/%E2%82%AC", true},
		{"a dot in a name", "/a.b/c.d", true},
		{"a dot before a name", "/.well-known/jeton", true},
		{"three dots", "/.../x", true},
		{"two dots before a name", "/..a", true},
		{"a tilde", "/~diane", true},
		{"a parameter", "/a;v=1/b", true},
		{"a colon and an at sign", "/a:b@c", true},
		{"a question mark, encoded", "/a%3Fb", true},
		{"a star", "/*", true},

		{"nothing", "", false},
		{"no slash", "a", false},
		{"a star alone", "*", false},
		{"a dot segment", "/a/./b", false},
		{"two dots", "/a/../b", false},
		{"two dots at the end", "/a/..", false},
		{"a dot at the end", "/a/.", false},
		{"two dots alone", "/..", false},
		{"two dots, encoded", "/a/%2e%2e/b", false},
		{"two dots, half encoded", "/a/.%2E/b", false},
		{"a dot in a name, encoded", "/a%2eb", false},
		{"two dots and a parameter", "/a/..;/b", false},
		{"a dot and a parameter", "/a/.;x=1/b", false},
		{"a parameter of nothing", "/a/;/b", false},
		{"a parameter of nothing at the end", "/a/;x", false},
		{"two slashes", "/a//b", false},
		{"two slashes first", "//a", false},
		{"two slashes last", "/a//", false},
		{"a slash, encoded", "/a%2Fb", false},
		{"a slash, encoded in lower case", "/a%2fb", false},
		{"a slash, encoded twice", "/a%252fb", false},
		{"a backslash", `/a\b`, false},
		{"a backslash, encoded", "/a%5Cb", false},
		{"a percent sign", "/a%25b", false},
		{"NUL", "/a%00b", false},
		{"a newline", "/a%0Ab", false},
		{"a tab", "/a%09b", false},
		{"DEL", "/a%7Fb", false},
		{"no UTF-8", "/a%FFb", false},
		{"an overlong dot", "/%C0%AE%C0%AE/b", false},
		{"half a character", "/a%C3/b", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			u, err := url.ParseRequestURI("http://x" + tc.path)
			if tc.path == "" || tc.path[0] != '/' {
				u, err = &url.URL{Path: tc.path}, nil
			}
			if err != nil {
				t.Fatal(err)
			}

			if err := web.CheckPath(u); (err == nil) != tc.ok || err != nil && !errors.Is(err, jeton.ErrInvalid) {
				t.Errorf("CheckPath(%q) = %v, want accepted: %t", tc.path, err, tc.ok)
			}
		})
	}
}

// FuzzCheckPath checks that an accepted path is the same path to every reader.
func FuzzCheckPath(f *testing.F) {
	for _, seed := range []string{
		"/",
		"/a/b",
		"/a%20b",
		"/a/../b",
		"/%2e%2e/",
		"//",
		"/a;b/..;c",
		"/%c3%a9",
		"/%2525",
		"/a\\b",
		"/.a",
		"/a/",
	} {
		f.Add(seed)
	}

	f.Fuzz(func(t *testing.T, target string) {
		u, err := url.ParseRequestURI(target)
		if err != nil || web.CheckPath(u) != nil {
			return
		}

		p := u.Path
		if again, err := url.PathUnescape(p); err != nil || again != p {
			t.Errorf("%q: path %q decodes again, to %q", target, p, again)
		}

		clean := path.Clean(p)
		if strings.HasSuffix(p, "/") && clean != "/" {
			clean += "/"
		}
		if clean != p {
			t.Errorf("%q: path.Clean(%q) = %q, want no change", target, p, clean)
		}

		if !utf8.ValidString(p) || strings.ContainsAny(p, "\\\x00\r\n\x7f") || !strings.HasPrefix(p, "/") {
			t.Errorf("%q: path %q has characters that are refused", target, p)
		}
		if back, err := url.ParseRequestURI(u.EscapedPath()); err != nil || back.Path != p {
			t.Errorf("%q: path %q does not parse back from %q", target, p, u.EscapedPath())
		}

		for s := range strings.SplitSeq(p, "/") {
			name, _, _ := strings.Cut(s, ";")
			if name == "." || name == ".." {
				t.Errorf("%q: segment %q is a dot segment without its parameters", target, s)
			}
		}
	})
}

package web_test

import (
	"errors"
	"net/url"
	"path"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/web"
)

// The readings of the tests.
var (
	exact     = web.Paths{}
	anyCase   = web.Paths{IgnoreCase: true}
	anySlash  = web.Paths{IgnoreSlash: true}
	slashName = web.Paths{EncodedSlash: web.Literal}
	slashes   = web.Paths{EncodedSlash: web.Separator}
	matrix    = web.Paths{Matrix: web.Ignored}
	semicolon = web.Paths{Matrix: web.Literal}
)

func TestCanonical(t *testing.T) {
	for _, tc := range []struct {
		name  string
		paths web.Paths
		path  string
		want  string // forms, separated by spaces; "" for a refusal
	}{
		{"the root", exact, "/", "/"},
		{"a path", exact, "/a/b", "/a/b"},
		{"a slash at the end", exact, "/a/b/", "/a/b/"},
		{"a space, encoded", exact, "/a%20b", "/a%20b"},
		{"UTF-8", exact, "/%C3%A9/%e2%82%ac", "/%C3%A9/%E2%82%AC"},
		{"UTF-8 that is not encoded", exact, "/é", "/%C3%A9"},
		{"a dot in a name", exact, "/a.b/c.d", "/a.b/c.d"},
		{"a dot in a name, encoded", exact, "/a%2eb", "/a.b"},
		{"a dot before a name", exact, "/.well-known/jeton", "/.well-known/jeton"},
		{"three dots", exact, "/.../x", "/.../x"},
		{"two dots before a name", exact, "/..a", "/..a"},
		{"letters, encoded", exact, "/%61%7Eb", "/a~b"},
		{"a colon and an at sign", exact, "/a:b@c", "/a:b@c"},
		{"a question mark, encoded", exact, "/a%3Fb", "/a%3Fb"},
		{"a percent sign", exact, "/100%25.txt", "/100%25.txt"},
		{"a percent sign before a name", exact, "/%25user", "/%25user"},
		{"case", exact, "/Admin", "/Admin"},
		{"a parameter at the end", exact, "/a;v=1", "/a%3Bv=1 /a"},
		{"an encoded parameter at the end", exact, "/a%3Bv=1", "/a%3Bv=1 /a"},

		{"nothing", exact, "", ""},
		{"no slash", exact, "a", ""},
		{"a star alone", exact, "*", ""},
		{"a dot segment", exact, "/a/./b", ""},
		{"two dots", exact, "/a/../b", ""},
		{"two dots at the end", exact, "/a/..", ""},
		{"two dots, encoded", exact, "/a/%2e%2e/b", ""},
		{"two dots, half encoded", exact, "/a/.%2E/b", ""},
		{"two dots and a parameter", exact, "/a/..;/b", ""},
		{"two dots and a parameter at the end", exact, "/a/..;", ""},
		{"a parameter of nothing", exact, "/a/;/b", ""},
		{"a parameter of nothing at the end", exact, "/a/;x", ""},
		{"a parameter before the end", exact, "/a;v=1/b", ""},
		{"an encoded parameter before the end", exact, "/a%3bv=1/b", ""},
		{"a parameter before a slash at the end", exact, "/a;v=1/", ""},
		{"two slashes", exact, "/a//b", ""},
		{"two slashes first", exact, "//a", ""},
		{"two slashes last", exact, "/a//", ""},
		{"a slash, encoded", exact, "/a%2Fb", ""},
		{"a slash, encoded in lower case", exact, "/a%2fb", ""},
		{"a slash, encoded twice", exact, "/a%252fb", ""},
		{"a dot, encoded three times", exact, "/%25252e", ""},
		{"an encoding of Microsoft's", exact, "/%25u002e", ""},
		{"an invalid encoding", exact, "/a%zz", ""},
		{"a backslash", exact, `/a\b`, ""},
		{"a backslash, encoded", exact, "/a%5Cb", ""},
		{"a space", exact, "/a b", ""},
		{"a fragment", exact, "/a#b", ""},
		{"NUL", exact, "/a%00b", ""},
		{"a newline", exact, "/a%0Ab", ""},
		{"DEL", exact, "/a%7Fb", ""},
		{"no UTF-8", exact, "/a%FFb", ""},
		{"an overlong dot", exact, "/%C0%AE%C0%AE/b", ""},
		{"half a character", exact, "/a%C3/b", ""},

		{"any case", anyCase, "/ADMIN/Users", "/admin/users"},
		{"any case, encoded", anyCase, "/%41dmin", "/admin"},
		{"any case, other letters stay", anyCase, "/É", "/%C3%89"},
		{"any case, Kelvin", anyCase, "/\u212aey", ""},
		{"any case, long s", anyCase, "/u\u017fers", ""},
		{"any case, dotless i", anyCase, "/adm\u0131n", ""},
		{"any case, dotted I", anyCase, "/adm\u0130n", ""},
		{"any case, a dot at the end", anyCase, "/admin./x", ""},
		{"any case, a space at the end", anyCase, "/admin%20", ""},
		{"any case, a dot before a parameter", anyCase, "/admin.;x", ""},

		{"any slash, without", anySlash, "/admin", "/admin/"},
		{"any slash, with", anySlash, "/admin/", "/admin/"},
		{"any slash, the root", anySlash, "/", "/"},
		{"any slash, a parameter", anySlash, "/admin;x", "/admin%3Bx/ /admin/"},

		{"a slash in a name, npm", slashName, "/@team%2fwidget", "/@team%252Fwidget"},
		{"a slash in a name, GitLab", slashName, "/api/v4/projects/a%2Fb/x", "/api/v4/projects/a%252Fb/x"},
		{"a slash as a name, RabbitMQ", slashName, "/api/queues/%2F/name", "/api/queues/%252F/name"},
		{"a slash in a name, two dots", slashName, "/a%2f..%2fb", ""},
		{"a slash in a name, two dots first", slashName, "/..%2fb", ""},
		{"a slash in a name, two dots and a parameter", slashName, "/a%2f..;", ""},
		{"a slash in a name, encoded twice", slashName, "/a%252Fb", ""},

		{"a separator", slashes, "/a%2Fb%2fc", "/a/b/c"},
		{"a separator at the end", slashes, "/a%2F", "/a/"},
		{"a separator, two dots", slashes, "/a%2F..%2Fb", ""},
		{"a separator beside a slash", slashes, "/a%2F/b", ""},
		{"a separator before a slash at the end", slashes, "/a%2F/", ""},
		{"a separator first", slashes, "/%2Fa", ""},
		{"a separator and a parameter", slashes, "/a%2Fb;c", ""},

		{"parameters", matrix, "/admin;v=1/users;x;y", "/admin/users"},
		{"a parameter of nothing to ignore", matrix, "/admin;/users", "/admin/users"},
		{"a parameter that is encoded", matrix, "/admin%3Bv=1/users", ""},
		{"a parameter and a slash", matrix, "/admin;%2f/users", ""},
		{"a parameter of a dot segment", matrix, "/a/..;x/b", ""},
		{"a parameter of an empty segment", matrix, "/;x/b", ""},

		{"a semicolon in a name", semicolon, "/a;v=1/b", "/a%3Bv=1/b"},
		{"a semicolon after two dots", semicolon, "/a/..;v=1/b", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			forms, err := tc.paths.Canonical(tc.path)
			if strings.Join(forms, " ") != tc.want || (tc.want == "") != errors.Is(err, jeton.ErrInvalid) {
				t.Errorf("Canonical(%q) = %q, %v, want %q", tc.path, forms, err, tc.want)
			}

			u, err := url.ParseRequestURI(tc.path)
			plain := err == nil && tc.paths.Plain(u)
			if plain && tc.want != tc.path {
				t.Errorf("Plain(%q) = true, and its form is %q", tc.path, tc.want)
			}
		})
	}
}

func TestPattern(t *testing.T) {
	for _, tc := range []struct {
		name           string
		paths          web.Paths
		match, pattern string // "" for one that can never match
	}{
		{"a path", exact, "/a/b", "/a/b"},
		{"a method and wildcards", exact, "GET /a/{id}/{rest...}", "GET /a/{id}/{rest...}"},
		{"an encoded slash", exact, "/a%2Fb", ""},
		{"a query", exact, "/a?b", ""},
		{"a parameter", exact, "/a;v=1", ""},
		{"a backslash", exact, `/a\b`, ""},
		{"an encoded letter", exact, "/%61", "/a"},
		{"upper case", anyCase, "GET /Admin/{Id}", "GET /admin/{Id}"},
		{"a letter that is not ASCII", anyCase, "/é", ""},
		{"a letter without case", anyCase, "/文", "/%E6%96%87"},
		{"any slash, without", anySlash, "/a", "/a/{$}"},
		{"any slash, a wildcard", anySlash, "/a/{id}", "/a/{id}/{$}"},
		{"any slash, with", anySlash, "/a/{$}", "/a/{$}"},
		{"any slash, all below", anySlash, "/a/{rest...}", "/a/{rest...}"},
		{"any slash, the root", anySlash, "/{$}", "/{$}"},
		{"a slash in a name", slashName, "/api/queues/%2f/{name}", "/api/queues/%252F/{name}"},
		{"a separator", slashes, "/a%2Fb", ""},
		{"an ignored parameter", matrix, "/a;v=1/b", ""},
		{"a semicolon in a name", semicolon, "/a;v=1/b", "/a%3Bv=1/b"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := tc.paths.Pattern(tc.match)
			if got != tc.pattern || (tc.pattern == "") != (jeton.Detail(err) != "") {
				t.Errorf("Pattern(%q) = %q, %v, want %q", tc.match, got, err, tc.pattern)
			}
		})
	}
}

func TestStrip(t *testing.T) {
	for _, tc := range []struct {
		name               string
		paths              web.Paths
		path, prefix, want string // "" for a refusal
	}{
		{"a prefix", exact, "/app/x", "/app", "/x"},
		{"a prefix with a slash at its end", exact, "/app/x/", "/app/", "/x/"},
		{"all of the path", exact, "/app", "/app", "/"},
		{"two segments", exact, "/a/b/c", "/a/b", "/c"},
		{"the rest keeps its encoding", exact, `/app/%7e"|%2e`, "/app", `/%7e"|%2e`},
		{"an encoded prefix", exact, "/%61pp/x", "/app", "/x"},
		{"no prefix", exact, "/x", "", "/x"},
		{"the root as prefix", exact, "/x", "/", "/x"},
		{"another path", exact, "/apple/x", "/app", "/apple/x"},
		{"another case", exact, "/App/x", "/app", "/App/x"},
		{"any case", anyCase, "/App/x", "/app", "/x"},
		{"a slash in a name", slashName, "/app/a%2fb", "/app", "/a%2fb"},
		{"a prefix that ends in an encoded slash", slashes, "/app%2Fx", "/app", ""},
		{"a prefix with a parameter that is ignored", matrix, "/app;v=1/x;y", "/app", "/x;y"},
		{"a prefix with a parameter that could be ignored", exact, "/app;x", "/app", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := tc.paths.Strip(tc.path, tc.prefix)
			if got != tc.want || (tc.want == "") != errors.Is(err, jeton.ErrInvalid) {
				t.Errorf("Strip(%q, %q) = %q, %v, want %q", tc.path, tc.prefix, got, err, tc.want)
			}
		})
	}
}

// readings are all values of Paths.
func readings() []web.Paths {
	var list []web.Paths
	for i := range 4 {
		for _, slash := range []web.Reading{web.Refused, web.Literal, web.Separator} {
			for _, semicolon := range []web.Reading{web.Refused, web.Literal, web.Ignored} {
				list = append(list, web.Paths{
					IgnoreCase:   i&1 != 0,
					IgnoreSlash:  i&2 != 0,
					EncodedSlash: slash,
					Matrix:       semicolon,
				})
			}
		}
	}

	return list
}

// FuzzCanonical checks what holds for every reading of every path.
func FuzzCanonical(f *testing.F) {
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
		"/A%2fb;c/",
		"/%2F/\u212a",
	} {
		f.Add(seed, "/a")
	}

	all := readings()
	f.Fuzz(func(t *testing.T, raw, prefix string) {
		for _, p := range all {
			forms, err := p.Canonical(raw)
			if err != nil {
				if !errors.Is(err, jeton.ErrInvalid) || forms != nil {
					t.Errorf("%+v: Canonical(%q) = %q, %v, want ErrInvalid alone", p, raw, forms, err)
				}
				continue
			}

			for _, form := range forms {
				checkForm(t, p, raw, form)
			}

			if !strings.HasPrefix(prefix, "/") {
				continue
			}

			rest, err := p.Strip(raw, prefix)
			if err == nil && rest != "/" && (rest == "" || rest[0] != '/' || !strings.HasSuffix(raw, rest)) {
				t.Errorf("%+v: Strip(%q, %q) = %q, want the end of the path", p, raw, prefix, rest)
			}
		}
	})
}

// checkForm checks that a canonical form is a clean path that http.ServeMux matches as it is.
func checkForm(t *testing.T, p web.Paths, raw, form string) {
	t.Helper()

	decoded, err := url.PathUnescape(form)
	if err != nil {
		t.Fatalf("%+v: form %q of %q does not decode: %v", p, form, raw, err)
	}

	clean := path.Clean(decoded)
	if strings.HasSuffix(decoded, "/") && clean != "/" {
		clean += "/"
	}
	if clean != decoded || !utf8.ValidString(decoded) || strings.ContainsAny(decoded, "\\\x00\r\n\x7f") {
		t.Errorf("%+v: form %q of %q decodes to %q, want a clean path", p, form, raw, decoded)
	}

	u := &url.URL{Path: decoded, RawPath: form}
	if u.EscapedPath() != form {
		t.Errorf("%+v: path of a request for %q = %q, want the form %q", p, raw, u.EscapedPath(), form)
	}

	// A form is its own form, but for a slash in a name, which is encoded once more.
	if p.Matrix != web.Refused && !strings.Contains(form, "%252F") {
		again, err := p.Canonical(form)
		if err != nil && !strings.Contains(form, "%3B") || err == nil && !slices.Equal(again, []string{form}) {
			t.Errorf("%+v: Canonical(%q) = %q, %v, want no change", p, form, again, err)
		}
	}
}

package web

import (
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/jeton-auth/jeton"
)

// Paths says how an upstream reads the path of a request. Rules must judge the resource that the
// upstream will serve, so they are matched with the path as the upstream reads it.
//
// The zero value suits an upstream that compares paths as they are: it refuses what another
// upstream could read as a second path.
type Paths struct {
	// IgnoreCase: /Admin is /admin. Only the case of ASCII letters is ignored; other letters
	// that some servers take for ASCII are refused.
	IgnoreCase bool
	// IgnoreSlash: /admin/ is /admin.
	IgnoreSlash bool
	// EncodedSlash is what %2F means: Refused, Literal or Separator.
	EncodedSlash Reading
	// Matrix is what ";" means, as in /admin;v=1/x: Refused, Literal or Ignored. Refused
	// accepts it in the last segment if the same rule judges the path without it.
	Matrix Reading
}

// Reading is what an upstream takes a character of a path for.
type Reading int

// The readings of an encoded slash and of a semicolon.
const (
	Refused   Reading = iota // requests that have it are refused
	Literal                  // part of a name
	Separator                // an encoded slash separates segments
	Ignored                  // a semicolon and what follows it in its segment are dropped
)

// Plain reports whether a path needs no closer look: it is its own and only canonical form. It
// allocates no memory.
func (p Paths) Plain(u *url.URL) bool {
	// RawPath is set only if the encoding is not the usual one.
	return p == Paths{} && u.RawPath == "" && u.Path != "" && u.Path[0] == '/' && isPlain(u.Path)
}

// isPlain reports whether a path has no character that needs a closer look.
func isPlain(path string) bool {
	var prev byte
	for i := range len(path) {
		c := path[i]
		switch {
		case c <= ' ' || c >= 0x7f || c == '\\' || c == '%' || c == ';':
			return false
		case prev == '/' && (c == '/' || c == '.'):
			return false
		}

		prev = c
	}

	return true
}

// Canonical returns the forms, encoded, of a path that rules are matched with. raw is the path
// as it was sent. All forms must lead to the same rule, or the request must be refused: the
// upstream could read the path as any of them.
//
// It returns jeton.ErrInvalid for a path that programs read in different ways whatever Paths
// says: dot segments, empty segments, backslashes, control characters, bytes that are not
// UTF-8, and names that change when they are decoded twice.
func (p Paths) Canonical(raw string) ([]string, error) {
	if !strings.HasPrefix(raw, "/") {
		return nil, refused("the path must begin with a slash")
	}

	var form, bare strings.Builder // bare: without matrix parameters
	segments := strings.Split(raw[1:], "/")
	for i, s := range segments {
		last := i == len(segments)-1
		if s == "" && last {
			break // the slash at the end
		}

		names, err := p.segment(s, last)
		if err != nil {
			return nil, err
		}

		for _, name := range names {
			if name == "" { // an encoded slash at the end
				break
			}
			form.WriteString("/" + encode(name))
			bare.WriteString("/" + encode(p.withoutMatrix(name)))
		}
	}

	end := ""
	if p.endsInSlash(raw) || form.Len() == 0 {
		end = "/"
	}
	if form.String() == bare.String() {
		return []string{form.String() + end}, nil
	}

	return []string{form.String() + end, bare.String() + end}, nil
}

// endsInSlash reports whether the canonical form of a path ends in a slash. Where a slash at the
// end means nothing, every form has one.
func (p Paths) endsInSlash(raw string) bool {
	if p.IgnoreSlash || strings.HasSuffix(raw, "/") {
		return true
	}
	return p.EncodedSlash == Separator && len(raw) > 3 && strings.EqualFold(raw[len(raw)-3:], "%2f")
}

// encode returns the canonical encoding of a name. http.ServeMux decodes it once, and would take
// a name that is a slash for the end of the path, so a slash stays encoded then. No other name
// has the same form: segment refuses names that can be decoded twice.
func encode(name string) string {
	return url.PathEscape(strings.ReplaceAll(name, "/", "%2F"))
}

// withoutMatrix returns a name as an upstream reads it that ignores matrix parameters, if this
// one could.
func (p Paths) withoutMatrix(name string) string {
	if p.Matrix == Refused {
		name, _, _ = strings.Cut(name, ";")
	}
	return name
}

// segment returns the names, decoded and folded, that an upstream reads in one segment. It is
// more than one where an encoded slash separates them; the last may be empty then.
func (p Paths) segment(raw string, last bool) ([]string, error) {
	name, err := decode(raw)
	if err != nil {
		return nil, err
	}

	name, err = p.matrix(raw, name, last)
	if err != nil {
		return nil, err
	}

	names := strings.Split(name, "/")
	for i, n := range names {
		n, _, _ = strings.Cut(n, ";") // some servers drop ";x" before they resolve dots: /a/..;x/b becomes /b

		empty := n == "" && (len(names) == 1 || p.EncodedSlash == Separator && !(last && i > 0 && i == len(names)-1))
		if n == "." || n == ".." || empty {
			return nil, refused("the path has an empty or a dot segment in it")
		}
	}

	switch {
	case len(names) > 1 && p.EncodedSlash == Refused:
		return nil, refused("the path has an encoded slash in it")
	case p.EncodedSlash != Separator:
		names = []string{name}
	}

	if !p.IgnoreCase {
		return names, nil
	}

	for i := range names {
		names[i], err = fold(names[i])
		if err != nil {
			return nil, err
		}
	}

	return names, nil
}

// matrix returns the name of a segment as the upstream reads a semicolon in it. raw is the
// segment as it was sent.
func (p Paths) matrix(raw, name string, last bool) (string, error) {
	if !strings.Contains(name, ";") || p.Matrix == Literal {
		return name, nil
	}

	// Servers differ in what they do first: drop parameters, or decode.
	if strings.Contains(name, "/") {
		return "", refused("the path has a semicolon and an encoded slash in one segment")
	}
	if p.Matrix == Refused {
		if !last {
			return "", refused("the path has a semicolon before its last segment")
		}
		return name, nil
	}

	if strings.Count(name, ";") != strings.Count(raw, ";") {
		return "", refused("the path has an encoded semicolon in it")
	}
	name, _, _ = strings.Cut(name, ";")

	return name, nil
}

// decode decodes a segment once, and refuses what no reading makes safe.
func decode(raw string) (string, error) {
	for i := range len(raw) {
		if raw[i] <= ' ' || raw[i] == 0x7f || raw[i] == '#' || raw[i] == '?' {
			return "", refused("the path has a space, a control character, # or ? in it")
		}
	}

	name, err := url.PathUnescape(raw)
	if err != nil {
		return "", refused("the path has an invalid percent encoding")
	}

	switch {
	case !utf8.ValidString(name):
		return "", refused("the path is not UTF-8")
	case strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f || r == '\\' }):
		return "", refused("the path has a control character or a backslash in it")
	case decodesAgain(name):
		return "", refused("the path is encoded twice")
	}

	return name, nil
}

// decodesAgain reports whether a decoded name has another percent encoding in it, which an
// upstream that decodes twice would undo: %XX, or %uXXXX of Microsoft's servers.
func decodesAgain(name string) bool {
	for i := range len(name) {
		rest := name[i:]
		if rest[0] != '%' {
			continue
		}
		if startsHex(rest[1:], 2) || len(rest) > 1 && rest[1]|0x20 == 'u' && startsHex(rest[2:], 4) {
			return true
		}
	}

	return false
}

// startsHex reports whether text begins with n hexadecimal digits.
func startsHex(text string, n int) bool {
	return len(text) >= n && strings.Trim(text[:n], "0123456789abcdefABCDEF") == ""
}

// fold returns a name in lower case.
func fold(name string) (string, error) {
	for _, r := range name {
		// ı and ſ are I and S in upper case, K (Kelvin) and İ are k and i in lower case, for
		// some servers only.
		if r >= utf8.RuneSelf && (unicode.ToUpper(r) < utf8.RuneSelf || unicode.ToLower(r) < utf8.RuneSelf) {
			return "", refused("the path has a letter that some servers take for another")
		}
	}

	// Windows drops them from the names of files.
	bare, _, _ := strings.Cut(name, ";")
	if strings.HasSuffix(bare, ".") || strings.HasSuffix(bare, " ") {
		return "", refused("a segment of the path ends in a dot or a space")
	}

	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			r += 'a' - 'A'
		}
		return r
	}, name), nil
}

func refused(detail string) error { return jeton.WithDetail(jeton.ErrInvalid, detail) }

// Pattern returns the pattern of http.ServeMux that the canonical forms of requests are matched
// with, for a pattern of the configuration. It returns jeton.ErrInvalid for a pattern that no
// request can match; the detail says why.
func (p Paths) Pattern(match string) (string, error) {
	method, path, found := strings.Cut(match, " ")
	if !found {
		method, path = "", match
	} else {
		method += " "
	}

	segments := strings.Split(strings.TrimPrefix(path, "/"), "/")
	for i, s := range segments {
		last := i == len(segments)-1
		if s == "" && last || strings.Contains(s, "{") {
			continue
		}

		literal, err := p.literal(s, last)
		if err != nil {
			return "", err
		}
		segments[i] = literal
	}

	path = "/" + strings.Join(segments, "/")
	open := strings.HasSuffix(path, "/") || strings.HasSuffix(path, "...}") || strings.HasSuffix(path, "/{$}")
	if p.IgnoreSlash && !open {
		path += "/{$}" // canonical forms end in a slash
	}

	return method + path, nil
}

// literal returns the canonical form of a literal segment of a pattern.
func (p Paths) literal(raw string, last bool) (string, error) {
	names, err := p.segment(raw, last)
	if err != nil {
		return "", err
	}

	name := names[0]
	switch {
	case len(names) > 1:
		return "", refused("requests with an encoded slash are matched as if it were a slash")
	case p.Matrix != Literal && strings.Contains(raw+name, ";"):
		return "", refused("requests are matched without the parameters after a semicolon")
	case p.IgnoreCase && strings.ContainsFunc(name, isCased):
		return "", refused("case is ignored for ASCII letters only, and it has another letter")
	}

	return encode(name), nil
}

// isCased reports whether a character that is not ASCII has another case.
func isCased(r rune) bool {
	return r >= utf8.RuneSelf && (unicode.ToLower(r) != r || unicode.ToUpper(r) != r)
}

// Strip removes a prefix of whole segments from the path of a request, both encoded, as the
// upstream reads them: /app from /app/x, but not from /apple. The rest keeps its encoding. A
// path without the prefix is returned as it is. It returns jeton.ErrInvalid for a path that has
// the prefix in its canonical form only.
func (p Paths) Strip(raw, prefix string) (string, error) {
	prefix = strings.TrimSuffix(prefix, "/")
	if prefix == "" {
		return raw, nil
	}

	rest := raw
	for s := range strings.SplitSeq(prefix[1:], "/") {
		var segment string
		segment, rest = nextSegment(rest)
		if !p.same(segment, s) {
			return p.unstripped(raw, prefix)
		}
	}
	if rest == "" {
		rest = "/"
	}

	return rest, nil
}

// nextSegment returns the first segment of a path and the path after it.
func nextSegment(path string) (segment, rest string) {
	path = strings.TrimPrefix(path, "/")
	i := strings.IndexByte(path, '/')
	if i < 0 {
		return path, ""
	}
	return path[:i], path[i:]
}

// same reports whether the upstream reads two segments as the same.
func (p Paths) same(a, b string) bool {
	x, errX := p.segment(a, false)
	y, errY := p.segment(b, false)

	return errX == nil && errY == nil && len(x) == 1 && len(y) == 1 && x[0] == y[0]
}

// unstripped returns a path without the prefix, unless an encoded slash hides it.
func (p Paths) unstripped(raw, prefix string) (string, error) {
	forms, err := p.Canonical(raw)
	if err != nil {
		return "", err
	}
	under, err := p.Canonical(prefix + "/")
	if err != nil {
		return "", err
	}

	for _, form := range forms {
		if strings.HasPrefix(form+"/", under[0]) {
			return "", refused("the path spells the prefix that the gateway removes in another way")
		}
	}

	return raw, nil
}

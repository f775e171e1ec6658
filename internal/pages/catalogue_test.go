package pages

import (
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
)

// placeholder is a place for an argument in a message.
var placeholder = regexp.MustCompile(`\{[0-9]\}`)

func TestCataloguesHaveTheSameKeys(t *testing.T) {
	p := newPages(t)
	first := p.languages[0]

	for _, l := range p.languages[1:] {
		for key, m := range first.messages {
			other, ok := l.messages[key]
			if !ok {
				t.Errorf("messages/%s has no key %s, want it in each language", l.code, key)
				continue
			}
			if (m.One == "") != (other.One == "") {
				t.Errorf("key %s has plural forms in one of %s and %s, want them in both", key, first.code, l.code)
			}

			got, want := arguments(other.Other), arguments(m.Other)
			if !slices.Equal(got, want) {
				t.Errorf("messages/%s: %s has the arguments %v, want %v", l.code, key, got, want)
			}
		}

		for key := range l.messages {
			if _, ok := first.messages[key]; !ok {
				t.Errorf("messages/%s has no key %s, want it in each language", first.code, key)
			}
		}
	}
}

// arguments returns the places of arguments in a message, sorted.
func arguments(message string) []string {
	return slices.Compact(slices.Sorted(slices.Values(placeholder.FindAllString(message, -1))))
}

// The places in which a key is written.
var (
	inTemplate = regexp.MustCompile(`\bt "([^"]+)"`)
	inCode     = regexp.MustCompile(`\btext\("([a-z._-]+)"`)
)

// TestEveryKeyIsUsedAndExists compares the keys in templates and code with the catalogues.
func TestEveryKeyIsUsedAndExists(t *testing.T) {
	used := map[string]string{} // key to the file that has it

	collect := func(file string, b []byte, key *regexp.Regexp) {
		for _, m := range key.FindAllSubmatch(b, -1) {
			used[string(m[1])] = file
		}
	}

	err := fs.WalkDir(templateFiles, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := templateFiles.ReadFile(name)
		collect(name, b, inTemplate)

		return err
	})
	if err != nil {
		t.Fatal(err)
	}

	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasSuffix(name, "_test.go") {
			collect(name, b, inCode)
		}
	}

	messages := newPages(t).languages[0].messages
	for key, file := range used {
		// A key that ends in a point is completed by the code.
		if _, ok := messages[key]; !ok && !strings.HasSuffix(key, ".") {
			t.Errorf("%s uses the key %s, want one of the catalogues", file, key)
		}
	}

	for _, key := range slices.Sorted(maps.Keys(messages)) {
		if _, ok := used[key]; !ok && !isTime(key) && !completed(used, key) {
			t.Errorf("nothing uses the key %s of the catalogues, want it used", key)
		}
	}
}

// completed reports whether a key is one of those that code makes from a beginning, such as error. and a code.
func completed(used map[string]string, key string) bool {
	for beginning := range used {
		if strings.HasSuffix(beginning, ".") && strings.HasPrefix(key, beginning) {
			return true
		}
	}

	return false
}

// isTime reports whether a key is one of those that spans.go makes.
func isTime(key string) bool {
	prefix, _, _ := strings.Cut(key, ".")
	return prefix == "span" || prefix == "ago" || prefix == "in"
}

func TestEveryOutcomeHasItsMessages(t *testing.T) {
	messages := newPages(t).languages[0].messages

	for key := range messages {
		code, ok := strings.CutPrefix(strings.TrimSuffix(key, ".do"), "error.")
		_, both := messages["error."+code+".do"]
		if ok && both && code != jeton.CodeInternal && jeton.FromCode(code) == nil {
			t.Errorf("outcome of the key %s = none, want one of package jeton", key)
		}
	}

	for _, err := range []error{
		jeton.ErrNoCredential, jeton.ErrBadCredential, jeton.ErrAmbiguous, jeton.ErrExpired, jeton.ErrTooEarly,
		jeton.ErrSpent, jeton.ErrForbidden, jeton.ErrScope, jeton.ErrProof, jeton.ErrRelogin, jeton.ErrSessionsFull,
		jeton.ErrTokensFull, jeton.ErrTooMany, jeton.ErrBusy, jeton.ErrUnavailable, jeton.ErrNotFound,
		jeton.ErrMethod, jeton.ErrConflict, jeton.ErrChanged, jeton.ErrDeclared, jeton.ErrInvalid,
		jeton.ErrTooLarge, jeton.ErrMisdirected, jeton.ErrMediaType, jeton.ErrUpstream, os.ErrInvalid,
	} {
		code := jeton.Code(err)
		for _, key := range []string{"error." + code, "error." + code + ".do", "outcome." + code} {
			if _, ok := messages[key]; !ok {
				t.Errorf("no such key, want %s", key)
			}
		}
	}
}

// The parts of a template that are not words.
var (
	action    = regexp.MustCompile(`(?s)\{\{.*?\}\}`)
	comment   = regexp.MustCompile(`(?s)<!--.*?-->`)
	element   = regexp.MustCompile(`(?s)<[^>]*>`)
	spoken    = regexp.MustCompile(`(?:aria-label|alt|title|placeholder|label|content)="([^"]*)"`)
	letter    = regexp.MustCompile(`\p{L}`)
	technical = []string{"width=device-width, initial-scale=1"}
)

func TestNoTemplateHasABareWord(t *testing.T) {
	err := fs.WalkDir(templateFiles, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}

		b, err := templateFiles.ReadFile(name)
		text := comment.ReplaceAllString(action.ReplaceAllString(string(b), ""), "")

		for _, m := range spoken.FindAllStringSubmatch(text, -1) {
			if letter.MatchString(m[1]) && !slices.Contains(technical, m[1]) {
				t.Errorf("%s: %s has a bare word, want a key", name, m[0])
			}
		}
		for line := range strings.Lines(element.ReplaceAllString(text, "\n")) {
			if letter.MatchString(line) {
				t.Errorf("%s: %q is a bare word, want a key", name, strings.TrimSpace(line))
			}
		}

		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestTranslate(t *testing.T) {
	p := newPages(t)

	for _, tc := range []struct {
		name, lang string
		text       Text
		want       string
	}{
		{"no argument", "en", text("sign-in.title"), "Sign in"},
		{"another language", "de", text("sign-in.title"), "Anmelden"},
		{"an argument of a user", "en", text("choose.continue", "<b>"), "Continue as &lt;b&gt;"},
		{"a name that stands out", "en", text("sign-in.to", Strong("a&b")), "to continue to <strong>a&amp;b</strong>"},
		{"one", "en", text("span.days", 1), "1 day"},
		{"none", "en", text("span.days", 0), "0 days"},
		{"many", "de", text("span.days", 12345), "12.345 Tage"},
		{"nothing", "en", Text{}, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for _, l := range p.languages {
				if l.code != tc.lang {
					continue
				}
				got, err := l.translate(tc.text)
				if err != nil || string(got) != tc.want {
					t.Errorf("translate = %q, %v, want %q", got, err, tc.want)
				}
			}
		})
	}

	for _, bad := range []Text{text("no.such.key"), text("choose.continue"), text("choose.continue", 1.5)} {
		if got, err := p.languages[0].translate(bad); err == nil {
			t.Errorf("translate(%v) = %q, want an error", bad, got)
		}
	}
}

func TestTimesInWords(t *testing.T) {
	l := newPages(t).languages[0]
	ago := func(d time.Duration) string {
		got, err := l.ago(noon.Add(-d), noon)
		if err != nil {
			t.Fatal(err)
		}

		return element.ReplaceAllString(string(got), "")
	}

	for _, tc := range []struct {
		d    time.Duration
		want string
	}{
		{-time.Hour, "just now"},
		{59 * time.Second, "just now"},
		{time.Minute, "1 minute ago"},
		{90 * time.Second, "1 minute ago"},
		{time.Hour, "1 hour ago"},
		{100 * time.Minute, "100 minutes ago"},
		{47 * time.Hour, "47 hours ago"},
		{49 * time.Hour, "2 days ago"},
	} {
		if got := ago(tc.d); got != tc.want {
			t.Errorf("ago(%v) = %q, want %q", tc.d, got, tc.want)
		}
	}

	got := string(l.when(noon))
	want := `<time datetime="2026-11-30T12:00:00Z">30 November 2026, 12:00 UTC</time>`
	if got != want {
		t.Errorf("when = %s, want %s", got, want)
	}
}

package wallet

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jeton-auth/jeton"
)

func TestSelect(t *testing.T) {
	one := newService(t, "app1")
	two := newService(t, "app2")
	none := "https://app3.example"
	home := t.TempDir()
	w := openWallet(t, home)
	for _, in := range []Login{one.as("diane"), one.as("eshana"), two.as("diane")} {
		mustLogin(t, w, in)
	}

	dir := func(name, text string) string {
		path := filepath.Join(home, name)
		if err := os.MkdirAll(path, 0o755); err != nil {
			t.Fatal(err)
		}
		if text != "" {
			file600(t, filepath.Join(path, dotName), text)
		}

		return path
	}

	work := dir("work", "# ours\nidentity = eshana # by default\n"+two.URL+" = diane\n")
	below := dir("work/a/b", "")
	inner := dir("work/inner", "https://elsewhere.example = carl\n")
	broken := dir("broken", "identity: eshana\n")
	wide := dir("wide", "identity = eshana\n")
	if err := os.Chmod(filepath.Join(wide, dotName), 0o666); err != nil {
		t.Fatal(err)
	}

	linked := dir("linked", "")
	if err := os.Symlink(filepath.Join(work, dotName), filepath.Join(linked, dotName)); err != nil {
		t.Fatal(err)
	}

	ghost := dir("ghost", "identity = ghost\n")
	outside := t.TempDir()
	for _, tc := range []struct {
		name      string
		url       string
		flag, env string
		dir       string
		want, how string
		err       error
		text      string
	}{
		{"the flag comes first", one.URL, "diane", "eshana", work, "diane", "--as", nil, ""},
		{"then the environment", one.URL, "", "diane", work, "diane", "JETON_IDENTITY", nil, ""},
		{"for one origin", one.URL, "", "diane@" + one.URL + "/x", work, "diane", "JETON_IDENTITY", nil, ""},
		{"but not for another", one.URL, "", "diane@" + two.URL, work, "eshana", "line 2", nil, ""},
		{"then the nearest file", one.URL, "", "", below, "eshana", filepath.Join(work, dotName), nil, ""},
		{"its line for the origin comes first", two.URL, "", "", below, "diane", "line 3", nil, ""},
		{
			"a file without a line for the origin is skipped",
			one.URL,
			"",
			"",
			inner,
			"eshana",
			filepath.Join(work, dotName),
			nil,
			"",
		},
		{"then the only one", two.URL, "", "", outside, "diane", "the only identity", nil, ""},
		{"no folder, no file", two.URL, "", "", "", "diane", "the only identity", nil, ""},
		{"two identities and no choice", one.URL, "", "", outside, "", "", jeton.ErrAmbiguous, "diane, eshana"},
		{"no identity", none, "", "", outside, "", "", jeton.ErrNoCredential, none},
		{"an unknown name", one.URL, "ghost", "", "", "", "", jeton.ErrNotFound, "diane, eshana"},
		{"an unknown name in a file", one.URL, "", "", ghost, "", "", jeton.ErrNotFound, filepath.Join(ghost, dotName)},
		{"a bad variable", one.URL, "", "di ane", "", "", "", jeton.ErrInvalid, "JETON_IDENTITY"},
		{"a bad file", one.URL, "", "", broken, "", "", jeton.ErrInvalid, "line 1"},
		{"a file that others can write", one.URL, "", "", wide, "", "", ErrExposed, "chmod o-w"},
		{"a link", one.URL, "", "", linked, "", "", jeton.ErrInvalid, "regular"},
		{"a bad URL", "app1", "diane", "", "", "", "", jeton.ErrInvalid, "https://"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := Choice{Flag: tc.flag, Dir: tc.dir, Getenv: func(string) string { return tc.env }}
			got, how, err := w.Select(t.Context(), tc.url, c)
			if got != tc.want || !strings.Contains(how, tc.how) || !errors.Is(err, tc.err) {
				t.Errorf("Select = %q, %q, %v; want %q, %q, %v", got, how, err, tc.want, tc.how, tc.err)
			}

			if err != nil && !strings.Contains(err.Error(), tc.text) {
				t.Errorf("error %q, want one with %q", err, tc.text)
			}
		})
	}
}

func TestSelectStopsAtHome(t *testing.T) {
	above := t.TempDir()
	file600(t, filepath.Join(above, dotName), "identity = ghost\n")
	home := filepath.Join(above, "home")
	if err := os.MkdirAll(filepath.Join(home, "work"), 0o700); err != nil {
		t.Fatal(err)
	}

	s := newService(t, "app1")
	w := openWallet(t, home)
	mustLogin(t, w, s.as("diane"))

	if got, _, err := w.Select(t.Context(), s.URL, Choice{Dir: filepath.Join(home, "work")}); got != "diane" {
		t.Errorf("Select = %q, %v; want diane: the file is above the home folder", got, err)
	}
	if got, _, err := w.Select(t.Context(), s.URL, Choice{Dir: above}); !errors.Is(err, jeton.ErrNotFound) {
		t.Errorf("Select = %q, %v; want ErrNotFound by the file outside the home folder", got, err)
	}
}

// FuzzParseDot checks that a hostile .jeton file names only valid identities at valid
// origins.
func FuzzParseDot(f *testing.F) {
	f.Add([]byte("identity = diane\n"))
	f.Add([]byte("# x\nhttps://app.example:8443/ = diane@example.org # y\r\n\n"))
	f.Add([]byte("identity = a\nidentity = b"))
	f.Fuzz(func(t *testing.T, text []byte) {
		rules, err := parseDot(text)
		if err != nil {
			if !errors.Is(err, jeton.ErrInvalid) && !errors.Is(err, jeton.ErrTooLarge) {
				t.Errorf("parseDot: %v, want ErrInvalid or ErrTooLarge", err)
			}
			return
		}

		for key, rule := range rules {
			if err := checkName(rule.name); err != nil || rule.line < 1 {
				t.Errorf("rule %q = %+v, %v; want a valid name and its line", key, rule, err)
			}
			if o, err := ParseOrigin(key); key != everyOrigin && (err != nil || string(o) != key) {
				t.Errorf("rule %q: got origin %q, %v; want its normal form", key, o, err)
			}
		}
	})
}

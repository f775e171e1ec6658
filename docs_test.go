package jeton_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/jeton-auth/jeton/internal/config"
)

// page is a Markdown page for users.
type page struct{ path, text string }

// block is a fenced block of a page.
type block struct {
	page string
	line int
	kind string
	text string
}

// pages returns README.md and the pages in docs, examples and clients.
func pages(t *testing.T) []page {
	t.Helper()

	var list []page
	for _, root := range []string{"README.md", "docs", "examples", "clients"} {
		err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".md") {
				return err
			}

			text, err := os.ReadFile(path)
			list = append(list, page{path, string(text)})

			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}

	if len(list) < 10 {
		t.Fatalf("found %d pages: the test looks in the wrong place", len(list))
	}

	return list
}

// blocks returns the fenced blocks of a page.
func (p page) blocks(t *testing.T) []block {
	t.Helper()

	var list []block
	var open *block
	for i, line := range strings.Split(p.text, "\n") {
		switch {
		case strings.HasPrefix(line, "```") && open == nil:
			open = &block{page: p.path, line: i + 1, kind: strings.TrimPrefix(line, "```")}
		case strings.HasPrefix(line, "```"):
			list = append(list, *open)
			open = nil
		case open != nil:
			open.text += line + "\n"
		}
	}

	if open != nil {
		t.Errorf("%s:%d: the block is not closed", p.path, open.line)
	}

	return list
}

// secretFile is a file that a configuration of a page names, and that the page makes by a command.
var secretFile = regexp.MustCompile(`_file: ([a-z]+\.secret)\b`)

func TestConfigurationsInPagesAreValid(t *testing.T) {
	found := 0
	folder := t.TempDir()
	noVariables := func(string) (string, bool) { return "", false }
	for _, p := range pages(t) {
		for _, b := range p.blocks(t) {
			if b.kind != "yaml" {
				continue
			}

			found++
			for _, m := range secretFile.FindAllStringSubmatch(b.text, -1) {
				if err := os.WriteFile(filepath.Join(folder, m[1]), []byte("secret"), 0o600); err != nil {
					t.Fatal(err)
				}
			}

			_, err := config.Parse(filepath.Join(folder, "jeton.yaml"), []byte(b.text), noVariables)
			if err != nil {
				t.Errorf("%s:%d: %v", b.page, b.line, err)
			}
		}
	}

	if found < 3 {
		t.Errorf("found %d configurations, want at least 3", found)
	}
}

// fence is a fenced block, in which brackets are not links.
var fence = regexp.MustCompile("(?ms)^```.*?^```$")

var link = regexp.MustCompile(`\]\(([^)#]+)(#[^)]*)?\)`)

func TestLinksInPagesHaveATarget(t *testing.T) {
	for _, p := range pages(t) {
		for _, m := range link.FindAllStringSubmatch(fence.ReplaceAllString(p.text, ""), -1) {
			if strings.Contains(m[1], "://") {
				continue
			}

			_, err := os.Stat(filepath.Join(filepath.Dir(p.path), filepath.FromSlash(m[1])))
			if err != nil {
				t.Errorf("%s: link to %s: %v", p.path, m[1], err)
			}
		}
	}
}

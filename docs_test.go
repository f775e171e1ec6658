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

// block is a fenced block of a page.
type block struct {
	page string
	line int
	kind string
	text string
}

// blocks returns the fenced blocks of every page for people.
func blocks(t *testing.T) []block {
	t.Helper()
	var list []block

	pages := []string{"README.md"}
	for _, root := range []string{"docs", "examples"} {
		err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
			if strings.HasSuffix(path, ".md") {
				pages = append(pages, path)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}

	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}

		var open *block
		for i, line := range strings.Split(string(text), "\n") {
			switch {
			case strings.HasPrefix(line, "```") && open == nil:
				open = &block{page: page, line: i + 1, kind: strings.TrimPrefix(line, "```")}
			case strings.HasPrefix(line, "```"):
				list = append(list, *open)
				open = nil
			case open != nil:
				open.text += line + "\n"
			}
		}

		if open != nil {
			t.Errorf("%s:%d: the block is not closed", page, open.line)
		}
	}

	if len(list) < 10 {
		t.Fatalf("only %d blocks found: the test looks in the wrong place", len(list))
	}

	return list
}

func TestEveryConfigurationShownIsGood(t *testing.T) {
	shown := 0
	for _, b := range blocks(t) {
		if b.kind != "yaml" {
			continue
		}

		shown++
		if _, err := config.Parse(b.page, []byte(b.text), func(string) (string, bool) {
			return "", false
		}); err != nil {
			t.Errorf("%s:%d: %v", b.page, b.line, err)
		}
	}

	if shown < 3 {
		t.Errorf("only %d configurations are shown", shown)
	}
}

// fence is a fenced block, in which brackets are not links.
var fence = regexp.MustCompile("(?ms)^```.*?^```$")

var link = regexp.MustCompile(`\]\(([^)#]+)(#[^)]*)?\)`)

func TestEveryLinkLeadsSomewhere(t *testing.T) {
	for _, root := range []string{"README.md", "docs", "examples"} {
		err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".md") {
				return err
			}

			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}

			prose := fence.ReplaceAllString(string(text), "")
			for _, m := range link.FindAllStringSubmatch(prose, -1) {
				if strings.Contains(m[1], "://") {
					continue
				}
				if _, err := os.Stat(filepath.Join(filepath.Dir(path), filepath.FromSlash(m[1]))); err != nil {
					t.Errorf("%s: link to %s: %v", path, m[1], err)
				}
			}

			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

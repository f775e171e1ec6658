package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestDocumentedCommandsParse checks the commands in the pages for users: each must exist and
// accept the flags and arguments.
func TestDocumentedCommandsParse(t *testing.T) {
	top := filepath.Join("..", "..")
	shown := 0

	check := func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".md") || strings.Contains(path, "commands.md") {
			return err
		}

		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}

		fenced := false
		console := false
		for i, line := range strings.Split(string(text), "\n") {
			if strings.HasPrefix(line, "```") {
				fenced = !fenced
				console = line == "```console"
				continue
			}

			words, ok := commandLine(line)
			// In a console block everything but the lines after a prompt is output.
			if !fenced || !ok || console && !strings.HasPrefix(line, "$ ") {
				continue
			}

			shown++
			if err := parse(words); err != nil {
				t.Errorf("%s:%d: %s: %v", path, i+1, line, err)
			}
		}

		return nil
	}

	for _, root := range []string{"README.md", "docs", "examples", "clients"} {
		if err := filepath.WalkDir(filepath.Join(top, root), check); err != nil {
			t.Fatal(err)
		}
	}

	if shown < 20 {
		t.Errorf("only %d commands found: the test looks in the wrong place", shown)
	}
}

// shellWord matches a word of a shell, with blanks in double quotes.
var shellWord = regexp.MustCompile(`(?:[^\s"]|"[^"]*")+`)

// commandLine returns the words after jeton in a line of a code block.
func commandLine(line string) ([]string, bool) {
	line = strings.TrimPrefix(strings.TrimSpace(line), "$ ")
	line, _, _ = strings.Cut(line, " #")
	for _, program := range []string{"jeton ", "bin/jeton ", "go run ./cmd/jeton "} {
		if rest, ok := strings.CutPrefix(line, program); ok {
			rest, _, _ = strings.Cut(rest, " |") // a pipe, or a list of commands
			rest, _, _ = strings.Cut(rest, " >")
			var words []string
			for _, word := range shellWord.FindAllString(strings.TrimSuffix(strings.TrimSpace(rest), "&"), -1) {
				words = append(words, strings.ReplaceAll(word, `"`, ""))
			}

			return words, true
		}
	}

	return nil, false
}

// parse finds the command and reads its flags and arguments, without running it.
func parse(words []string) error {
	c, rest, err := newRoot().Find(words)
	if err != nil {
		return err
	}
	if err := c.ParseFlags(rest); err != nil {
		return err
	}

	return c.ValidateArgs(c.Flags().Args())
}

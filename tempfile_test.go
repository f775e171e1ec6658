package jeton_test

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestNewFilesAreCreatedExclusively looks for code that opens a file to write and takes one that
// is there. A link, or a file that another user has open, could be in its place: remove it, and
// create it with O_EXCL, or use os.CreateTemp.
func TestNewFilesAreCreatedExclusively(t *testing.T) {
	allowed := map[string]string{
		"internal/store/sqlite/sqlite.go":      "opens the database, and checks its mode",
		"internal/test/browser/certificate.go": "writes into the folder of a test",
		"internal/test/browser/judge.go":       "writes screenshots into a folder for them",
		"internal/test/browser/node.go":        "writes into a folder that it has made",
		"internal/test/need/need.go":           "appends to a list of a test run",
		"internal/test/need/node.go":           "writes into a folder that it has made",
		"internal/test/pgtest/cluster.go":      "writes into the folder of a test",
		"internal/test/pgtest/install.go":      "writes into the folder of a test",
		"jetontest/jetontest.go":               "writes into the folder of a test",
	}

	err := filepath.WalkDir(".", func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if e.IsDir() && (e.Name() == "bench" || e.Name() == ".git") {
			return filepath.SkipDir
		}
		if filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") || allowed[filepath.ToSlash(path)] != "" {
			return nil
		}

		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}

		for i, line := range bytes.Split(text, []byte("\n")) {
			creates := bytes.Contains(line, []byte("os.O_CREATE")) && !bytes.Contains(line, []byte("os.O_EXCL"))
			if creates || bytes.Contains(line, []byte("os.WriteFile(")) || bytes.Contains(line, []byte("os.Create(")) {
				t.Errorf("%s:%d: creates a file without O_EXCL", path, i+1)
			}
		}

		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

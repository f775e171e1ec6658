package config_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/jeton-auth/jeton/internal/config"
	"github.com/jeton-auth/jeton/internal/config/yamlread"
)

// FuzzParse checks that no file makes the parser panic, and that it returns either a
// configuration or faults that each have a place.
func FuzzParse(f *testing.F) {
	files, err := filepath.Glob("testdata/faults/*.txt")
	if err != nil {
		f.Fatal(err)
	}

	for _, file := range slices.Concat(files, []string{"default.yaml", "testdata/full.yaml"}) {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}

	for _, url := range databaseURLs() {
		f.Add([]byte("database: \"" + url + "\"\n"))
	}

	env := environment("WORD", "word", "FIVE", "5", "EMPTY", "", "SECRETS", secrets(f))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := config.Parse("testdata/fuzz.yaml", data, env)
		if err == nil {
			if c == nil {
				t.Fatal("Parse = nil, nil, want a configuration")
			}
			return
		}

		var faults yamlread.Faults
		if !errors.As(err, &faults) || len(faults) == 0 {
			t.Fatalf("Parse = %v, want faults", err)
		}

		for _, fault := range faults {
			if fault.Line < 1 || fault.Column < 1 || fault.Text == "" {
				t.Fatalf("fault %+v has no line, no column or no text", fault)
			}
		}
	})
}

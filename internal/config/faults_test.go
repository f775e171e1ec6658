package config_test

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jeton-auth/jeton/internal/config"
	"github.com/jeton-auth/jeton/internal/config/yamlread"
)

var update = flag.Bool(
	"update", false, "write the faults into testdata/faults; read the difference before keeping it",
)

// hash is a hash of a password.
const hash = "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0c2FsdA$aGFzaGhhc2hoYXNoaGFzaGhhc2hoYXNoaGFzaGhhc2g"

// environment returns the variables of a test: a name, then its value.
func environment(pairs ...string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		for i := 0; i < len(pairs); i += 2 {
			if pairs[i] == name {
				return pairs[i+1], true
			}
		}

		return "", false
	}
}

// TestFaults reads the configuration in each file of testdata/faults, above the line of
// dashes, and compares its faults with those below.
func TestFaults(t *testing.T) {
	files, err := filepath.Glob("testdata/faults/*.txt")
	if err != nil || len(files) < 30 {
		t.Fatalf("got %d files in testdata/faults, %v, want at least 30", len(files), err)
	}

	const dashes = "\n----------------------------------------\n"

	env := environment("WORD", "word", "FIVE", "5", "EMPTY", "", "HASH", hash)
	for _, file := range files {
		name := strings.ReplaceAll(strings.TrimSuffix(filepath.Base(file), ".txt"), "-", " ")
		t.Run(name, func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}

			input, want, ok := strings.Cut(string(text), dashes)
			if !ok {
				t.Fatal("the file has no line of dashes")
			}

			_, err = config.Parse("jeton.yaml", []byte(input+"\n"), env)
			var faults yamlread.Faults
			if !errors.As(err, &faults) {
				t.Fatalf("Parse = %v, want faults", err)
			}

			got := faults.Error() + "\n"
			if *update {
				if err := os.WriteFile(file, []byte(input+dashes+got), 0o644); err != nil {
					t.Fatal(err)
				}
			} else if got != want {
				t.Errorf("got:\n%swant:\n%s", got, want)
			}
		})
	}
}

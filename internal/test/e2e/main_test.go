package e2e

import (
	"os"
	"path/filepath"
	"testing"
)

func TestMain(m *testing.M) { os.Exit(Main(m)) }

// example returns the configuration of an example.
func example(name string) string {
	return filepath.Join("..", "..", "examples", name, "jeton.yaml")
}

// soak reports whether the long proofs were asked for.
func soak() bool { return os.Getenv("JETON_SOAK") != "" }

// missing skips a test whose tools are not there; where changes are judged, nothing is skipped.
func missing(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("JETON_CI") != "" {
		t.Fatalf("%s; this test may not be skipped where JETON_CI is set", what)
	}
	t.Skip(what)
}

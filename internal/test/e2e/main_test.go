package e2e

import (
	"os"
	"path/filepath"
	"testing"
)

func TestMain(m *testing.M) { os.Exit(Main(m)) }

// example returns the configuration of an example.
func example(name string) string {
	return filepath.Join("..", "..", "..", "examples", name, "jeton.yaml")
}

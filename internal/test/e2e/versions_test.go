//go:build unix

package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jeton-auth/jeton/internal/test/need"
)

// envFrom names the version from which the tests upgrade, in place of the last release: any name that git knows.
const envFrom = "JETON_UPGRADE_FROM"

// sources is the repository, from which earlier versions are built.
type sources struct{ root string }

// newSources finds the repository of the module. A copy of the sources without their history has none.
func newSources(t *testing.T) sources {
	t.Helper()
	need.Program(t, "git")
	root, err := moduleDir()
	if err != nil {
		t.Fatal(err)
	}

	s := sources{root}
	if _, err := s.git("rev-parse", "--verify", "HEAD^"); err != nil {
		need.Missing(t, "the sources have no history; earlier versions are built from it")
	}

	return s
}

// git runs a command of git and returns the first line of its output.
func (s sources) git(args ...string) (string, error) {
	out, err := exec.Command("git", append([]string{"-C", s.root}, args...)...).Output()
	if err != nil {
		return "", fmt.Errorf("git %s: %w", strings.Join(args, " "), err)
	}

	line, _, _ := strings.Cut(string(out), "\n")

	return line, nil
}

// schema is the commit with which the last step of the schema of an engine came.
func (s sources) schema(t *testing.T, engine string) string {
	t.Helper()
	ref, err := s.git("log", "-1", "--format=%H", "--", "internal/store/"+engine+"/schema")
	if err != nil {
		t.Fatal(err)
	}

	return ref
}

// previous is the version to upgrade from: the one that JETON_UPGRADE_FROM names, else the last release
// before this commit, else the commit before the last step of the schema.
func (s sources) previous(t *testing.T, engine string) string {
	t.Helper()
	if ref := os.Getenv(envFrom); ref != "" {
		return ref
	}

	tag, err := s.git("describe", "--tags", "--abbrev=0", "--match=v*", "HEAD^")
	if err == nil {
		return tag
	}

	return s.schema(t, engine) + "^"
}

// build builds the program of a version, without paths in it: so what versions share is compiled once.
func (s sources) build(t *testing.T, ref string) string {
	t.Helper()
	dir := t.TempDir()
	archive := filepath.Join(dir, "sources.tar")
	if _, err := s.git("archive", "--output="+archive, ref); err != nil {
		t.Fatal(err)
	}

	tree := filepath.Join(dir, "tree")
	if err := os.Mkdir(tree, 0o700); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("tar", "-xf", archive, "-C", tree).CombinedOutput(); err != nil {
		t.Fatalf("unpack %s: %v\n%s", ref, err, out)
	}

	return buildTree(t, tree)
}

// next builds this program with one more step of the PostgreSQL schema, beside which the present version goes on.
func (s sources) next(t *testing.T) string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(s.root, "internal/store/postgres/schema/*.sql"))
	if err != nil || len(names) == 0 {
		t.Fatalf("steps of the schema = %v, %v, want some", names, err)
	}

	dir := t.TempDir()
	step := filepath.Join(dir, "step.sql")
	text := fmt.Sprintf("-- needs: %d\nALTER TABLE sessions ADD COLUMN trial TEXT NOT NULL DEFAULT '';\n", len(names))
	if err := os.WriteFile(step, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}

	name := fmt.Sprintf("%04d_trial.sql", len(names)+1)
	overlay, err := json.Marshal(map[string]map[string]string{
		"Replace": {filepath.Join(s.root, "internal/store/postgres/schema", name): step},
	})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(path, overlay, 0o600); err != nil {
		t.Fatal(err)
	}

	return buildTree(t, s.root, "-overlay="+path)
}

// buildTree builds the program of a source tree.
func buildTree(t *testing.T, tree string, flags ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "jeton")
	cmd := exec.Command("go", append(append([]string{"build", "-trimpath", "-o", path}, flags...), "./cmd/jeton")...)
	cmd.Dir = tree
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off")

	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v\n%s", tree, err, out)
	}

	return path
}

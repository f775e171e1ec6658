package examples_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/jeton-auth/jeton/internal/test/need"
)

// TestClientLibraries follows the READMEs of the libraries in clients, after the first steps of the guide's page that
// they continue. Every program that they show has to get a report.
func TestClientLibraries(t *testing.T) {
	needs(t)
	need.Program(t, "node")
	need.Program(t, "npm")

	dir := t.TempDir()
	copyClients(t, dir)

	steps := fenced(readPage(t, "../docs/guide/run.md"))
	login := slices.IndexFunc(steps, func(b block) bool { return strings.Contains(b.text, "jeton login") })
	steps = steps[:login+1]
	for _, library := range []string{"python", "npm"} {
		steps = append(steps, fenced(readPage(t, filepath.Join("..", "clients", library, "README.md")))...)
	}

	out := follow(t, dir, steps)
	if got, want := strings.Count(out, "a report\n"), 2*5; got != want {
		t.Errorf("the programs have printed %d reports, want %d:\n%s", got, want, out)
	}
}

// TestClientLibrariesAlone runs the tests that the libraries have of their own.
func TestClientLibrariesAlone(t *testing.T) {
	dir := t.TempDir()
	copyClients(t, dir)

	for library, command := range map[string][]string{
		"python": {need.Program(t, python), "-W", "error", "-m", "unittest"},
		"npm":    {need.Program(t, "node"), "--test"},
	} {
		t.Run(library, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), command[0], command[1:]...)
			cmd.Dir = filepath.Join(dir, "clients", library)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%v: %v\n%s", command, err, out)
			}
		})
	}
}

// copyClients copies the libraries into a directory: Python and npm write beside what they read.
func copyClients(t *testing.T, dir string) {
	t.Helper()

	if err := os.CopyFS(filepath.Join(dir, "clients"), os.DirFS("../clients")); err != nil {
		t.Fatal(err)
	}
}

func readPage(t *testing.T, path string) string {
	t.Helper()

	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}

	return string(text)
}

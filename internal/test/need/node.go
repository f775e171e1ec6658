package need

import (
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/gofrs/flock"
)

// NodeModules returns a folder with the packages of npm that package-lock.json in the folder lock pins,
// and the command that runs Node. The packages are installed once and kept in the user's cache. npm
// uses the registry of its configuration.
func NodeModules(tb testing.TB, lock string) (folder string, node []string) {
	tb.Helper()
	External(tb)

	node, err := nodeCommand()
	if err != nil {
		Missing(tb, "node is not there")
	}
	Program(tb, "npm")

	cache, err := os.UserCacheDir()
	if err != nil {
		cache = os.TempDir()
	}

	pinned, err := os.ReadFile(filepath.Join(lock, "package-lock.json"))
	if err != nil {
		tb.Fatal(err)
	}

	sum := sha256.Sum256(pinned)
	place := filepath.Join(cache, "jeton-e2e", fmt.Sprintf("npm-%x", sum[:8]))
	modules := filepath.Join(place, "node_modules")
	if _, err := os.Stat(modules); err == nil {
		return modules, node
	}

	err = installModules(lock, place)
	if err != nil {
		Missing(tb, err.Error())
	}

	return modules, node
}

// nodeCommand asks Node for its version once a process: to start it costs a fifth of a second, and the
// tests of the pages ask a hundred times.
var nodeCommand = sync.OnceValues(func() ([]string, error) {
	old, err := exec.Command("node", "-p", "parseInt(process.versions.node) < 20").Output()
	if err != nil {
		return nil, err
	}

	node := []string{"node"}
	if strings.TrimSpace(string(old)) == "true" { // Debian's has what the libraries need, and asks to be asked
		node = append(node, "--experimental-global-webcrypto")
	}

	// Callers append to it.
	return slices.Clip(node), nil
})

// installModules installs the packages elsewhere and then moves the folder to its place. Of several test binaries, one
// installs them and the others wait.
func installModules(lock, place string) error {
	err := os.MkdirAll(filepath.Dir(place), 0o700)
	if err != nil {
		return err
	}

	one := flock.New(place + ".lock")
	err = one.Lock()
	if err != nil {
		return err
	}
	defer func() { _ = one.Close() }()

	_, err = os.Stat(place)
	if err == nil {
		return nil
	}

	dir, err := os.MkdirTemp(filepath.Dir(place), "new-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)

	for _, name := range []string{"package.json", "package-lock.json"} {
		b, err := os.ReadFile(filepath.Join(lock, name))
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), b, 0o600)
		}
		if err != nil {
			return err
		}
	}

	cmd := exec.Command("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	cmd.Dir = dir

	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("npm ci: %w\n%s", err, out)
	}

	return os.Rename(dir, place)
}

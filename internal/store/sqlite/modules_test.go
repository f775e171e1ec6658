package sqlite

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// TestLibcIsTheOneSQLiteAsksFor holds an invariant of the driver: its translated C code
// works with exactly the version of modernc.org/libc that its go.mod names, and an
// update of the one without the other fails without an error.
func TestLibcIsTheOneSQLiteAsksFor(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), "go", "list", "-m", "-json", "modernc.org/sqlite", "modernc.org/libc")
	cmd.Env = append(os.Environ(), "GOPROXY=off") // what the build has downloaded is enough
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}

	type module struct{ Path, Version, GoMod string }

	modules := map[string]module{}
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var m module
		if err := dec.Decode(&m); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}

		modules[m.Path] = m
	}

	file, err := os.ReadFile(modules["modernc.org/sqlite"].GoMod)
	if err != nil {
		t.Fatal(err)
	}

	wants := regexp.MustCompile(`(?m)^\s*(?:require\s+)?modernc\.org/libc\s+(\S+)`).FindStringSubmatch(string(file))
	if wants == nil {
		t.Fatal("the go.mod of modernc.org/sqlite names no modernc.org/libc")
	}

	got := modules["modernc.org/libc"].Version
	if got != wants[1] {
		t.Errorf(
			"modernc.org/libc is %s; modernc.org/sqlite %s asks for %s",
			got, modules["modernc.org/sqlite"].Version, wants[1],
		)
	}
}

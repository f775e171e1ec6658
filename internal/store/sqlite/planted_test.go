//go:build !planted_unconditional

package sqlite

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/jeton-auth/jeton/internal/test/need"
	"github.com/jeton-auth/jeton/internal/test/storetest"
)

// TestPlantedBugIsNoticed builds this package with a spend without its condition
// (spend_planted.go) and expects that the check of recorded histories alone fails.
func TestPlantedBugIsNoticed(t *testing.T) {
	need.Soak(t)

	cmd := exec.CommandContext(
		t.Context(), "go", "test", "-count=1", "-timeout=2m", "-tags=planted_unconditional",
		"-run=^TestKeepsItsContract$/^linearizable$", ".",
	)
	// As the server is built, so that the build is shared. The short size is enough.
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "JETON_SOAK=0")
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		t.Fatalf("the tests of the planted bug ended with %v, want a failure:\n%s", err, out)
	}

	if !strings.Contains(
		string(out),
		storetest.NotLinearizable,
	) || !strings.Contains(string(out), "--- FAIL: TestKeepsItsContract/linearizable") {
		t.Errorf("the tests of the planted bug failed for another reason:\n%s", out)
	}
}

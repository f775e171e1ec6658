package browser

import (
	"errors"
	"fmt"
	"os"
	"testing"
)

// shared are the processes of a test binary. Each starts with the first test that needs it.
var shared struct {
	chromium chromium
	node     node
}

// Main runs the tests of a package and then ends the browsers. It returns the exit code.
func Main(m *testing.M) int {
	code := m.Run()

	err := errors.Join(shared.chromium.stop(), shared.node.stop())
	if err != nil {
		fmt.Fprintln(os.Stderr, "end the browsers:", err)
		return 1
	}

	return code
}

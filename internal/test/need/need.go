// Package need states what a test needs beside Go, and leaves the test out where
// that is missing.
//
// A test that is left out says why, and the reason is added to the file that
// JETON_LEFT_OUT names, so that 'make test' can list it. Where JETON_CI is set,
// nothing may be left out: the test fails. In short mode ('make check') tests
// with external programs and slow ones do not run at all. A test of the repository
// holds that no other package leaves tests out.
package need

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// Program returns the path of the first of the names that is installed.
func Program(tb testing.TB, names ...string) string {
	tb.Helper()
	External(tb)

	for _, name := range names {
		path, err := exec.LookPath(name)
		if err == nil {
			return path
		}
	}

	Missing(tb, fmt.Sprintf("%s is not installed; scripts/tools.sh installs it", names[0]))

	return ""
}

// Missing leaves the test out, because of what is missing. It fails the test where JETON_CI is set.
func Missing(tb testing.TB, what string) {
	tb.Helper()

	if os.Getenv("JETON_CI") != "" {
		tb.Fatalf("%s; with JETON_CI set, this test must run", what)
	}

	note(tb, what)
	tb.Skip(what)
}

// Optional is Missing for what no package can bring, such as a permission to mount, or what not every
// distribution has: it does not fail where JETON_CI is set.
func Optional(tb testing.TB, what string) {
	tb.Helper()
	note(tb, what)
	tb.Skip(what)
}

// Root leaves the test out if it does not run as root. The name of such a test has AsRoot: where CI
// is an ordinary user, it runs the tests of that name as root, in a step of its own.
func Root(tb testing.TB) {
	tb.Helper()

	if !strings.Contains(tb.Name(), "AsRoot") {
		tb.Fatal("the name of a test that needs root must have AsRoot: by it, CI runs the test as root")
	}

	if os.Geteuid() != 0 {
		Optional(tb, "the test needs root")
	}
}

// note adds a line to the file that JETON_LEFT_OUT names.
func note(tb testing.TB, what string) {
	tb.Helper()

	name := os.Getenv("JETON_LEFT_OUT")
	if name == "" {
		return
	}

	f, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		tb.Fatal(err)
	}

	_, err = fmt.Fprintf(f, "%s: %s\n", tb.Name(), what)
	if err != nil {
		tb.Error(err)
	}

	err = f.Close()
	if err != nil {
		tb.Fatal(err)
	}
}

// External leaves the test out in short mode, because it runs external programs.
func External(tb testing.TB) {
	tb.Helper()

	if testing.Short() {
		tb.Skip("runs external programs: not in short mode")
	}
}

// Slow leaves the test out in short mode, because it takes many seconds.
func Slow(tb testing.TB) {
	tb.Helper()

	if testing.Short() {
		tb.Skip("takes many seconds: not in short mode")
	}
}

// Elsewhere leaves the test out, because another step of 'make test' runs it; where says which and why.
func Elsewhere(tb testing.TB, where string) {
	tb.Helper()
	tb.Skip(where)
}

// Soak leaves the test out unless 'make soak' runs it.
func Soak(tb testing.TB) {
	tb.Helper()

	if !Soaking() {
		tb.Skip("a long proof: 'make soak' runs it")
	}
}

// Soaking reports whether 'make soak' runs the tests.
func Soaking() bool { return os.Getenv("JETON_SOAK") == "1" }

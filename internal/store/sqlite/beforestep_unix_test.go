//go:build unix

package sqlite

import (
	"os"
	"syscall"
	"testing"
)

// TestTheKeptDatabaseHasTheOwnerOfTheDatabase is about root, who may upgrade the database of a service's
// user. Another user can only keep a copy of his own.
func TestTheKeptDatabaseHasTheOwnerOfTheDatabase(t *testing.T) {
	path := past(t, 5)
	want := uint32(os.Geteuid())
	if want == 0 {
		want = 65534
		must(t, os.Chown(path, int(want), int(want)))
	}

	_, err := Migrate(t.Context(), Config{Path: path}, false)
	must(t, err)

	info, err := os.Stat(path + ".before-6")
	must(t, err)
	if got := info.Sys().(*syscall.Stat_t).Uid; got != want {
		t.Errorf("owner of the copy = %d, want that of the database, %d", got, want)
	}
}

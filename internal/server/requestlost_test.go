package server

import (
	"os"
	"path/filepath"
	"testing"
)

// TestLostLinesOfRequestsAreCounted has a file that takes no lines, as on a full disk.
func TestLostLinesOfRequestsAreCounted(t *testing.T) {
	path := filepath.Join(t.TempDir(), "requests.log")
	err := os.WriteFile(path, nil, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	readOnly, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}

	var f requestFile
	f.exchange(readOnly)
	for range 2 {
		if n, err := f.Write([]byte("line\n")); n != 5 || err != nil {
			t.Errorf("Write = %d, %v, want 5 and nil: requests go on", n, err)
		}
	}
	if got := f.lostLines(); got != 2 {
		t.Errorf("lostLines = %d, want 2", got)
	}
	f.exchange(nil)
}

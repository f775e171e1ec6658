package server

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/jeton-auth/jeton/internal/config"
)

func TestAStartRemovesOnlyWhatItCreated(t *testing.T) {
	for _, tc := range []struct {
		name   string
		conf   config.Config
		change func(t *testing.T, f *dataDir)
		left   bool
	}{
		{"nothing else", config.Config{}, func(*testing.T, *dataDir) {}, false},
		{"a client of the control socket", config.Config{}, func(_ *testing.T, f *dataDir) { f.keep() }, true},
		{"a file of another program", config.Config{}, func(t *testing.T, f *dataDir) {
			if err := os.WriteFile(f.file("requests.log"), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}, true},
		{"keys in a shared database", config.Config{Database: &config.Database{}}, func(*testing.T, *dataDir) {}, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "data")
			s := &Server{c: Config{DataDir: path}, conf: &tc.conf}
			f, err := s.holdDataDir()
			if err != nil {
				t.Fatal(err)
			}
			tc.change(t, f)
			f.release()

			_, err = os.Stat(filepath.Join(path, fileLock))
			if left := err == nil; left != tc.left {
				t.Errorf("the data directory is left: %t (%v), want %t", left, err, tc.left)
			}
		})
	}
}

func TestADirectoryThatIsRemovedMeanwhileIsNotHeld(t *testing.T) {
	f, err := holdDataDir(t.TempDir(), "1")
	if err != nil {
		t.Fatal(err)
	}
	defer f.release()

	name := filepath.Join(f.path, fileLock)
	if !current(f.lock, name) {
		t.Error("the lock is not of its file, want it to be")
	}
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
	if current(f.lock, name) {
		t.Error("the lock is of a file that was removed, want an error")
	}
}

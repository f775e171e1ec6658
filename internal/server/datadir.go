package server

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/gofrs/flock"
)

// Files of a data directory.
const (
	fileDB      = "jeton.db"
	fileSecret  = "keys.secret"
	fileSocket  = "control.sock"
	fileLock    = "jeton.lock"
	filePID     = "jeton.pid"
	fileNew     = ".new" // suffix of an incomplete file
	folderMode  = 0o700
	privateMode = 0o600
)

// ErrInUse means that another process holds the data directory.
var ErrInUse = errors.New("the data directory is in use")

// dataDir is a data directory that this process holds.
type dataDir struct {
	path string
	lock *flock.Flock
}

// lockDataDir creates the directory if it does not exist and locks it, so that two processes
// never write one store. If another process holds it, the error names that process.
func lockDataDir(path string) (*dataDir, error) {
	if path == "" {
		return nil, errors.New("no data directory: name one with --data-dir, JETON_DATA_DIR or data_dir")
	}
	if err := os.MkdirAll(path, folderMode); err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}

	lock := flock.New(filepath.Join(path, fileLock), flock.SetPermissions(privateMode))
	held, err := lock.TryLock()
	if err != nil {
		return nil, fmt.Errorf("lock data directory %s: %w (the server must be able to write there)", path, err)
	}

	if !held {
		return nil, fmt.Errorf("%w: process %s holds %s", ErrInUse, holder(path), path)
	}

	// Only for the error of a second process. The lock decides, also when a killed server left
	// this.
	pid := []byte(strconv.Itoa(os.Getpid()) + "\n")
	if err := os.WriteFile(filepath.Join(path, filePID), pid, privateMode); err != nil {
		_ = lock.Unlock()
		return nil, fmt.Errorf("data directory: %w", err)
	}

	return &dataDir{path, lock}, nil
}

// holder returns the process id that the holder of the directory has written, for the error
// text. The lock decides, not this file, which may be out of date.
func holder(path string) string {
	b, err := os.ReadFile(filepath.Join(path, filePID))
	if err != nil {
		return "(unknown)"
	}
	return strings.TrimSpace(string(b))
}

// release gives the directory up to the next process.
func (f *dataDir) release() {
	_ = os.Remove(filepath.Join(f.path, fileSocket))
	_ = os.Remove(filepath.Join(f.path, filePID))
	// Last: the next holder makes files of the same names. If this fails, the lock ends with the
	// process.
	_ = f.lock.Unlock()
}

// file returns the path of a file that the configuration names: relative names are in the
// data directory.
func (f *dataDir) file(name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(f.path, name)
}

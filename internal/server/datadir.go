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

// The files in a data folder.
const (
	fileDB      = "jeton.db"
	fileSecret  = "keys.secret"
	fileSocket  = "control.sock"
	fileLock    = "jeton.lock"
	filePID     = "jeton.pid"
	fileNew     = ".new" // behind the name of a file that is not whole yet
	folderMode  = 0o700
	privateMode = 0o600
)

// ErrInUse means that another process holds the data folder.
var ErrInUse = errors.New("the data folder is in use")

// folder is a data folder that this process holds.
type folder struct {
	path string
	lock *flock.Flock
}

// holdFolder makes the folder if it is not there and locks it, so that two processes
// never write one store. The error of a folder that is held names the holder.
func holdFolder(path string) (*folder, error) {
	if path == "" {
		return nil, errors.New("no data folder: name one with --data-dir, JETON_DATA_DIR or data_dir")
	}
	if err := os.MkdirAll(path, folderMode); err != nil {
		return nil, fmt.Errorf("data folder: %w", err)
	}

	lock := flock.New(filepath.Join(path, fileLock), flock.SetPermissions(privateMode))
	held, err := lock.TryLock()
	if err != nil {
		return nil, fmt.Errorf("lock data folder %s: %w (the server must be able to write there)", path, err)
	}

	if !held {
		return nil, fmt.Errorf("%w: process %s holds %s", ErrInUse, holder(path), path)
	}

	pid := []byte(strconv.Itoa(os.Getpid()) + "\n")
	if err := os.WriteFile(filepath.Join(path, filePID), pid, privateMode); err != nil {
		_ = lock.Unlock()
		return nil, fmt.Errorf("data folder: %w", err)
	}

	return &folder{path, lock}, nil
}

func holder(path string) string {
	b, err := os.ReadFile(filepath.Join(path, filePID))
	if err != nil {
		return "(unknown)"
	}
	return strings.TrimSpace(string(b))
}

func (f *folder) release() {
	_ = os.Remove(filepath.Join(f.path, fileSocket))
	_ = os.Remove(filepath.Join(f.path, filePID))
	_ = f.lock.Unlock()
}

func (f *folder) file(name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(f.path, name)
}

package server

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/jeton-auth/jeton/internal/secretfile"

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
	path  string
	lock  *flock.Flock
	noted string // file for RunningServers, or ""
	// Of a first start; see failedstart.go.
	created []string
	kept    atomic.Bool
}

// lockDataDir holds the directory for a command.
func lockDataDir(path string) (*dataDir, error) {
	return holdDataDir(path, strconv.Itoa(os.Getpid())+aCommand)
}

// aCommand follows the process id of a command, which SIGHUP would end.
const aCommand = " (a command)"

// holdDataDir creates the directory if it does not exist and locks it, so that two processes
// never write one store. If another process holds it, the error names that process.
func holdDataDir(path, holder string) (*dataDir, error) {
	if path == "" {
		return nil, errors.New("no data directory: name one with --data-dir, JETON_DATA_DIR or data_dir")
	}
	if err := makeDataDir(path); err != nil {
		return nil, err
	}

	name := filepath.Join(path, fileLock)
	// Before flock would create it, with the owner of this process.
	f, err := secretfile.Create(name)
	if err == nil {
		_ = f.Close()
	} else if !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("lock data directory %s: %w (the server must be able to write there)", path, err)
	}

	lock := flock.New(name, flock.SetPermissions(privateMode))
	held, err := lock.TryLock()
	if err != nil {
		return nil, fmt.Errorf("lock data directory %s: %w (the server must be able to write there)", path, err)
	}

	if !held {
		return nil, fmt.Errorf("%w: process %s holds %s", ErrInUse, Holder(path), path)
	}
	if !current(lock, name) {
		_ = lock.Unlock()
		return nil, fmt.Errorf("lock data directory %s: another process has just removed it; start again", path)
	}

	// Only for the texts of commands. The lock decides, also when a killed server left
	// this.
	if err := replacePrivate(filepath.Join(path, filePID), []byte(holder+"\n")); err != nil {
		_ = lock.Unlock()
		return nil, fmt.Errorf("data directory: %w", err)
	}

	return &dataDir{path: path, lock: lock}, nil
}

// current reports whether a lock is of the file that has its name, not of one that was removed.
func current(lock *flock.Flock, name string) bool {
	held, err := lock.Stat()
	if err != nil {
		return false
	}
	named, err := os.Stat(name)

	return err == nil && os.SameFile(held, named)
}

// makeDataDir creates the directory if it does not exist. It refuses one in which other users
// can replace the database and the keys.
func makeDataDir(path string) error {
	if err := secretfile.CreateDir(path); err != nil {
		return fmt.Errorf("data directory: %w", err)
	}

	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("data directory: %w", err)
	}

	if runtime.GOOS != "windows" && info.Mode().Perm()&0o002 != 0 {
		return fmt.Errorf(
			"data directory %s can be written by other users (mode %04o): chmod 700 %s",
			path, info.Mode().Perm(), path,
		)
	}

	return nil
}

// replacePrivate replaces a file by one that only its owner can open, or leaves none. It follows
// no link, and takes no file that another user has open.
func replacePrivate(path string, text []byte) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}

	f, err := secretfile.Create(path)
	if err != nil {
		return err
	}

	_, err = f.Write(text)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		_ = os.Remove(path)
		return err
	}

	return nil
}

// Holder returns the process id that the holder of a data directory has written, for texts. The
// lock decides, not this file, which may be out of date.
func Holder(path string) string {
	b, err := os.ReadFile(filepath.Join(path, filePID))
	if err != nil {
		return "(unknown)"
	}
	return strings.TrimSpace(string(b))
}

// release gives the directory up to the next process.
func (f *dataDir) release() {
	if f.noted != "" {
		_ = os.Remove(f.noted)
	}
	_ = os.Remove(filepath.Join(f.path, fileSocket))
	_ = os.Remove(filepath.Join(f.path, filePID))
	f.removeCreated()
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

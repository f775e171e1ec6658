package server

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/secretfile"
)

// Running is a server that answers on its control socket.
type Running struct {
	DataDir string
	PID     string
}

// RunningServers returns the servers on this machine that this process's user started, and those
// that the service manager runs. It helps to word an error, so it returns none: a server that it
// cannot find is missing from the list.
func RunningServers(ctx context.Context) []Running {
	var list []Running
	for _, dir := range runDirs() {
		if !trusted(dir) {
			continue
		}

		entries, _ := os.ReadDir(dir)
		for _, e := range entries {
			if !strings.HasSuffix(e.Name(), runSuffix) {
				continue
			}

			path := filepath.Join(dir, e.Name())
			text, err := os.ReadFile(path)
			if err != nil {
				continue
			}

			// A server that was killed could not remove its file. If its data is gone too, it is
			// not coming back.
			dataDir := strings.TrimSuffix(string(text), "\n")
			if _, err := os.Stat(dataDir); errors.Is(err, fs.ErrNotExist) {
				_ = os.Remove(path)
				continue
			}

			conn, err := DialControl(ctx, dataDir)
			if err != nil {
				continue
			}
			_ = conn.Close()

			list = append(list, Running{dataDir, Holder(dataDir)})
		}
	}

	return list
}

// runSuffix ends the names of the files in which servers leave their data directories.
const runSuffix = ".server"

// runDirs returns where servers leave these files. A server uses the first. /run/jeton is the
// RuntimeDirectory of a unit: only the service manager can make it.
func runDirs() []string {
	var list []string
	for _, name := range []string{"RUNTIME_DIRECTORY", "XDG_RUNTIME_DIR"} {
		dir := os.Getenv(name)
		if filepath.IsAbs(dir) {
			list = append(list, filepath.Join(dir, "jeton"))
		}
	}

	return append(list, filepath.Join(os.TempDir(), "jeton-"+strconv.Itoa(os.Getuid())), "/run/jeton/jeton")
}

// trusted reports whether only this process's user, or the service manager below /run, can have
// written in a directory. Every user of the machine may make one in the temporary directory.
func trusted(dir string) bool {
	info, err := os.Lstat(dir)
	if err != nil || !info.IsDir() || info.Mode().Perm()&0o022 != 0 {
		return false
	}

	uid, _, known := secretfile.Owner(info)

	return !known || uid == os.Getuid() || strings.HasPrefix(dir, "/run/jeton/")
}

// note leaves the name of the data directory where RunningServers finds it. It does no harm if
// that fails.
func (f *dataDir) note() {
	dir := runDirs()[0]
	if err := os.MkdirAll(dir, folderMode); err != nil || !trusted(dir) {
		return
	}

	sum := sha256.Sum256([]byte(f.path))
	path := filepath.Join(dir, fmt.Sprintf("%x%s", sum[:8], runSuffix))
	if replacePrivate(path, []byte(f.path+"\n")) == nil {
		f.noted = path
	}
}

// Where names what a command works on, without secrets: the data directory, or the database that
// nodes share.
func (c Config) Where() string {
	if c.File.Database != nil {
		return "the database " + c.File.Database.Where()
	}
	return c.DataDir
}

// mustExist returns jeton.ErrNotFound if a command would create the database in the data
// directory. PostgreSQL is never created by a command.
func (c Config) mustExist() error {
	if c.Create || c.File.Database != nil {
		return nil
	}

	_, err := os.Stat(DataFile(c.DataDir))
	if !errors.Is(err, fs.ErrNotExist) {
		return nil // opening it reports what is wrong with it
	}

	text := "no Jeton data in " + c.DataDir
	// A node that shares PostgreSQL has a secret and no database of its own.
	if _, err := os.Stat(filepath.Join(c.DataDir, fileSecret)); err == nil {
		text += ", only " + fileSecret + "; name the configuration of its server with --config"
	}

	return noData{jeton.WithDetail(jeton.ErrNotFound, text), text}
}

// noData prints only its text, not that of its kind.
type noData struct {
	error
	text string
}

func (e noData) Error() string { return e.text }

func (e noData) Unwrap() error { return e.error }

// IsNoData reports whether an error means that the data directory has no database.
func IsNoData(err error) bool {
	var none noData
	return errors.As(err, &none)
}

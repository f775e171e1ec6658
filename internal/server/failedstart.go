package server

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"

	"github.com/jeton-auth/jeton/internal/config"
)

// startFiles are the files that a start creates in a new data directory.
var startFiles = map[string]bool{
	fileDB:                    true,
	fileDB + "-wal":           true,
	fileDB + "-shm":           true,
	fileSecret:                true,
	fileLock:                  true,
	config.DefaultCertificate: true,
	"private.pem":             true, // the key of the default certificate
}

// missingFolders returns the folders of a path that do not exist, the innermost first.
func missingFolders(path string) (list []string) {
	for {
		_, err := os.Lstat(path)
		if !errors.Is(err, fs.ErrNotExist) {
			return list
		}

		list = append(list, path)
		path = filepath.Dir(path)
	}
}

// holdDataDir holds the data directory of a start. One that it creates is removed again, with the folders above it that
// were missing, if the start fails before anything answers a client.
func (s *Server) holdDataDir() (*dataDir, error) {
	missing := missingFolders(s.c.DataDir)
	dir, err := holdDataDir(s.c.DataDir, strconv.Itoa(os.Getpid()))
	if err != nil {
		return nil, err
	}

	// With a shared database, the secret of the directory may open keys that are stored by then. A database is one of a
	// command that was faster than this start.
	_, err = os.Lstat(DataFile(dir.path))
	if s.conf.Database == nil && errors.Is(err, fs.ErrNotExist) {
		dir.created = missing
	}

	return dir, nil
}

// keep keeps the directory: a client may rely on what is stored in it.
func (f *dataDir) keep() { f.kept.Store(true) }

// removeCreated removes a directory that this process has created, unless it is kept or has a file in it that a start
// does not create. The caller holds the lock.
func (f *dataDir) removeCreated() {
	if len(f.created) == 0 || f.kept.Load() {
		return
	}

	entries, err := os.ReadDir(f.path)
	if err != nil {
		return
	}
	for _, e := range entries {
		if !startFiles[e.Name()] {
			return
		}
	}

	for _, e := range entries {
		_ = os.Remove(filepath.Join(f.path, e.Name()))
	}
	for _, folder := range f.created {
		if os.Remove(folder) != nil {
			return // another process has made a file in it
		}
	}
}

// keepingListener keeps the data directory from its first connection on.
type keepingListener struct {
	net.Listener
	dir *dataDir
}

// Accept implements net.Listener.
func (l keepingListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err == nil {
		l.dir.keep()
	}

	return conn, err
}

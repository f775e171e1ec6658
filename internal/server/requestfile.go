package server

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"sync"

	"github.com/jeton-auth/jeton/internal/config"
)

// requestFileMode lets a group read the file, for tools that ship logs.
const requestFileMode = 0o640

// requestFile is the file of log.requests_file. A reload opens it again. It is safe for concurrent use.
type requestFile struct {
	mu   sync.Mutex
	file *os.File // nil: there is none
	lost int64    // lines that could not be written, as on a full disk
}

// lostLines returns how many lines could not be written since the start.
func (f *requestFile) lostLines() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()

	return f.lost
}

// openRequestFile opens the file of a configuration, or returns nil if it has none.
func (s *Server) openRequestFile(conf *config.Config) (*os.File, error) {
	if conf.Log.File == "" {
		return nil, nil
	}

	path := s.core.dir.file(conf.Log.File)

	// To open a pipe waits for its reader, and a full one would stop all requests.
	info, err := os.Stat(path)
	if err == nil && !info.Mode().IsRegular() {
		return nil, fmt.Errorf("log.requests_file: %s is not a regular file", path)
	}

	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if errors.Is(err, fs.ErrNotExist) {
		f, err = os.OpenFile(path, os.O_APPEND|os.O_WRONLY|os.O_CREATE|os.O_EXCL, requestFileMode)
	}
	if err != nil {
		return nil, fmt.Errorf("log.requests_file: %w", err)
	}

	return f, nil
}

// exchange makes next the file and closes the one before. The routes of a configuration before write to next as well.
func (f *requestFile) exchange(next *os.File) {
	f.mu.Lock()
	defer f.mu.Unlock()

	if f.file != nil {
		_ = f.file.Close()
	}
	f.file = next
}

// Write implements io.Writer. It counts a line that is lost and reports no error: the next line is tried again.
func (f *requestFile) Write(line []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()

	if f.file != nil {
		_, err := f.file.Write(line)
		if err != nil {
			f.lost++
		}
	}

	return len(line), nil
}

// requestLog returns where the lines of requests go, or nil for the log of the server.
func (s *Server) requestLog(conf *config.Config) *slog.Logger {
	if conf.Log.File == "" {
		return nil
	}

	return slog.New(slog.NewJSONHandler(&s.requestFile, nil))
}

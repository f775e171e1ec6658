//go:build unix

package wallet

import (
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// private refuses a file that other users can open, or that another user owns and could
// replace.
func private(path string, info fs.FileInfo, want fs.FileMode) error {
	if uid, ok := owner(info); ok && uid != os.Geteuid() {
		return fmt.Errorf("%s belongs to user %d, not to you: %w", path, uid, ErrExposed)
	}
	return closed(path, info, want)
}

// closed refuses a file that users other than its owner can open.
func closed(path string, info fs.FileInfo, want fs.FileMode) error {
	mode := info.Mode().Perm()
	if mode&0o077 != 0 {
		return fmt.Errorf("%s has mode %04o: %w; run: chmod %o %s", path, mode, ErrExposed, want, path)
	}
	return nil
}

// owner returns the user who owns a file.
func owner(info fs.FileInfo) (int, bool) {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, false
	}
	return int(st.Uid), true
}

// openFile opens path for reading and does not wait for the writer of a pipe.
func openFile(path string) (*os.File, error) {
	// Opening a pipe would block; with O_NONBLOCK the caller sees that it is not a regular
	// file.
	return os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
}

// syncDir makes a rename in dir durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()

	return d.Sync()
}

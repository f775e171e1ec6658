//go:build !unix

package wallet

import (
	"io/fs"
	"os"
)

// private trusts the access list of a directory under %AppData%.
func private(string, fs.FileInfo, fs.FileMode) error { return nil }

// closed accepts every file: Windows has no mode bits.
func closed(string, fs.FileInfo, fs.FileMode) error { return nil }

// owner reports that the owner is not known.
func owner(fs.FileInfo) (int, bool) { return 0, false }

// openFile opens path for reading. Windows has no named pipes in directories, for whose
// writer it would wait.
func openFile(path string) (*os.File, error) { return os.Open(path) }

// syncDir does nothing: Windows writes renames through and cannot sync a directory.
func syncDir(string) error { return nil }

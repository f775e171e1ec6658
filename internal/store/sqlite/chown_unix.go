//go:build unix

package sqlite

import (
	"io/fs"
	"os"
	"syscall"
)

// chown gives a file the owner and the group of another one: root may upgrade the database of a
// service's user.
func chown(f *os.File, like fs.FileInfo) error {
	want, ok := like.Sys().(*syscall.Stat_t)
	if !ok {
		return nil
	}

	info, err := f.Stat()
	if err != nil {
		return err
	}

	// Only root may give a file away, and a file system without owners refuses it.
	got, ok := info.Sys().(*syscall.Stat_t)
	if ok && got.Uid == want.Uid && got.Gid == want.Gid {
		return nil
	}

	return f.Chown(int(want.Uid), int(want.Gid))
}

//go:build unix

package secretfile

import (
	"io/fs"
	"syscall"
)

// Owner returns the user and the group that own a file.
func Owner(info fs.FileInfo) (uid, gid int, known bool) {
	s, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, 0, false
	}
	return int(s.Uid), int(s.Gid), true
}

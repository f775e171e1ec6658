//go:build linux || darwin

package sqlite

import "syscall"

// Free returns how many bytes a process without privileges can still write to a directory, or -1 if
// that is not known.
func Free(dir string) int64 {
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return -1
	}

	return int64(st.Bavail) * int64(st.Bsize)
}

//go:build !linux && !darwin

package sqlite

// Free returns how many bytes can still be written to a directory: -1, since it is not known here.
func Free(string) int64 { return -1 }

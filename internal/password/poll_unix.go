//go:build linux || darwin || dragonfly || freebsd || netbsd || openbsd

package password

import (
	"io"
	"os"
	"syscall"
)

// pollable makes a pipe be read without holding a thread. A hasher has one processor of
// its own in the runtime: a thread that comes back from a blocking read would keep it
// for up to ten milliseconds, by then a quarter of what the hash itself takes.
func pollable(in io.Reader) io.Reader {
	f, ok := in.(*os.File)
	if !ok {
		return in
	}

	// Fd puts the original into blocking mode; the copy is made non-blocking after it.
	fd, err := syscall.Dup(int(f.Fd()))
	if err != nil {
		return in
	}

	if err := syscall.SetNonblock(fd, true); err != nil {
		_ = syscall.Close(fd)
		return in
	}

	return os.NewFile(uintptr(fd), f.Name())
}

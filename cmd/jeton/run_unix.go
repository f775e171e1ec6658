//go:build unix

package main

import (
	"os"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// forwarded returns the signals that are for the command.
func forwarded() []os.Signal {
	return []os.Signal{
		syscall.SIGHUP,
		syscall.SIGINT,
		syscall.SIGQUIT,
		syscall.SIGTERM,
		syscall.SIGUSR1,
		syscall.SIGUSR2,
	}
}

// passOn sends a signal on to the command. What the keys of a terminal send, the command has got already: both are in
// the foreground.
func passOn(p *os.Process, s os.Signal) {
	if (s == syscall.SIGINT || s == syscall.SIGQUIT) && inForeground() {
		return
	}
	_ = p.Signal(s) // it may have ended
}

// inForeground reports whether this program is in the foreground of a terminal.
func inForeground() bool {
	tty, err := os.OpenFile("/dev/tty", os.O_RDONLY, 0)
	if err != nil {
		return false
	}
	defer tty.Close()

	group, err := unix.IoctlGetInt(int(tty.Fd()), unix.TIOCGPGRP)

	return err == nil && group == unix.Getpgrp()
}

// codeOf returns the exit code of a command, as shells have it: 128 and the number of the signal that ended it.
func codeOf(s *os.ProcessState) int {
	status, ok := s.Sys().(syscall.WaitStatus)
	if ok && status.Signaled() {
		return 128 + int(status.Signal())
	}

	return s.ExitCode()
}

// keepFromCommand keeps an inherited file descriptor from the command that this program starts. It is not closed: its
// number may have become that of another file.
func keepFromCommand(number string) {
	fd, err := strconv.Atoi(number)
	if err == nil && fd > 2 {
		unix.CloseOnExec(fd)
	}
}

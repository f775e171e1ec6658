//go:build unix && !linux

package main

import "golang.org/x/sys/unix"

// forbidDumps keeps the memory of this process from core dumps. The command that it starts writes none either. Where it
// fails, there is no other way.
func forbidDumps() { _ = unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}) }

//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// startPinned starts a command on the cores; nil is all of them. It ends with us.
func startPinned(cmd *exec.Cmd, cores []int) error {
	// The thread keeps its place while the child is made from it, and the child inherits it.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()

	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	if cores == nil {
		return cmd.Start()
	}

	var before unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		return err
	}

	wanted := setOf(cores)
	if err := unix.SchedSetaffinity(0, &wanted); err != nil {
		return fmt.Errorf("pin to cores %v: %w", cores, err)
	}
	defer func() { _ = unix.SchedSetaffinity(0, &before) }()

	return cmd.Start()
}

// setOf returns the cores as the kernel takes them.
func setOf(cores []int) (set unix.CPUSet) {
	for _, c := range cores {
		set.Set(c)
	}
	return set
}

// pin moves processes that run, each of one thread, to the cores; nil is all of them. What
// they start from then on is there, too.
func pin(cores []int, pids ...int) error {
	if cores == nil {
		for c := range runtime.NumCPU() {
			cores = append(cores, c)
		}
	}

	set := setOf(cores)
	for _, pid := range pids {
		if err := unix.SchedSetaffinity(pid, &set); err != nil && !errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("pin process %d to cores %v: %w", pid, cores, err)
		}
	}

	return nil
}

// cool drops a file from the page cache, so that the next to read it
// reads the disk. What has not been written yet stays.
func cool(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()

	// The kernel drops only pages that are written.
	if err := f.Sync(); err != nil {
		return err
	}

	return unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED)
}

// beNice sets the lowest priority for every thread of this process; on Linux each has
// its own, and new ones have that of the thread that makes them.
func beNice() {
	tasks, _ := os.ReadDir("/proc/self/task")
	for _, t := range tasks {
		if id, err := strconv.Atoi(t.Name()); err == nil {
			_ = unix.Setpriority(unix.PRIO_PROCESS, id, 19)
		}
	}
}

// kernel names the running kernel.
func kernel() string {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return "unknown"
	}
	return unix.ByteSliceToString(u.Release[:])
}

// fdatasync times one write of the block and its way to the disk.
func fdatasync(fd int, block []byte, at int64) (time.Duration, error) {
	begin := time.Now()
	if _, err := unix.Pwrite(fd, block, at); err != nil {
		return 0, err
	}

	err := unix.Fdatasync(fd)
	return time.Since(begin), err
}

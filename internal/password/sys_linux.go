package password

import (
	"fmt"
	"os"
	"strconv"
	"syscall"
)

const childrenWork = true

// childAttr makes the child die with this process even when that is killed, and keeps
// a terminal's interrupt from it: it must live while this process finishes its requests.
func childAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
}

// lowerPriority sets the niceness of this process. On Linux each thread has its own
// and new ones inherit it, so it repeats until there is no new one.
func lowerPriority(nice int) error {
	done := map[int]bool{}
	for {
		tasks, err := os.ReadDir("/proc/self/task")
		if err != nil {
			return fmt.Errorf("list threads: %w", err)
		}

		before := len(done)

		for _, t := range tasks {
			id, err := strconv.Atoi(t.Name())
			if err != nil || done[id] {
				continue
			}
			// ESRCH: the thread has ended since the directory was read.
			if err := syscall.Setpriority(syscall.PRIO_PROCESS, id, nice); err != nil && err != syscall.ESRCH {
				return os.NewSyscallError("setpriority", err)
			}

			done[id] = true
		}

		if len(done) == before {
			return nil
		}
	}
}

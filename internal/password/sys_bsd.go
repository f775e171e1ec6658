//go:build darwin || dragonfly || freebsd || netbsd || openbsd

package password

import (
	"os"
	"syscall"
)

const childrenWork = true

// childAttr keeps a terminal's interrupt from the child: it must live while this
// process finishes its requests. It dies with this process by the end of its input.
func childAttr() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// lowerPriority sets the niceness of this process.
func lowerPriority(nice int) error {
	return os.NewSyscallError("setpriority", syscall.Setpriority(syscall.PRIO_PROCESS, 0, nice))
}

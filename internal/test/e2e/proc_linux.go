package e2e

import (
	"os/exec"
	"syscall"
)

// bind makes a process die with this one, and gives it a group of its own, so that what
// it started can be ended with it.
func bind(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
}

// killAll kills a process that bind was called for, and its group.
func killAll(cmd *exec.Cmd) {
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
}

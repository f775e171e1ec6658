package pgtest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// owner is the user that the server runs as; nil is the user of this process.
type owner struct{ uid, gid int }

// runAs returns the user that the server is to run as: postgres refuses to run as root.
func runAs() (*owner, error) {
	if os.Getuid() != 0 {
		return nil, nil
	}

	u, err := user.Lookup("postgres")
	if err != nil {
		return nil, fmt.Errorf("%w: PostgreSQL cannot run as root, and no user postgres exists: %w", ErrMissing, err)
	}

	uid, err := strconv.Atoi(u.Uid)
	if err != nil {
		return nil, fmt.Errorf("read the uid of user postgres: %w", err)
	}

	gid, err := strconv.Atoi(u.Gid)
	if err != nil {
		return nil, fmt.Errorf("read the gid of user postgres: %w", err)
	}

	return &owner{uid, gid}, nil
}

// give makes a file belong to the owner.
func (o *owner) give(path string) error {
	if o == nil {
		return nil
	}
	return os.Chown(path, o.uid, o.gid)
}

// bind makes a command run as the owner, in a process group of its own, and get a signal when
// the thread that starts it ends.
func (o *owner) bind(cmd *exec.Cmd, death syscall.Signal) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: death, Setpgid: true}
	if o != nil {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(o.uid), Gid: uint32(o.gid)}
	}
}

// killGroup kills a program with its children.
func killGroup(cmd *exec.Cmd) error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }

// A server is a postmaster and its children. Each child has a session of its own, so that a
// signal to the process group would not reach it.

// pauseTree stops the postmaster first: then it starts no more children.
func pauseTree(postmaster int) error {
	if err := signal(syscall.SIGSTOP, postmaster); err != nil {
		return err
	}
	if err := waitFor(stopped, postmaster); err != nil {
		return err
	}

	list, err := children(postmaster)
	if err != nil {
		return err
	}
	if err := signal(syscall.SIGSTOP, list...); err != nil {
		return err
	}

	return waitFor(stopped, list...)
}

// resumeTree continues the postmaster last: until then it starts no more children.
func resumeTree(postmaster int) error {
	list, err := children(postmaster)
	if err != nil {
		return err
	}
	return signal(syscall.SIGCONT, append(list, postmaster)...)
}

// killTree stops the postmaster first, so that it neither starts children nor reacts to
// their end.
func killTree(postmaster int) error {
	if err := signal(syscall.SIGSTOP, postmaster); err != nil {
		return err
	}
	if err := waitFor(stopped, postmaster); err != nil {
		return err
	}

	list, err := children(postmaster)
	if err != nil {
		return err
	}

	list = append(list, postmaster)
	if err := signal(syscall.SIGKILL, list...); err != nil {
		return err
	}

	return waitFor(gone, list...)
}

// signal sends a signal to processes; one that is gone is not an error.
func signal(s syscall.Signal, pids ...int) error {
	for _, pid := range pids {
		if err := syscall.Kill(pid, s); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("signal %v to process %d: %w", s, pid, err)
		}
	}

	return nil
}

// stopped and gone test a state of proc(5); "" is a process that does not exist.
func stopped(state string) bool { return state == "T" || gone(state) }
func gone(state string) bool    { return state == "" || state == "Z" || state == "X" }

// waitFor waits until processes have reached a state. There is no event for that of a
// process which is not a child of this one.
func waitFor(reached func(state string) bool, pids ...int) error {
	deadline := time.Now().Add(timeout)
	for _, pid := range pids {
		for {
			state, _ := status(pid)
			if reached(state) {
				break
			}
			if time.Now().After(deadline) {
				return fmt.Errorf("process %d is still in state %s", pid, state)
			}

			time.Sleep(pause)
		}
	}

	return nil
}

// children returns the processes whose parent is the given one.
func children(parent int) ([]int, error) {
	all, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return nil, err
	}

	var list []int
	for _, dir := range all {
		pid, err := strconv.Atoi(filepath.Base(dir))
		if err != nil {
			continue
		}

		_, ppid := status(pid)
		if ppid == parent {
			list = append(list, pid)
		}
	}

	return list, nil
}

// status returns the state of a process and its parent, or "" and 0 if it does not exist.
func status(pid int) (state string, parent int) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "", 0
	}

	// The name of the program in parentheses may contain anything, also parentheses.
	fields := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
	if len(fields) < 2 {
		return "", 0
	}

	parent, _ = strconv.Atoi(fields[1])
	return fields[0], parent
}

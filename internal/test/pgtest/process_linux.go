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

// owner is the user as whom the server runs: PostgreSQL refuses to be root. nil is who we are.
type owner struct{ uid, gid int }

func runAs() (*owner, error) {
	if os.Getuid() != 0 {
		return nil, nil
	}

	u, err := user.Lookup("postgres")
	if err != nil {
		return nil, fmt.Errorf("%w: root needs the user postgres: %w", ErrMissing, err)
	}

	uid, err := strconv.Atoi(u.Uid)
	if err != nil {
		return nil, fmt.Errorf("read the id of user postgres: %w", err)
	}

	gid, err := strconv.Atoi(u.Gid)
	if err != nil {
		return nil, fmt.Errorf("read the group of user postgres: %w", err)
	}

	return &owner{uid, gid}, nil
}

func (o *owner) give(path string) error {
	if o == nil {
		return nil
	}
	return os.Chown(path, o.uid, o.gid)
}

// bind makes a command run as the owner, in a group of its own, and get a signal when the
// thread that starts it ends.
func (o *owner) bind(cmd *exec.Cmd, death syscall.Signal) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: death, Setpgid: true}
	if o != nil {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(o.uid), Gid: uint32(o.gid)}
	}
}

func killGroup(cmd *exec.Cmd) error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }

// A server is a tree of one level: each child of the postmaster has a session of its own,
// so that a signal to the group would not reach it.

// pauseTree stops the postmaster first: then it makes no more children.
func pauseTree(postmaster int) error {
	if err := each(syscall.SIGSTOP, postmaster); err != nil {
		return err
	}
	if err := until(stands, postmaster); err != nil {
		return err
	}

	list, err := children(postmaster)
	if err != nil {
		return err
	}
	if err := each(syscall.SIGSTOP, list...); err != nil {
		return err
	}

	return until(stands, list...)
}

func resumeTree(postmaster int) error {
	list, err := children(postmaster)
	if err != nil {
		return err
	}
	return each(syscall.SIGCONT, append(list, postmaster)...)
}

func killTree(postmaster int) error {
	if err := each(syscall.SIGSTOP, postmaster); err != nil {
		return err
	}
	if err := until(stands, postmaster); err != nil {
		return err
	}

	list, err := children(postmaster)
	if err != nil {
		return err
	}

	list = append(list, postmaster)
	if err := each(syscall.SIGKILL, list...); err != nil {
		return err
	}

	return until(gone, list...)
}

func each(s syscall.Signal, pids ...int) error {
	for _, pid := range pids {
		if err := syscall.Kill(pid, s); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("signal %v to process %d: %w", s, pid, err)
		}
	}

	return nil
}

// stands and gone judge a state of proc(5); "" is a process that is not there.
func stands(state string) bool { return state == "T" || gone(state) }
func gone(state string) bool   { return state == "" || state == "Z" || state == "X" }

func until(reached func(state string) bool, pids ...int) error {
	late := time.Now().Add(patience)
	for _, pid := range pids {
		for {
			state, _ := status(pid)
			if reached(state) {
				break
			}
			if time.Now().After(late) {
				return fmt.Errorf("process %d stays in state %s", pid, state)
			}

			time.Sleep(pause)
		}
	}

	return nil
}

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

		_, of := status(pid)
		if of == parent {
			list = append(list, pid)
		}
	}

	return list, nil
}

// status returns the state of a process and its parent, "" and 0 for one that is not there.
func status(pid int) (state string, parent int) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "", 0
	}

	// The name in parentheses may hold anything, also parentheses.
	fields := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
	if len(fields) < 2 {
		return "", 0
	}

	parent, _ = strconv.Atoi(fields[1])
	return fields[0], parent
}

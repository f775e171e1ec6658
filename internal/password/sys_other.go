//go:build !(linux || darwin || dragonfly || freebsd || netbsd || openbsd)

package password

import (
	"errors"
	"syscall"
)

// childrenWork is false where a process cannot be given a low priority and be relied
// on to end with this one; Config.Command is then not used.
const childrenWork = false

func childAttr() *syscall.SysProcAttr { return nil }

func lowerPriority(int) error { return errors.ErrUnsupported }

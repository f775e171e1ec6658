//go:build !linux

package pgtest

import (
	"fmt"
	"os/exec"
	"runtime"
	"syscall"
)

// Elsewhere nothing would end the server of a test that was killed. So none is started.

type owner struct{}

func runAs() (*owner, error) {
	return nil, fmt.Errorf("%w: a server would outlive a killed test on %s", ErrMissing, runtime.GOOS)
}

func (*owner) give(string) error              { return ErrMissing }
func (*owner) bind(*exec.Cmd, syscall.Signal) {}

func killGroup(*exec.Cmd) error { return ErrMissing }
func pauseTree(int) error       { return ErrMissing }
func resumeTree(int) error      { return ErrMissing }
func killTree(int) error        { return ErrMissing }

//go:build !linux

package main

import (
	"errors"
	"os/exec"
	"time"
)

var errLinux = errors.New("the benchmark runs on Linux: it pins processes and reads /proc")

func drive(load) (loaded, error)                                { return loaded{}, errLinux }
func startPinned(*exec.Cmd, []int) error                        { return errLinux }
func pin([]int, ...int) error                                   { return errLinux }
func cool(string) error                                         { return errLinux }
func beNice()                                                   {}
func kernel() string                                            { return "unknown" }
func fdatasync(int, []byte, int64) (d time.Duration, err error) { return 0, errLinux }

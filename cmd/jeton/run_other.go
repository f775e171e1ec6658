//go:build !unix

package main

import "os"

// forwarded returns the signals that are for the command.
func forwarded() []os.Signal { return []os.Signal{os.Interrupt} }

// passOn sends nothing: the console has sent it to the command, too.
func passOn(*os.Process, os.Signal) {}

// codeOf returns the exit code of a command.
func codeOf(s *os.ProcessState) int { return s.ExitCode() }

// forbidDumps does nothing here.
func forbidDumps() {}

// keepFromCommand does nothing: there is no --fd here.
func keepFromCommand(string) {}

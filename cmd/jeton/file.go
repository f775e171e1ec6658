package main

import (
	"io"
	"os"
)

// openInput opens a file for reading; "-" is standard input.
func openInput(stdin io.Reader, name string) (io.ReadCloser, error) {
	if name == "-" {
		return io.NopCloser(stdin), nil
	}
	return os.Open(name)
}

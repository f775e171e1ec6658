package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"regexp"
	"time"
)

var serviceURL = regexp.MustCompile(`(?m)^  \S+ +(https?://\S+)`)

// awaitURL reads the output file of a server until it contains the URL of a service.
func awaitURL(path string) (string, error) {
	deadline := time.Now().Add(30 * time.Second)
	for {
		b, err := os.ReadFile(path)
		m := serviceURL.FindSubmatch(b)
		if err == nil && m != nil {
			return string(m[1]), nil
		}

		if time.Now().After(deadline) {
			return "", fmt.Errorf("the server did not start within 30 s; output: %s, %v", b, err)
		}

		time.Sleep(20 * time.Millisecond)
	}
}

// freePort returns a port that is free at the moment.
func freePort() (string, error) {
	l, err := net.Listen("tcp", "localhost:0")
	if err != nil {
		return "", err
	}

	_, port, err := net.SplitHostPort(l.Addr().String())
	return port, errors.Join(err, l.Close())
}

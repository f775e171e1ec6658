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

// awaitURL reads the file that a server prints into until the URL of a service is there.
func awaitURL(path string) (string, error) {
	deadline := time.Now().Add(30 * time.Second)
	for {
		b, err := os.ReadFile(path)
		m := serviceURL.FindSubmatch(b)
		if err == nil && m != nil {
			return string(m[1]), nil
		}

		if time.Now().After(deadline) {
			return "", fmt.Errorf("the server did not come up: %s %v", b, err)
		}

		time.Sleep(20 * time.Millisecond)
	}
}

// freePort returns a port that nobody listens on just now.
func freePort() (string, error) {
	l, err := net.Listen("tcp", "localhost:0")
	if err != nil {
		return "", err
	}

	_, port, err := net.SplitHostPort(l.Addr().String())
	return port, errors.Join(err, l.Close())
}

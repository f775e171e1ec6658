package main

import (
	"fmt"
	"os"
	"regexp"
	"time"
)

var serviceURL = regexp.MustCompile(`(?m)^  \S+ +(https?://\S+)`)

// awaitURL reads the output file of a server until it contains the URL of a service. Only a server that has failed
// needs all of that time.
func awaitURL(path string) (string, error) {
	deadline := time.Now().Add(2 * time.Minute)
	for {
		b, err := os.ReadFile(path)
		m := serviceURL.FindSubmatch(b)
		if err == nil && m != nil {
			return string(m[1]), nil
		}

		if time.Now().After(deadline) {
			return "", fmt.Errorf("the server did not start within 2 minutes; output: %s, %v", b, err)
		}

		time.Sleep(20 * time.Millisecond)
	}
}

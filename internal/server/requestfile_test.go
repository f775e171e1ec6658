package server_test

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jeton-auth/jeton/jetontest"
)

// TestRequestsInAFileOfTheirOwn renames the file as a tool that rotates logs does, and reloads.
func TestRequestsInAFileOfTheirOwn(t *testing.T) {
	const conf = "log: {requests: all, requests_file: requests.log}\n"

	log := &logBuffer{}
	s := jetontest.Start(t, easy+conf+shop(), jetontest.Log(log, slog.LevelInfo))
	file := filepath.Join(s.Dir(), "requests.log")

	s.Ask("GET", "shop", "/me")
	rotated := file + ".1"
	if err := os.Rename(file, rotated); err != nil {
		t.Fatal(err)
	}
	if err := s.Reload(easy + conf + shop()); err != nil {
		t.Fatal(err)
	}

	s.Ask("GET", "shop", "/second")
	s.Stop() // a line is written after the response

	before, second := read(t, rotated), read(t, file)
	if !strings.Contains(second, `"path":"/second"`) {
		t.Errorf("the new file has %q, want the line of /second", second)
	}

	all := before + second
	for line := range strings.Lines(all) {
		summary(t, strings.TrimSuffix(line, "\n"))
	}
	if n := strings.Count(all, `"msg":"request"`); n != 2 || len(log.lines("request")) != 0 {
		t.Errorf("%d lines in the files and %d in the log, want 2 and 0", n, len(log.lines("request")))
	}

	if mode := fileMode(t, file); mode&0o007 != 0 {
		t.Errorf("the file has mode %v, want nothing for others", mode)
	}
}

func read(t *testing.T, name string) string {
	t.Helper()

	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}

	return string(text)
}

func fileMode(t *testing.T, name string) os.FileMode {
	t.Helper()

	info, err := os.Stat(name)
	if err != nil {
		t.Fatal(err)
	}

	return info.Mode().Perm()
}

func TestAReloadNeedsTheFileOfRequests(t *testing.T) {
	s := jetontest.Start(t, easy+shop())

	for file, want := range map[string]string{
		"absent/requests.log": "log.requests_file: ",
		"/dev/null":           "log.requests_file: /dev/null is not a regular file", // a pipe would stop all requests
	} {
		err := s.Reload(easy + "log: {requests: all, requests_file: " + file + "}\n" + shop())
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: Reload = %v, want %s", file, err, want)
		}
	}
	if a := s.Ask("GET", "shop", "/me"); a.Status != 401 {
		t.Errorf("the service answers %d after it, want 401 as before", a.Status)
	}
}

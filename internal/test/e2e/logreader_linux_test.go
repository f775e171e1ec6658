package e2e

import (
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// lostLines finds a number of lost log lines that is not 0.
var lostLines = regexp.MustCompile(`(?m)^jeton_log_lost_total [1-9]`)

// TestTheReaderOfTheLogGoesAway checks that the server outlives the program that reads its log, as a
// restart of journald or the end of "| logger", and counts the lines.
func TestTheReaderOfTheLogGoesAway(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "log")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}

	// For writing, too: else it waits for the server.
	reader, err := os.OpenFile(pipe, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}

	s := Start(t, Options{
		Config: counted,
		Under:  []string{"sh", "-c", `exec "$@" 2>"$LOG"`, "sh"},
		Env:    []string{"LOG=" + pipe},
	})
	_ = reader.Close()

	if err := syscall.Kill(s.PID, syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}

	Wait(t, "a log line to be lost", func() bool {
		return lostLines.MatchString(s.metrics(t))
	})

	s.Client(t).MustLogin(t, crashName, crashPW)
	s.Stop(t)
}

// TestTheReaderOfTheLogHangs checks that a server starts and answers while nothing reads its log, and
// that the lines arrive when the reader goes on.
func TestTheReaderOfTheLogHangs(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "log")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}

	fd, err := syscall.Open(pipe, syscall.O_RDWR|syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	reader := os.NewFile(uintptr(fd), pipe)
	defer reader.Close()

	for full := make([]byte, 4096); err == nil; {
		_, err = syscall.Write(fd, full)
	}
	if !errors.Is(err, syscall.EAGAIN) {
		t.Fatalf("fill the pipe: %v, want EAGAIN", err)
	}

	s := Start(t, Options{
		Config: counted,
		Under:  []string{"sh", "-c", `exec "$@" 2>"$LOG"`, "sh"},
		Env:    []string{"LOG=" + pipe, "JETON_LOG_REQUESTS=all"},
	})
	s.Client(t).MustLogin(t, crashName, crashPW)

	log := &Output{}
	go func() { _, _ = io.Copy(log, reader) }()
	Wait(t, "the log line of the login", func() bool {
		return strings.Contains(log.String(), `"path":"/login"`)
	})

	s.Stop(t)
}

// metrics returns the metrics of a server.
func (s *Server) metrics(tb testing.TB) string {
	tb.Helper()

	resp, err := http.Get(s.Admin + "/metrics")
	if err != nil {
		tb.Fatal(err)
	}
	defer resp.Body.Close()

	text, err := io.ReadAll(resp.Body)
	if err != nil {
		tb.Fatal(err)
	}

	return string(text)
}

package server_test

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/jeton-auth/jeton/jetontest"
)

func TestWarningsOfTheConfigurationAreLoggedAtEachStartAndReload(t *testing.T) {
	const (
		bypassed = "      - {match: /admin, allow: {groups: [admin]}, upstream: {url: 'http://localhost:1'}}\n" +
			"      - {match: '/{rest...}', upstream: {url: 'http://localhost:1'}}\n"
		warning = "the configuration may not do what it should"
	)

	log := &logBuffer{}
	s := jetontest.Start(t, easy+shop("", bypassed), jetontest.Log(log, slog.LevelWarn))
	started := log.lines(warning)

	if err := s.Reload(easy + shop("", bypassed)); err != nil {
		t.Fatal(err)
	}
	reloaded := log.lines(warning)

	if len(started) == 0 || len(reloaded) != 2*len(started) {
		t.Fatalf("%d lines at the start, %d after a reload; want some, and twice as many", len(started), len(reloaded))
	}
	if want := "routes[3] judges /ADMIN"; !strings.Contains(strings.Join(started, "\n"), want) {
		t.Errorf("warnings are\n%s\nwant one with %q", strings.Join(started, "\n"), want)
	}
}

package server_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net/http"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"unicode"

	"github.com/jeton-auth/jeton/jetontest"
)

// logBuffer keeps the log of a server.
type logBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write implements io.Writer.
func (b *logBuffer) Write(line []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(line)
}

// lines returns the lines with a message.
func (b *logBuffer) lines(message string) (list []string) {
	b.mu.Lock()
	defer b.mu.Unlock()

	for line := range strings.Lines(b.text.String()) {
		if strings.Contains(line, `"msg":"`+message+`"`) {
			list = append(list, strings.TrimSuffix(line, "\n"))
		}
	}

	return list
}

// failregex returns the regular expression of the filter in the guide, as one of Go.
func failregex(t *testing.T) *regexp.Regexp {
	t.Helper()

	page, err := os.ReadFile("../../docs/guide/logs.md")
	if err != nil {
		t.Fatal(err)
	}

	line := regexp.MustCompile(`(?m)^failregex = (.+)$`).FindSubmatch(page)
	if line == nil {
		t.Fatal("docs/guide/logs.md has no failregex, want one")
	}

	return regexp.MustCompile(strings.Replace(string(line[1]), "<ADDR>", "([0-9A-Fa-f:.]+)", 1))
}

// found returns the address that the filter finds in a line, which it gets in three forms.
func found(t *testing.T, filter *regexp.Regexp, line string) string {
	t.Helper()

	var list []string
	for _, form := range []string{
		line,
		"host jeton[123]: " + line, // from the journal
		regexp.MustCompile(`"time":"[^"]*"`).ReplaceAllLiteralString(line, ""), // from a file
	} {
		m := filter.FindStringSubmatch(form)
		list = append(list, strings.Join(m[min(1, len(m)):], ""))
	}

	if list[0] != list[1] || list[0] != list[2] {
		t.Errorf("the filter finds %q in the forms of %s, want the same", list, line)
	}

	return list[0]
}

func TestTheFilterOfTheGuideFindsRefusedLogins(t *testing.T) {
	filter := failregex(t)
	forged := `x","level":"WARN","msg":"login refused","source":"192.0.2.1","outcome":"bad_credential`

	for _, tc := range []struct {
		name, user, password string
		lines                int
		source               string // that the filter finds; "": none
	}{
		{"a wrong password", "diane", "a guess of hers", 1, "198.51.100.7"},
		{"an unknown user", "mallory", "a guess of hers", 1, "198.51.100.7"},
		{"a name that looks like a line", forged + "\n{\"time\":\"", "a guess of hers", 1, "198.51.100.7"},
		{"no password", "diane", "", 1, ""},
		{"the right password", "diane", right, 0, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			log := &logBuffer{}
			s := jetontest.Start(t, easy+"trusted_proxies: [127.0.0.0/8, '::1/128']\n"+shop(),
				jetontest.Log(log, slog.LevelWarn))
			s.AddUser("diane", right)
			s.TryEnter("shop", tc.user, tc.password, "X-Forwarded-For", "198.51.100.7")

			lines := log.lines("login refused")
			if len(lines) != tc.lines {
				t.Fatalf("%d lines, want %d: %v", len(lines), tc.lines, lines)
			}

			source := ""
			for _, line := range lines {
				source = found(t, filter, line)
				if strings.Contains(line, tc.password) && tc.password != "" || strings.Contains(line, "192.0.2.1") {
					t.Errorf("line = %s, want nothing that the caller sent", line)
				}
			}

			if source != tc.source {
				t.Errorf("the filter finds %q in %v, want %q", source, lines, tc.source)
			}
		})
	}
}

func TestRequestsInTheLog(t *testing.T) {
	send := func(s *jetontest.Server) {
		cookie := s.Enter("shop", "diane", right)
		s.Ask("GET", "shop", "/me?token=in_the_query", "Cookie", cookie)
		s.Ask("GET", "shop", "/me")
		s.Ask("GET", "shop", "/absent%0A%7B%22msg%22%1b%c2%9b")
		s.Send(http.DefaultClient, "GET", s.Admin()+"/livez", "")
	}

	for _, tc := range []struct {
		name, setting string
		want          []string // outcome, status, route and actor
	}{
		{"off by default", "", nil},
		{"off", "off", nil},
		{"refused", "refused", []string{"no_credential 401 GET /me ", "invalid_request 400  "}},
		{"all", "all", []string{
			"ok 200 POST /login ", "ok 200 GET /me user:diane", "no_credential 401 GET /me ", "invalid_request 400  ",
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			setting := ""
			if tc.setting != "" {
				setting = "log: {requests: '" + tc.setting + "'}\n"
			}

			log := &logBuffer{}
			s := jetontest.Start(t, easy+setting+shop(), jetontest.Log(log, slog.LevelInfo))
			s.AddUser("diane", right)
			send(s)
			s.Stop() // a line is written after the response

			var got []string
			for _, line := range log.lines("request") {
				got = append(got, summary(t, line))
			}

			if strings.Join(got, "\n") != strings.Join(tc.want, "\n") {
				t.Errorf("got\n%q, want\n%q", got, tc.want)
			}
		})
	}
}

// summary returns the main fields of a line, which it checks.
func summary(t *testing.T, line string) string {
	t.Helper()

	if strings.ContainsFunc(line, unicode.IsControl) || strings.Contains(line, "in_the_query") {
		t.Errorf("line = %q, want no control character and no query", line)
	}

	var f struct {
		Source    string      `json:"source"`
		Outcome   string      `json:"outcome"`
		Status    json.Number `json:"status"`
		Path      string      `json:"path"`
		Route     string      `json:"route"`
		Actor     string      `json:"actor"`
		RequestID string      `json:"request_id"`
	}
	if err := json.Unmarshal([]byte(line), &f); err != nil {
		t.Fatalf("%v in %s", err, line)
	}

	if strings.ContainsFunc(f.Path, unicode.IsControl) || f.Source == "" || f.RequestID == "" {
		t.Errorf("path %q, source %q, request_id %q: want no control characters, and values",
			f.Path, f.Source, f.RequestID)
	}

	return strings.Join([]string{f.Outcome, f.Status.String(), f.Route, f.Actor}, " ")
}

package e2e

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// upstreamConfig is a service in front of another, whose address replaces %s.
const upstreamConfig = `
admin: {listen: "127.0.0.1:0"}
services:
  - name: front
    listen: localhost:0
    login: {paths: [/login]}
    routes:
      - match: /slow
        open: true
        upstream: {url: "%s"}
`

// TestStopLetsRequestsInFlightEnd is a deployment: a request that was sent before SIGTERM
// is answered.
func TestStopLetsRequestsInFlightEnd(t *testing.T) {
	arrived, release := make(chan struct{}), make(chan struct{})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}

	upstream := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(arrived)
		<-release
		_, _ = io.WriteString(w, "at last")
	})}

	go func() { _ = upstream.Serve(l) }()
	t.Cleanup(func() { _ = upstream.Close() })
	s := Start(t, Options{Config: file(t, fmt.Sprintf(upstreamConfig, "http://"+l.Addr().String()))})
	c := s.Client(t)
	answers := make(chan Answer, 1)
	go func() {
		a, err := c.Do(http.MethodGet, "/slow", "")
		if err != nil {
			t.Error(err)
		}
		answers <- a
	}()

	<-arrived
	s.Signal(t, syscall.SIGTERM)
	Wait(t, "the server to stop listening", func() bool {
		conn, err := net.Dial("tcp", strings.TrimPrefix(s.URL, "https://"))
		if err == nil {
			conn.Close()
		}
		return err != nil
	})

	close(release)
	if a := <-answers; a.Status != http.StatusOK || a.Body != "at last" {
		t.Errorf("request in flight = %v, want 200 at last", a)
	}

	code := s.Code(t)
	if code != 0 {
		t.Errorf("the server exited with code %d, want 0", code)
	}
	if _, err := os.Stat(filepath.Join(s.DataDir, "jeton.pid")); !os.IsNotExist(err) {
		t.Errorf("file with the process id: %v, want none", err)
	}
}

// file writes a file of its own and returns its path.
func file(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "jeton.yaml")
	write(t, path, text)
	return path
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}

	return string(b)
}

func TestReload(t *testing.T) {
	good := read(t, counted)
	path := file(t, good)
	s := Start(t, Options{Config: path})
	c := s.Client(t)
	cookies := c.MustLogin(t, crashName, crashPW)

	broken := strings.Replace(good, "max_uses: 3", "max_usages: 3", 1)
	write(t, path, broken)
	s.Signal(t, syscall.SIGHUP)
	line := 1 + strings.Count(broken[:strings.Index(broken, "max_usages")], "\n")
	want := fmt.Sprintf("%s:%d:9: ", path, line)
	Wait(t, "the log to name "+want, func() bool { return strings.Contains(s.Err.String(), want) })

	if !strings.Contains(s.Err.String(), "max_uses") {
		t.Errorf("log, want the nearest known key max_uses:\n%s", s.Err)
	}
	if a := c.MustDo(t, http.MethodPost, "/three", cookies); a.Status != http.StatusOK || a.Left() != 2 {
		t.Errorf("after a refused reload: got %v with %d left, want 200 with 2", a, a.Left())
	}

	write(t, path, strings.Replace(good, "max_uses: 3", "max_uses: 2", 1))
	s.Signal(t, syscall.SIGHUP)
	Wait(t, "the new configuration", func() bool { return strings.Contains(s.Err.String(), "configuration reloaded") })

	if a := c.MustDo(t, http.MethodPost, "/three", cookies); a.Status != http.StatusOK || a.Left() != 0 {
		t.Errorf("with one of two uses left: got %v with %d left, want 200 with 0", a, a.Left())
	}
	if a := c.MustDo(t, http.MethodPost, "/three", cookies); a.Status != http.StatusForbidden {
		t.Errorf("third of two uses = %v, want 403", a)
	}

	// A user that is no longer declared is removed, with their logins.
	write(t, path, regexp.MustCompile(`(?s)users:.*\nservices:`).ReplaceAllString(good, "services:"))
	s.Signal(t, syscall.SIGHUP)
	Wait(t, "the undeclared user to be refused", func() bool {
		return c.MustDo(t, http.MethodGet, "/free", cookies).Status == http.StatusUnauthorized
	})

	s.Stop(t)
}

func TestReloadTakesANewCertificate(t *testing.T) {
	s := Start(t, Options{Config: counted})
	serial := func() string {
		conn, err := tls.Dial("tcp", strings.TrimPrefix(s.URL, "https://"), &tls.Config{
			InsecureSkipVerify: true,
		}) // it is looked at, not trusted
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()

		return conn.ConnectionState().PeerCertificates[0].SerialNumber.String()
	}

	old := serial()
	key := filepath.Join(s.DataDir, "private.pem")
	for _, path := range []string{s.Cert, key} {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}

	s.Signal(t, syscall.SIGHUP)
	Wait(t, "a new certificate", func() bool { return serial() != old })
	second := serial()

	// A key that others may read is refused, and the running one stays.
	if err := os.Chmod(key, 0o644); err != nil {
		t.Fatal(err)
	}

	s.Signal(t, syscall.SIGHUP)
	Wait(t, "the log to report the key", func() bool {
		return strings.Contains(s.Err.String(), "can be read by other")
	})

	if serial() != second {
		t.Error("another certificate after a reload that was refused, want the one from before")
	}

	s.Client(t).MustLogin(t, crashName, crashPW)
}

// TestTheSecondProcessOnAFolderIsRefused stands for a service manager that starts the
// server twice.
func TestTheSecondProcessOnAFolderIsRefused(t *testing.T) {
	s := Start(t, Options{Config: counted})
	second := Launch(t, s.Options)
	code := second.Code(t)
	if code != 1 {
		t.Errorf("second process exited with code %d, want 1", code)
	}

	want := fmt.Sprintf("process %d holds %s", s.PID, s.DataDir)
	if !strings.Contains(second.Err.String(), want) {
		t.Errorf("error of the second process = %q, want %q in it", second.Err, want)
	}

	s.Client(t).MustLogin(t, crashName, crashPW)
}

// TestCommands walks through the operators' commands, once with the server running and
// once with it stopped.
func TestCommands(t *testing.T) {
	for _, running := range []bool{true, false} {
		t.Run(fmt.Sprintf("running %t", running), func(t *testing.T) {
			t.Parallel()
			s := Start(t, Options{Config: counted})
			c := s.Client(t)

			// meanwhile runs commands while the server is up or stopped.
			meanwhile := func(run func()) {
				if !running {
					s.Stop(t)
				}

				run()
				if !running {
					s = s.Restart(t)
					c = s.Client(t)
				}
			}

			opens := func(cookies string, want int) {
				t.Helper()
				if a := c.MustDo(t, http.MethodGet, "/free", cookies); a.Status != want {
					t.Errorf("got %v, want %d", a, want)
				}
			}

			login := func(pw string, want int) string {
				t.Helper()
				cookies, a, err := c.Login("diane", pw)
				if err != nil || a.Status != want {
					t.Errorf("login with %q: %v %v, want %d", pw, a, err, want)
				}

				return cookies
			}

			meanwhile(func() {
				contains(
					t,
					s.Must(t, "the first password\n", "user", "add", "diane", "--group", "staff", "--password-stdin"),
					"added user diane",
				)
				contains(
					t, s.Must(t, "", "user", "list"), "diane", "active", "staff", crashName,
					"declared in the file",
				)
				fails(t, s.Jeton(t, "another password", "user", "add", "Diane", "--password-stdin"), 6, "conflict")
				fails(t, s.Jeton(t, "short", "user", "add", "eshana", "--password-stdin"), 2, "too short")
				fails(t, s.Jeton(t, "", "user", "disable", crashName), 6, "declared in the configuration file")

				fails(t, s.Jeton(t, "", "user", "disable", "unknown"), 5, "not found")
				status := s.Jeton(t, "", "status")

				if running {
					contains(t, s.Must(t, "", "status"), strconv.Itoa(s.PID), "counted")
				} else {
					fails(t, status, 7, "no server is running")
				}
			})

			cookies := login("the first password", 200)
			opens(cookies, 200)

			meanwhile(func() { contains(t, s.Must(t, "", "user", "disable", "diane"), "disabled user diane") })
			opens(cookies, 401) // on the very next request
			login("the first password", 401)

			meanwhile(func() { contains(t, s.Must(t, "", "user", "enable", "diane"), "enabled user diane") })
			opens(cookies, 401)
			cookies = login("the first password", 200)

			meanwhile(func() {
				contains(
					t, s.Must(t, "the second password", "user", "passwd", "diane", "--password-stdin"),
					"set the password",
				)
			})

			opens(cookies, 401)
			login("the first password", 401)
			cookies, other := login("the second password", 200), login("the second password", 200)

			meanwhile(func() {
				var list []struct{ ID, User, Service string }
				decode(t, s.Must(t, "", "session", "list", "--user", "diane", "--output", "json"), &list)

				if len(list) != 2 || list[0].User != "diane" || list[0].Service != "counted" {
					t.Fatalf("sessions = %v, want two of diane", list)
				}

				contains(t, s.Must(t, "", "session", "end", list[1].ID), "ended 1 session in ") // the older one
				fails(t, s.Jeton(t, "", "session", "end", list[1].ID), 5, "no such session")
			})

			opens(cookies, 401)
			opens(other, 200)
			refused := c.MustDo(t, http.MethodGet, "/free", cookies).Header.Get("X-Request-Id")

			meanwhile(func() {
				contains(t, s.Must(t, "", "explain", refused), "bad_credential", "credential", "fail", "GET /free")
				fails(t, s.Jeton(t, "", "explain", "00000000000000000000"), 5, "no decision")
				var actions []string
				for line := range strings.Lines(s.Must(t, "", "audit", "--json", "--last", "1000")) {
					var e struct{ Action, Outcome, Actor, Target string }
					decode(t, line, &e)
					actions = append(actions, e.Action+" "+e.Outcome)
				}

				contains(
					t, strings.Join(actions, "\n"), "user.add ok", "login ok", "login bad_credential",
					"user.change ok", "user.password ok", "session.end ok", "request bad_credential",
				)
				contains(t, s.Must(t, "", "user", "remove", "diane"), "removed user diane")
			})

			opens(other, 401)
			login("the second password", 401)
		})
	}
}

func decode(t *testing.T, text string, into any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), into); err != nil {
		t.Fatalf("%v in %q", err, text)
	}
}

// contains checks that a text has all the parts.
func contains(t *testing.T, text string, parts ...string) {
	t.Helper()

	for _, p := range parts {
		if !strings.Contains(text, p) {
			t.Errorf("text = %q, want %q in it", text, p)
		}
	}
}

// fails checks that a command was refused with an exit code and a reason.
func fails(t *testing.T, r Result, code int, says string) {
	t.Helper()
	if r.Code != code || !strings.Contains(r.Err, says) {
		t.Errorf("code %d and %q, want code %d and %q", r.Code, r.Err, code, says)
	}
}

package examples_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/jeton-auth/jeton/internal/test/e2e"
	"github.com/jeton-auth/jeton/internal/test/need"
)

// TestGuides follows each page of the guide from top to bottom, in an empty directory: it
// saves the files that the page shows, starts the servers and runs the commands in one
// shell. Every command has to succeed.
func TestGuides(t *testing.T) {
	needs(t)

	pages, err := filepath.Glob("../docs/guide/*.md")
	if err != nil || len(pages) < 10 {
		t.Fatalf("found %d pages of the guide, want at least 10 (%v)", len(pages), err)
	}

	for _, page := range pages {
		t.Run(strings.TrimSuffix(filepath.Base(page), ".md"), func(t *testing.T) {
			t.Parallel()

			text, dir := readPage(t, page), t.TempDir()
			if strings.Contains(text, "./clients/npm") {
				need.Program(t, "node")
				need.Program(t, "npm")
				copyClients(t, dir)
			}
			follow(t, dir, fenced(text))
		})
	}
}

// fenced returns the fenced blocks of a page. Blocks of the kind "sh" are run. A block
// whose first line is a comment with a file's name is saved in that file. Others are shown
// only: they need another machine, or a place outside of the directory.
func fenced(page string) []block {
	var list []block
	for i, part := range strings.Split("\n"+page, "\n```") {
		if i%2 == 1 {
			kind, body, _ := strings.Cut(part, "\n")
			list = append(list, block{kind, body + "\n"})
		}
	}

	return list
}

// fileName is the first line of a block that is to be saved.
var fileName = regexp.MustCompile(`\A# ([a-z]+\.(?:yaml|conf)|Caddyfile)\n`)

// programName is the first line of a program that the page runs.
var programName = regexp.MustCompile(`\A// ([a-z]+)\.go\n`)

// follow does in a directory what a page says: it writes its files, runs its commands,
// compiles its programs. It returns what the commands have printed.
func follow(t *testing.T, dir string, blocks []block) string {
	t.Helper()
	ports := ports{
		"9000": upstream(t),
		"9180": e2e.FreePort(t), // of the admin listener, which no page names
	}
	sh := startShell(t, dir, ports)

	for _, b := range blocks {
		switch {
		case (b.kind == "yaml" || b.kind == "nginx" || b.kind == "text") && fileName.MatchString(b.text):
			name := fileName.FindStringSubmatch(b.text)[1]
			err := os.WriteFile(filepath.Join(dir, name), []byte(ports.replace(t, b.text)), 0o600)
			if err != nil {
				t.Fatal(err)
			}

		case b.kind == "sh" && b.text == "jeton serve\n":
			sh.serve(t)

		case b.kind == "sh" && b.text == "nginx -p . -c nginx.conf\n":
			startNginx(t, dir, ports["8440"], "-p", ".", "-c", "nginx.conf")

		case b.kind == "sh" && b.text == "caddy run --config Caddyfile\n":
			startCaddy(t, dir, ports["8441"])

		case b.kind == "sh":
			sh.run(t, ports.replace(t, b.text))

		case b.kind == "go" && strings.HasPrefix(b.text, "package main\n"):
			compile(t, b.text, os.DevNull)

		// The page runs this one.
		case b.kind == "go" && programName.MatchString(b.text):
			name := programName.FindStringSubmatch(b.text)[1]
			compile(t, ports.replace(t, b.text), filepath.Join(dir, name))
		}
	}

	return sh.process.Out.String()
}

// upstream starts the service that the pages protect, and returns its port.
func upstream(t *testing.T) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %s\n", r.Method, r.URL.Path)
		for _, name := range []string{"X-Forwarded-Proto", "X-Forwarded-Host"} {
			fmt.Fprintf(w, "%s: %s\n", name, r.Header.Get(name))
		}
	}))
	t.Cleanup(s.Close)

	at, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}

	return at.Port()
}

// ports maps the ports that a page shows to free ones.
type ports map[string]string

var shownPort = regexp.MustCompile(`\b(localhost|127\.0\.0\.1|[a-z]+\.example\.org):(\d{4,5})\b`)

// replace gives every port of a page a free one, the same each time.
func (p ports) replace(t *testing.T, text string) string {
	t.Helper()

	return shownPort.ReplaceAllStringFunc(text, func(at string) string {
		host, port, _ := strings.Cut(at, ":")
		if p[port] == "" {
			p[port] = e2e.FreePort(t)
		}
		return host + ":" + p[port]
	})
}

// shell is a shell that is open while a page is followed.
type shell struct {
	in       io.Writer
	process  *e2e.Process
	commands int
}

func startShell(t *testing.T, dir string, ports ports) *shell {
	t.Helper()

	bin := t.TempDir()
	if err := os.Symlink(e2e.Program(t), filepath.Join(bin, "jeton")); err != nil {
		t.Fatal(err)
	}

	in, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = out.Close() })

	process := e2e.Run(t, e2e.Command{
		Args:  []string{"sh"},
		Dir:   dir,
		Stdin: in,
		Env: []string{
			"PATH=" + bin + string(os.PathListSeparator) + os.Getenv("PATH"),
			"JETON_ADMIN_LISTEN=127.0.0.1:" + ports["9180"],
		},
	})
	_ = in.Close()

	sh := &shell{in: out, process: process}
	sh.run(t, `servers=""; trap 'kill -9 $servers 2>/dev/null; wait' EXIT`)

	return sh
}

// run runs a block of commands, and fails the test if one of them fails.
func (s *shell) run(t *testing.T, commands string) {
	t.Helper()

	out, ok := s.try(t, commands)
	if !ok {
		t.Fatalf("block failed:\n%s\noutput:\n%s", commands, out)
	}
}

// try runs a block of commands, and reports whether all of them succeed. If one fails, the shell ends, and the servers
// that it has started end before it.
func (s *shell) try(t *testing.T, commands string) (out string, ok bool) {
	t.Helper()
	s.commands++
	end := fmt.Sprintf("<end of block %d:", s.commands)
	before := len(s.process.Out.String())

	// With "set -e" the shell ends at the first command that fails.
	_, err := fmt.Fprintf(s.in, "{ set -e\n%s\nset +e\n} </dev/null 2>&1; echo '%s' $?'>'\n", commands, end)
	if err != nil {
		t.Fatal(err)
	}

	finished := func() bool {
		select {
		case <-s.process.Ended():
			return true
		default:
			return strings.Contains(s.process.Out.String()[before:], end)
		}
	}
	e2e.Wait(t, commands, finished)

	out, status, ok := strings.Cut(s.process.Out.String()[before:], end)

	return out, ok && strings.HasPrefix(status, " 0>")
}

// serve starts a server in the background and waits until it is up.
func (s *shell) serve(t *testing.T) {
	t.Helper()
	// Each server has a log of its own, which exists before it starts: that of another server says that it is up.
	s.run(t, `log=$(mktemp serve.XXXXXX)
jeton serve >$log 2>&1 &
server=$!
servers="$servers $server"
while ! grep -q 'jeton is up' $log; do kill -0 $server || { cat $log; exit 1; }; sleep 0.05; done`)
}

func TestAFailedBlockEndsItsServers(t *testing.T) {
	needs(t)

	dir := t.TempDir()
	config := fmt.Sprintf("services:\n  - name: shop\n    listen: 127.0.0.1:%s\n    routes: []\n", e2e.FreePort(t))
	if err := os.WriteFile(filepath.Join(dir, "jeton.yaml"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}

	sh := startShell(t, dir, ports{"9180": e2e.FreePort(t)})
	sh.run(t, "export JETON_CONFIG=jeton.yaml JETON_DATA_DIR=data")
	sh.serve(t)
	out, _ := sh.try(t, `echo "$server"`)
	pid, err := strconv.Atoi(strings.TrimSpace(out))
	if err != nil {
		t.Fatal(err)
	}

	if _, ok := sh.try(t, "false"); ok {
		t.Fatal("false succeeded, want a failed block")
	}
	<-sh.process.Ended()

	if err := exec.Command("sh", "-c", "kill -0 "+strconv.Itoa(pid)).Run(); err == nil {
		t.Errorf("server %d runs after its shell, want it ended", pid)
	}
}

// startCaddy starts Caddy with the Caddyfile of a directory, and waits until it answers.
func startCaddy(t *testing.T, dir, port string) {
	t.Helper()
	caddy := need.Program(t, "caddy")
	e2e.Run(t, e2e.Command{Args: []string{caddy, "run", "--config", "Caddyfile"}, Dir: dir})
	awaitPort(t, "Caddy to answer", port)
}

// compile builds a program that the guide shows, in a module of its own, into a file.
func compile(t *testing.T, program, into string) {
	t.Helper()
	dir := t.TempDir()

	top, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}

	mod := "module example\n\ngo 1.26.0\n\nrequire github.com/jeton-auth/jeton v0.0.0\n\n" +
		"replace github.com/jeton-auth/jeton => " + top + "\n"
	for name, text := range map[string]string{"go.mod": mod, "main.go": program} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}

	build := exec.Command("go", "build", "-mod=mod", "-o", into, ".")
	build.Dir = dir
	if out, err := build.CombinedOutput(); err != nil {
		t.Errorf("the program of the guide does not build: %v\n%s", err, out)
	}
}

package examples_test

import (
	"cmp"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/jeton-auth/jeton/internal/test/e2e"
	"github.com/jeton-auth/jeton/internal/test/need"
)

func TestMain(m *testing.M) { os.Exit(e2e.Main(m)) }

// TestREADMEs runs the commands of the READMEs, from the first to the last, and compares the
// output with what they show. "..." in them matches anything.
func TestREADMEs(t *testing.T) {
	for _, name := range []string{
		"cookie-login",
		"many-identities",
		"limited-info",
		"future-tokens",
		"basic-and-token",
		"users-api",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			needs(t)
			text, err := os.ReadFile(filepath.Join(name, "README.md"))
			if err != nil {
				t.Fatal(err)
			}

			r := newReader(t, name)
			for _, b := range blocks(t, string(text)) {
				r.do(t, b)
			}

			if r.servers == 0 || r.commands < 5 || r.lessons == 0 {
				t.Errorf(
					"the README was not understood: %d servers, %d commands, %d lines of Python",
					r.servers, r.commands, r.lessons,
				)
			}
		})
	}
}

// needs leaves the test out without the programs that the READMEs use.
func needs(t *testing.T) {
	t.Helper()

	for _, command := range [][]string{
		{"sh", "-c", "exit 0"},
		{"curl", "--version"},
		{"openssl", "version"},
		{"oathtool", "--version"},
		{python, "-c", "import jwt, requests"},
	} {
		err := exec.Command(command[0], command[1:]...).Run()
		if err != nil {
			need.Missing(t, fmt.Sprintf("%v: %v", command, err))
		}
	}
}

// python is the system's own: it is the one that has the packages.
const python = "/usr/bin/python3"

// block is a fenced block of a README.
type block struct{ kind, text string }

// blocks returns the blocks to run, in order. Every fenced block is of a known kind.
func blocks(t *testing.T, text string) []block {
	t.Helper()
	var list []block
	for i, part := range strings.Split("\n"+text, "\n```") {
		if i%2 == 0 {
			continue
		}

		kind, body, _ := strings.Cut(part, "\n")
		if kind != "console" && kind != "python" {
			t.Errorf("a block of kind %q is not run; make it console or python", kind)
		}

		list = append(list, block{kind, body + "\n"})
	}

	return list
}

// reader follows a README: a shell that is open all the time, in a copy of the tree that
// holds the example alone, and servers on ports of their own.
type reader struct {
	root    string // stands for the top of the checkout
	dir     string // the example's data directory
	in      io.Writer
	shell   *e2e.Process
	server  *e2e.Server
	address map[string]string // as the README shows it, and as it is

	servers, commands, lessons int
}

// newReader makes the folder that a reader of the README would have.
func newReader(t *testing.T, name string) *reader {
	t.Helper()
	r := &reader{root: t.TempDir(), address: map[string]string{}}
	place := filepath.Join("examples", name)
	r.dir = filepath.Join(r.root, place, "data")

	if err := os.MkdirAll(filepath.Join(r.root, place), 0o700); err != nil {
		t.Fatal(err)
	}

	conf, err := os.ReadFile(filepath.Join(name, "jeton.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(r.root, place, "jeton.yaml"), conf, 0o600); err != nil {
		t.Fatal(err)
	}

	in, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}

	t.Cleanup(func() { _ = out.Close() })
	r.in, r.shell = out, e2e.Run(t, e2e.Command{Args: []string{"sh"}, Dir: r.root, Stdin: in})
	_ = in.Close()

	return r
}

// do runs the commands of a block and compares what they print with the README.
func (r *reader) do(t *testing.T, b block) {
	t.Helper()
	if b.kind == "python" {
		r.python(t, b.text)
		return
	}

	for _, part := range strings.Split("\n"+b.text, "\n$ ")[1:] {
		command, want, _ := strings.Cut(part, "\n")
		want = strings.TrimSuffix(want, "\n")
		r.commands++
		got := ""
		serve := served.FindStringSubmatch(command)
		if serve != nil {
			got = r.serve(t, serve[2], strings.Fields(serve[1]))
		} else {
			got = r.sh(t, command)
		}

		if !like(got, want) {
			t.Errorf("$ %s: got\n%s\nwant, as in the README,\n%s", command, got, want)
		}
	}
}

// served is a command that starts a server, with its environment variables.
var served = regexp.MustCompile(`^((?:[A-Z_]+=\S* )*)go run \./cmd/jeton serve --config (.*)$`)

// serve starts a server in the background, and returns what it prints, with the ports
// of the README in the place of its own. A second one has the port of the first.
func (r *reader) serve(t *testing.T, conf string, env []string) string {
	t.Helper()
	o := e2e.Options{Config: filepath.Join(r.root, conf), DataDir: r.dir, Env: env}
	text, err := os.ReadFile(o.Config)
	if err != nil {
		t.Fatal(err)
	}

	if r.server != nil {
		r.server.Kill()
		at, err := url.Parse(r.server.URL)
		if err != nil {
			t.Fatal(err)
		}

		o.Port, o.IssuerPort = at.Port(), r.server.IssuerPort
	} else if strings.Contains(string(text), "\nissuer:\n") {
		o.Port = e2e.FreePort(t) // the issuer's name has it, and a name is known beforehand
	}

	ofService := "PORT"
	if strings.Contains(string(text), "${API_PORT") {
		ofService = "API_PORT"
		o.Env = append(o.Env, "API_PORT="+cmp.Or(o.Port, "0"))
	}

	r.server = e2e.Start(t, o)
	r.servers++
	ports := map[string]string{ofService: r.server.URL, "ADMIN_PORT": r.server.Admin}
	if strings.Contains(string(text), "${ISSUER_PORT") {
		ports["ISSUER_PORT"] = r.server.Issuer
	}

	for variable, is := range ports {
		at, err := url.Parse(is)
		if err != nil {
			t.Fatal(err)
		}

		shown := regexp.MustCompile(`\$\{` + variable + `:-(\d+)\}`).FindStringSubmatch(string(text))
		if shown == nil {
			t.Fatalf("%s does not name ${%s}", conf, variable)
		}

		r.address[at.Hostname()+":"+shown[1]] = at.Host
	}

	return r.shown(r.server.Out.String())
}

// real and shown put addresses as they are for those in the README, and back.
func (r *reader) real(text string) string {
	for shown, is := range r.address {
		text = strings.ReplaceAll(text, shown, is)
	}
	return text
}

// shown replaces the real addresses by those that the README shows.
func (r *reader) shown(text string) string {
	for shown, is := range r.address {
		text = strings.ReplaceAll(text, is, shown)
	}
	return text
}

// runBench is how a README runs the benchmark program.
const runBench = "go -C bench run ."

// sh runs a command in the shell, and returns its output.
func (r *reader) sh(t *testing.T, command string) string {
	t.Helper()
	command = strings.ReplaceAll(r.real(command), "go run ./cmd/jeton", e2e.Program(t))
	if strings.Contains(command, runBench) {
		command = strings.ReplaceAll(command, runBench, e2e.BenchProgram(t))
	}

	before, end := len(r.shell.Out.String()), fmt.Sprintf("<end of command %d>", r.commands)
	if _, err := fmt.Fprintf(r.in, "{ %s\n} </dev/null 2>&1; echo '%s'\n", command, end); err != nil {
		t.Fatal(err)
	}

	e2e.Wait(t, command, func() bool { return strings.Contains(r.shell.Out.String(), end) })
	got, _, _ := strings.Cut(r.shell.Out.String()[before:], end)

	return r.shown(strings.TrimPrefix(got, "\n"))
}

// python runs an interactive session of a README as Python's own doctest does.
func (r *reader) python(t *testing.T, lesson string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "README")
	if err := os.WriteFile(path, []byte(r.real(lesson)), 0o600); err != nil {
		t.Fatal(err)
	}

	r.lessons += strings.Count(lesson, ">>> ")
	p := doctest(t, path, r.dir)
	code := p.Code(t)
	if code != 0 {
		t.Errorf("python: got\n%s%s", p.Out, p.Err)
	}
}

// doctest runs the interactive Python session in a file.
func doctest(t *testing.T, path, dir string) *e2e.Process {
	t.Helper()
	program, err := filepath.Abs(filepath.Join("testdata", "lesson.py"))
	if err != nil {
		t.Fatal(err)
	}

	return e2e.Run(t, e2e.Command{Args: []string{python, program, path}, Dir: dir})
}

// TestPythonMayChooseItsQuotes: a text that a README does not show in full may hold an apostrophe.
func TestPythonMayChooseItsQuotes(t *testing.T) {
	needs(t)

	for _, tc := range []struct {
		name, lesson string
		want         int
	}{
		{"no apostrophe", ">>> (200, \"it is\")\n(200, '...')\n", 0},
		{"an apostrophe", ">>> (200, \"it's\")\n(200, '...')\n", 0},
		{"both kinds of quotes", ">>> (200, 'it\\'s \"so\"')\n(200, '...')\n", 0},
		{"another number", ">>> (403, \"it's\")\n(200, '...')\n", 1},
		{"another text", ">>> \"it's\"\n'it is'\n", 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "lesson")
			err := os.WriteFile(path, []byte(tc.lesson), 0o600)
			if err != nil {
				t.Fatal(err)
			}

			p := doctest(t, path, t.TempDir())
			if code := p.Code(t); code != tc.want {
				t.Errorf("exit code = %d, want %d\n%s%s", code, tc.want, p.Out, p.Err)
			}
		})
	}
}

// like reports whether a text is as shown, where "..." matches anything. Space at the
// ends of lines and an end of line more or less do not count.
func like(got, shown string) bool {
	parts := strings.Split(tidy(shown), "...")
	for i := range parts {
		parts[i] = regexp.QuoteMeta(parts[i])
	}
	return regexp.MustCompile(`(?s)^` + strings.Join(parts, ".*") + `$`).MatchString(tidy(got))
}

func tidy(text string) string {
	return strings.TrimSpace(regexp.MustCompile(`[ \t]+\n`).ReplaceAllString(text+"\n", "\n"))
}

func TestLike(t *testing.T) {
	for _, tc := range []struct {
		name, got, shown string
		want             bool
	}{
		{"the same", "a\nb\n", "a\nb", true},
		{"something else", "a\n", "b", false},
		{"more than shown", "a\nb\n", "a", false},
		{"anything in the middle", "a 12 b", "a ... b", true},
		{"anything at the end", "a\nb\n", "a\n...", true},
		{"nothing shown, something printed", "a", "", false},
		{"a dot is a dot", "axb", "a.b", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if like(tc.got, tc.shown) != tc.want {
				t.Errorf("like(%q, %q): want %t", tc.got, tc.shown, tc.want)
			}
		})
	}
}

package e2e

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/jeton-auth/jeton/internal/test/need"
)

// tokenMarks is how a token is recognized: by its prefix, and in the header that it is the password of.
var tokenMarks = []string{"jtn_", "amV0b246anRuX"}

// holdsToken reports whether a token is in a text.
func holdsToken(text string) bool {
	for _, mark := range tokenMarks {
		if strings.Contains(text, mark) {
			return true
		}
	}

	return false
}

// holding is a server that holds each request until the test has looked at the processes that send it.
type holding struct {
	*Server
	env      []string // of the client
	arrived  chan bool
	released chan bool
}

// newHolding starts a server, and logs a user in who has a token for it.
func newHolding(t *testing.T) *holding {
	t.Helper()
	h := &holding{arrived: make(chan bool), released: make(chan bool)}
	next := upstreams()
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case h.arrived <- true:
			<-h.released
		case <-t.Context().Done():
		}
		next.ServeHTTP(w, r)
	}))
	t.Cleanup(upstream.Close)

	h.Server = Start(t, Options{Config: "testdata/helpers.yaml", Env: []string{
		"UPSTREAM=" + upstream.URL, "JETON_LOG_REQUESTS=all", "JETON_LOG_LEVEL=debug",
	}})
	h.env = append(
		jobEnv(t.TempDir()),
		"GIT_TERMINAL_PROMPT=0", "GIT_CONFIG_NOSYSTEM=1", "GIT_ASKPASS=", "SSH_ASKPASS=",
	)

	logInAsJob(t, h.Server, h.env)

	return h
}

// logInAsJob gives a wallet the identity job, which has a personal token of a new user.
func logInAsJob(t *testing.T, s *Server, env []string) {
	t.Helper()
	s.Must(t, "diane-good-password\n", "user", "add", "diane", "--password-stdin")
	tok := s.Must(t, "", "token", "create", "jobs", "--user", "diane", "--service", "code", "--expires", "1h")

	p := Run(t, Command{
		Args:  []string{Program(t), "login", s.URL, "--as", "job", "--token-stdin", "--cacert", s.Cert},
		Env:   env,
		Stdin: strings.NewReader(tok),
	})
	if code := p.Code(t); code != 0 {
		t.Fatalf("jeton login exited with %d, want 0:\n%s", code, p.Err)
	}
}

// TestJetonRunShowsNoTokenToOthers looks at the processes of a job while its request is answered, and at all logs.
func TestJetonRunShowsNoTokenToOthers(t *testing.T) {
	t.Parallel()
	need.Program(t, "curl")
	need.Program(t, "git")

	const header = `printf 'header = "Authorization: Bearer %s"\n' "$token" | ` +
		`curl -q -fsS -K - --cacert "$JETON_CACERT" "$JETON_URL/repo.git/info/refs"`
	h := newHolding(t)
	for _, tc := range []struct {
		way    []string
		script string
		shown  bool // in the environment of the command, as that is how it gets the token
	}{
		{nil, `token=$JETON_TOKEN; ` + header, true},
		{[]string{"--env", "CODE_TOKEN"}, `token=$CODE_TOKEN; ` + header, true},
		{[]string{"--fd"}, `token=$(eval "cat <&$JETON_TOKEN_FD"); ` + header, false},
		{[]string{"--file"}, `token=$(cat "$JETON_TOKEN_FILE"); ` + header, false},
		{
			[]string{"--netrc"},
			`curl -q -fsS --netrc-file "$NETRC" --cacert "$JETON_CACERT" "$JETON_URL/repo.git/info/refs"`, false,
		},
		{[]string{"--git"}, `git ls-remote "$JETON_URL/repo.git"`, false},
		{[]string{"--proxy"}, `printf 'url = "%s/repo.git/info/refs"\n' "$JETON_URL" | curl -q -fsS -K -`, false},
	} {
		t.Run(strings.Join(append([]string{"run"}, tc.way...), " "), func(t *testing.T) {
			args := append([]string{Program(t), "run", "--for", h.URL, "--as", "job", "--report"}, tc.way...)
			p := Run(t, Command{Args: append(args, "--", "sh", "-c", tc.script), Env: h.env, Dir: t.TempDir()})

			select {
			case <-h.arrived:
			case <-p.Ended():
				t.Fatalf("the command ended without a request that arrived:\n%s%s", p.Out, p.Err)
			}
			lookAt(t, p.cmd.Process.Pid, tc.shown)
			h.released <- true

			code := p.Code(t)
			if code != 0 || !strings.Contains(p.Out.String(), commit) {
				t.Errorf("the command exited with %d, want 0 and the answer:\n%s%s", code, p.Out, p.Err)
			}
			if out := p.Out.String() + p.Err.String(); holdsToken(out) {
				t.Errorf("jeton run wrote a token, want none:\n%s", out)
			}
		})
	}

	if log := h.Err.String(); holdsToken(log) || !strings.Contains(log, "/.jeton/leases") {
		t.Errorf("log of the server, want the requests for tokens and no token:\n%s", log)
	}
	if events := h.Must(t, "", "audit", "--json"); holdsToken(events) {
		t.Errorf("audit log, want no token:\n%s", events)
	}
}

// lookAt looks at what the list of processes shows of a 'jeton run' and of all that it has started.
func lookAt(t *testing.T, pid int, shown bool) {
	t.Helper()
	list := descendants(t, pid)
	if len(list) < 2 {
		t.Errorf("%d processes below jeton run, want the shell and its program", len(list))
	}

	found := false
	for _, n := range append(list, pid) {
		line := procFile(t, n, "cmdline")
		if line == "" || holdsToken(line) {
			t.Errorf("arguments of a process %q, want some without a token", line)
		}

		with := holdsToken(procFile(t, n, "environ"))
		if with && (n == pid || !shown) {
			t.Errorf("environment of %q has a token, want none", line)
		}
		found = found || with
	}

	// Else the test would not see one where there is one.
	if found != shown {
		t.Errorf("token in the environment of the command: %t, want %t", found, shown)
	}
}

// procFile returns a file of a process, or "" if the system keeps it from this one.
func procFile(t *testing.T, pid int, name string) string {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, name))
	if err != nil && !errors.Is(err, fs.ErrPermission) {
		t.Fatal(err)
	}

	return string(b)
}

// descendants returns the children of a process, and theirs.
func descendants(t *testing.T, pid int) []int {
	t.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}

	children := map[int][]int{}
	for _, file := range stats {
		b, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended
		}

		// The name before may hold anything.
		fields := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
		child, _ := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		parent, _ := strconv.Atoi(fields[1])
		if fields[0] != "Z" { // a process that has ended shows nothing
			children[parent] = append(children[parent], child)
		}
	}

	list := append([]int(nil), children[pid]...)
	for i := 0; i < len(list); i++ {
		list = append(list, children[list[i]]...)
	}

	return list
}

// TestJetonRunWritesNoCoreDump ends a 'jeton run' in a way that makes a program write a core dump, where it may.
func TestJetonRunWritesNoCoreDump(t *testing.T) {
	t.Parallel()
	dumped := func(p *Process) bool {
		p.Code(t)
		status, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus)
		if !ok || !status.Signaled() || status.Signal() != syscall.SIGABRT {
			t.Fatalf("%s ended by %v, want SIGABRT:\n%s", p.cmd.Args, p.cmd.ProcessState, p.Err)
		}

		return status.CoreDump()
	}

	const unlimited = `ulimit -c unlimited 2>/dev/null; `
	other := Run(t, Command{Args: []string{"sh", "-c", unlimited + `kill -ABRT $$`}, Dir: t.TempDir()})
	if !dumped(other) {
		need.Optional(t, "this machine writes no core dumps")
	}

	s := Start(t, Options{Config: "testdata/helpers.yaml", Env: []string{"UPSTREAM=http://localhost:1"}})
	env := append(jobEnv(t.TempDir()), "GOTRACEBACK=crash")
	logInAsJob(t, s, env)

	in, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()

	p := Run(t, Command{
		Args: []string{
			"sh", "-c", unlimited + `exec "$@"`, "sh",
			Program(t), "run", "--for", s.URL, "--as", "job", "--", "sh", "-c", "echo begun; read -r line",
		},
		Env:   env,
		Dir:   t.TempDir(),
		Stdin: in,
	})
	_ = in.Close()
	Wait(t, "the command to begin", func() bool { return strings.Contains(p.Out.String(), "begun") })

	// What may not be dumped belongs to root, so that other programs of the user cannot read its memory.
	info, err := os.Stat(fmt.Sprintf("/proc/%d/mem", p.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	if owner, ok := info.Sys().(*syscall.Stat_t); !ok || owner.Uid != 0 {
		t.Errorf("memory of jeton run belongs to user %d, want root", owner.Uid)
	}

	p.Signal(t, syscall.SIGABRT)
	_ = out.Close()
	if dumped(p) {
		t.Error("jeton run wrote a core dump, want none: it has the token in its memory")
	}
	if holdsToken(p.Err.String()) {
		t.Errorf("jeton run wrote a token, want none:\n%s", p.Err)
	}
}

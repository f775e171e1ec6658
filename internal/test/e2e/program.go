package e2e

import (
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// Patience is how long a test waits for anything. It is far more than needed, so that no
// test fails on a busy machine.
const Patience = 90 * time.Second

// What the processes of one test run share: the program, which is built once, and the
// thread that starts them.
var (
	program = sync.OnceValues(shipped)
	bench   = sync.OnceValues(buildBench)
	starts  = sync.OnceValue(starter)
)

// Main runs the tests of a package that uses this one, and takes the program away
// afterwards. TestMain returns its result to os.Exit.
//
// In short mode no test runs: each starts programs.
func Main(m *testing.M) int {
	flag.Parse()
	if testing.Short() {
		return 0
	}

	defer func() { _ = os.RemoveAll(binDir()) }()
	return m.Run()
}

// binDir is where this process builds the program. The process id keeps packages apart that
// are tested at the same time.
func binDir() string {
	return filepath.Join(os.TempDir(), fmt.Sprintf("jeton-e2e-%d", os.Getpid()))
}

// Program returns the path of the program.
func Program(tb testing.TB) string {
	tb.Helper()
	path, err := program()
	if err != nil {
		tb.Fatal(err)
	}

	return path
}

// BenchProgram returns the path of the benchmark program.
func BenchProgram(tb testing.TB) string {
	tb.Helper()

	path, err := bench()
	if err != nil {
		tb.Fatal(err)
	}

	return path
}

// buildBench builds the benchmark program, which is a module of its own in bench/: in a workspace, so that what it
// shares with the first module is not compiled again.
func buildBench() (string, error) {
	root, err := moduleDir()
	if err != nil {
		return "", err
	}

	err = os.MkdirAll(binDir(), 0o700)
	if err != nil {
		return "", err
	}

	path := filepath.Join(binDir(), "bench")
	for _, args := range [][]string{{"work", "init", ".", "./bench"}, {"build", "-o", path, "./bench"}} {
		cmd := exec.Command("go", args...)
		cmd.Dir = root
		cmd.Env = append(os.Environ(), "GOWORK="+filepath.Join(binDir(), "go.work"))

		out, err := cmd.CombinedOutput()
		if err != nil {
			return "", fmt.Errorf("build the benchmark program: go %s: %w\n%s", args[0], err, out)
		}
	}

	return path, nil
}

// moduleDir returns the folder of the product's module, from the tests of other modules too.
func moduleDir() (string, error) {
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/jeton-auth/jeton").Output()
	if err != nil {
		return "", fmt.Errorf("find the module: %w", err)
	}

	return strings.TrimSpace(string(dir)), nil
}

// shipped returns the program that $JETON_TEST_PROGRAM names, which 'make test' builds once for all
// packages, or builds it.
func shipped() (string, error) {
	path := os.Getenv("JETON_TEST_PROGRAM")
	if path != "" {
		return path, nil
	}

	return build("")
}

// build builds the program as it is released: without cgo. A tag adds a deliberate bug.
func build(tag string) (string, error) {
	path := filepath.Join(binDir(), "jeton"+tag)
	if runtime.GOOS == "windows" {
		path += ".exe"
	}

	root, err := moduleDir()
	if err != nil {
		return "", err
	}

	cmd := exec.Command("go", "build", "-tags="+tag, "-o", path, "./cmd/jeton")
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off")

	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the program: %w\n%s", err, out)
	}

	return path, nil
}

// starter runs what starts processes on one thread that does not end: Linux kills a
// bound process when the thread that started it ends, not the process.
func starter() chan<- func() {
	work := make(chan func())
	go func() {
		runtime.LockOSThread()
		for start := range work {
			start()
		}
	}()

	return work
}

// Command is a program to be run.
type Command struct {
	Args  []string // with the program first
	Env   []string // beside PATH and a HOME of its own
	Dir   string
	Stdin io.Reader  // that ends, or a file
	Files []*os.File // open in the program from descriptor 3 on
}

// Process is a running program. It ends with its test at the latest.
type Process struct {
	Out, Err *Output
	cmd      *exec.Cmd
	ended    chan struct{}
}

// Run starts a program.
func Run(tb testing.TB, c Command) *Process {
	tb.Helper()
	p := &Process{Out: &Output{}, Err: &Output{}, ended: make(chan struct{})}
	p.cmd = exec.Command(c.Args[0], c.Args[1:]...)
	p.cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + tb.TempDir(), "LC_ALL=C.UTF-8"}, c.Env...)
	p.cmd.Dir, p.cmd.Stdin, p.cmd.ExtraFiles = c.Dir, c.Stdin, c.Files

	p.cmd.Stdout, p.cmd.Stderr = p.Out, p.Err
	p.cmd.WaitDelay = 5 * time.Second // for who inherited the output and lives on
	bind(p.cmd)
	started := make(chan error)
	starts() <- func() { started <- p.cmd.Start() }

	if err := <-started; err != nil {
		tb.Fatalf("start %s: %v", c.Args[0], err)
	}

	go func() {
		_ = p.cmd.Wait()
		close(p.ended)
	}()

	tb.Cleanup(func() {
		p.Kill()
		if tb.Failed() {
			tb.Logf("%s wrote\n%s%s", p.cmd.Args, tail(p.Out.String()), tail(p.Err.String()))
		}
	})

	return p
}

// tail returns the end of an output, where the error usually is.
func tail(s string) string {
	const most = 8 << 10
	if len(s) > most {
		return "…" + s[len(s)-most:]
	}
	return s
}

// Ended is closed when the process has ended.
func (p *Process) Ended() <-chan struct{} { return p.ended }

// Kill ends the process and what it started as kill -9 does, and waits for the end.
func (p *Process) Kill() {
	select {
	case <-p.ended:
	default:
		killAll(p.cmd)
		<-p.ended
	}
}

// Signal sends a signal to the process.
func (p *Process) Signal(tb testing.TB, s os.Signal) {
	tb.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		tb.Fatalf("signal %v: %v", s, err)
	}
}

// Code waits for the end of the process and returns its exit code, -1 for a signal.
func (p *Process) Code(tb testing.TB) int {
	tb.Helper()

	select {
	case <-p.ended:
		return p.cmd.ProcessState.ExitCode()
	case <-time.After(Patience):
		tb.Fatalf("%s runs, want it to exit; it wrote\n%s%s", p.cmd.Args, p.Out, p.Err)
		return 0
	}
}

// Output keeps what a process writes. It is safe for concurrent use.
type Output struct {
	mu   sync.Mutex
	text strings.Builder
}

// Write implements io.Writer.
func (o *Output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(b)
}

// String returns what has been written so far.
func (o *Output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// Wait waits until ok returns true, and fails the test when that takes too long.
func Wait(tb testing.TB, what string, ok func() bool) {
	tb.Helper()

	for deadline := time.Now().Add(Patience); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			tb.Fatalf("timeout; want %s", what)
		}
	}
}

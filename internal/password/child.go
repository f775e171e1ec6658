package password

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"time"

	"github.com/jeton-auth/jeton"
)

const (
	minBackoff = 100 * time.Millisecond
	maxBackoff = 5 * time.Second
	stopGrace  = 2 * time.Second // the grace of a child
)

// child keeps the hasher process of one worker. It starts one when there is work and none
// runs. Its methods are safe for concurrent use.
type child struct {
	argv  []string
	log   *slog.Logger
	grace time.Duration // how long the process may take to exit after its input ends

	mu       sync.Mutex
	proc     *process      // nil: none is running
	backoff  time.Duration // after the next death
	earliest time.Time     // of the next start
	stopped  bool
	wg       sync.WaitGroup // goroutines of processes
}

// newChild returns a child that is not running: the first job starts it.
func newChild(argv []string, log *slog.Logger) *child {
	return &child{
		argv:    argv,
		log:     log,
		grace:   stopGrace,
		backoff: minBackoff,
	}
}

// derive sends j to the process and returns the key. When no process can be started, or it
// dies, it returns jeton.ErrBusy with the time to retry after.
func (c *child) derive(ctx context.Context, j *job) ([]byte, error) {
	p, err := c.get(ctx)
	if err != nil {
		return nil, err
	}

	r, err := p.ask(j)
	if err != nil {
		return nil, err
	}

	size := len(j.hash.key)
	if j.imported != "" {
		size++ // the verdict
	}
	// The process is not trusted: a key of another length would be compared as a wrong
	// password.
	if r.status != statusKey || len(r.body) != size {
		return nil, errors.New("the hasher refused the work as out of bounds")
	}

	// It works again: the pause starts from the shortest after the next death.
	c.mu.Lock()
	c.backoff = minBackoff
	c.mu.Unlock()

	return r.body, nil
}

// get returns the running process, or starts one. It waits for the first pause after a
// death; during longer ones, callers get the time to retry.
func (c *child) get(ctx context.Context) (*process, error) {
	for {
		c.mu.Lock()
		wait := time.Until(c.earliest)
		switch {
		case c.stopped:
			c.mu.Unlock()
			return nil, jeton.WithRetryAfter(jeton.ErrBusy, busyFor)
		case c.proc != nil:
			defer c.mu.Unlock()
			return c.proc, nil
		case wait <= 0:
			defer c.mu.Unlock()
			return c.start()
		}

		c.mu.Unlock()
		// Holding callers for seconds would fill the queue; they retry later instead.
		if wait > minBackoff {
			return nil, jeton.WithRetryAfter(jeton.ErrBusy, max(wait, busyFor))
		}

		select {
		case <-ctx.Done():
			return nil, jeton.WithRetryAfter(jeton.ErrBusy, busyFor)
		case <-time.After(wait):
		}
	}
}

// start starts a process. The caller holds c.mu.
func (c *child) start() (*process, error) {
	p, err := c.launch()
	if err != nil {
		// A failed start counts as a death, so that the pauses grow.
		c.died()
		c.log.Error(
			"the hasher could not be started; logins are answered as busy",
			"error", err,
			"after", time.Until(c.earliest).Round(time.Millisecond).String(),
		)
		return nil, jeton.WithRetryAfter(jeton.ErrBusy, busyFor)
	}

	c.proc = p
	return p, nil
}

// died prepares for the next start. The caller holds c.mu.
func (c *child) died() {
	c.proc = nil
	c.earliest = time.Now().Add(c.backoff)
	c.backoff = min(2*c.backoff, maxBackoff)
}

// launch starts a process and the goroutines that wait for it and read from it.
func (c *child) launch() (*process, error) {
	theirIn, ourOut, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	// Only the child may hold its ends: else its death would not end our read.
	defer theirIn.Close()

	ourIn, theirOut, err := os.Pipe()
	if err != nil {
		ourOut.Close()
		return nil, err
	}
	defer theirOut.Close()

	cmd := exec.Command(c.argv[0], c.argv[1:]...)
	if c.argv[0] == "/proc/self/exe" {
		cmd.Args[0] = os.Args[0] // this program again, under its own name
	}

	cmd.Stdin = theirIn
	cmd.Stdout = theirOut
	cmd.Stderr = &lines{log: c.log}
	// No other variable: the environment may hold secrets that the child does not need.
	cmd.Env = []string{"GOMAXPROCS=1"}
	cmd.SysProcAttr = childAttr()

	p := &process{
		out:     ourOut,
		waiting: map[uint64]chan response{},
		cmd:     cmd,
		gone:    make(chan struct{}),
	}

	// run starts the process, because that thread must live as long as the process.
	started := make(chan error)
	c.wg.Go(func() { c.run(p, started) })
	if err := <-started; err != nil {
		ourOut.Close()
		ourIn.Close()
		return nil, err
	}

	c.wg.Go(func() { c.read(p, ourIn) })

	return p, nil
}

// run starts the process, reports that, and waits for its end.
func (c *child) run(p *process, started chan<- error) {
	// On Linux the process is killed when the thread that started it ends (see childAttr), so
	// this goroutine keeps that thread until the process has ended.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()

	defer close(p.gone)

	err := p.cmd.Start()
	started <- err
	if err != nil {
		return
	}

	err = p.cmd.Wait()

	c.mu.Lock()
	// After stop, the death is the expected one.
	stopped := c.stopped
	c.mu.Unlock()

	if !stopped {
		c.log.Error(
			"the hasher died; logins in flight are answered as busy and it is started again",
			"pid", p.cmd.Process.Pid,
			"error", err,
		)
	}
}

// read reads the responses of the process until it ends or breaks the protocol.
func (c *child) read(p *process, responses *os.File) {
	defer responses.Close()

	err := p.read(responses, c.log)

	c.mu.Lock()
	// A newer process may run already; its pause is not this one's.
	if c.proc == p {
		c.died()
	}
	stopped := c.stopped
	c.mu.Unlock()

	if err != nil && !stopped {
		c.log.Error("the hasher sent an invalid response", "error", err)
	}

	// After died: a caller that fails now and tries again gets a new process, not this one.
	p.fail()
	p.out.Close()

	if !stopped {
		_ = p.cmd.Process.Kill() // it may still run, and is useless without its responses
	}
}

// stop ends the process, which finishes what has begun when its input ends. No other one is
// started.
func (c *child) stop() {
	c.mu.Lock()
	c.stopped = true
	p := c.proc
	c.mu.Unlock()

	if p != nil {
		// At the end of its input, the hasher finishes its work and exits.
		p.out.Close()

		select {
		case <-p.gone:
		case <-time.After(c.grace):
			_ = p.cmd.Process.Kill()
		}
	}

	c.wg.Wait()
}

// process is one running hasher.
type process struct {
	cmd  *exec.Cmd
	gone chan struct{} // closed when the process has ended and its exit status is read

	writing sync.Mutex // one request after the other
	out     *os.File

	mu      sync.Mutex
	waiting map[uint64]chan response // callers by request ID; nil: the process has ended
	last    uint64                   // the last request ID
}

// ask sends a request and waits for its answer.
func (p *process) ask(j *job) (response, error) {
	answer := make(chan response, 1)

	// A request is written while this lock is held: a caller that gets the lock after it finds every
	// registered request with the child.
	p.writing.Lock()
	id := p.register(answer)
	if id == 0 {
		p.writing.Unlock()
		return response{}, errDied()
	}

	frame := appendRequest(make([]byte, 0, maxFrame), id, j.hash, j.imported, j.pw.Reveal())
	_, err := p.out.Write(frame)
	p.writing.Unlock()
	// The frame contains the password.
	clear(frame)

	if err != nil {
		// It may still answer others, so only this one gives up.
		p.mu.Lock()
		delete(p.waiting, id)
		p.mu.Unlock()
		return response{}, errDied()
	}

	r, ok := <-answer
	if !ok {
		return response{}, errDied()
	}

	return r, nil
}

// errDied is the error of a job whose hasher has died. The password was not judged, so the
// caller may try again.
func errDied() error { return jeton.WithRetryAfter(jeton.ErrBusy, busyFor) }

// read passes responses to their callers until the process closes its output. An error means
// that the process speaks another protocol.
func (p *process) read(from *os.File, log *slog.Logger) error {
	buffered := bufio.NewReaderSize(from, maxFrame)
	hello, err := readResponse(buffered)
	switch {
	case err != nil:
		return fmt.Errorf("read greeting: %w", noEOF(err))
	case hello.id != 0 || hello.status != frameVersion:
		return errors.New("the hasher is another version than this server; restart the server")
	case len(hello.body) > 0:
		log.Warn("note from the hasher", "note", string(hello.body))
	}

	for {
		r, err := readResponse(buffered)
		if err != nil {
			return nil // it has died; run logs the exit status
		}

		p.mu.Lock()
		answer, ok := p.waiting[r.id]
		delete(p.waiting, r.id)
		p.mu.Unlock()

		// An unknown or repeated ID: from here on, answers might go to the wrong callers.
		if !ok {
			return errors.New("a response without a request")
		}

		answer <- r
	}
}

// register returns the id of a new request, or 0 if the child has died.
func (p *process) register(answer chan response) uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()

	if p.waiting == nil {
		return 0
	}

	p.last++ // the first is 1: 0 is the greeting
	p.waiting[p.last] = answer

	return p.last
}

// fail makes every caller, now and later, get jeton.ErrBusy.
func (p *process) fail() {
	p.mu.Lock()
	defer p.mu.Unlock()

	for _, answer := range p.waiting {
		close(answer)
	}

	// register refuses from now on; without this, a later caller would wait forever.
	p.waiting = nil
}

// lines logs what the hasher writes to its standard error: nothing, unless it
// crashes. It is used by one goroutine.
type lines struct {
	log  *slog.Logger
	part []byte
}

const maxLine = 1 << 10 // bytes of one line that are logged

// Write logs each complete line.
func (l *lines) Write(b []byte) (int, error) {
	n := len(b)

	for len(b) > 0 {
		line, rest, whole := bytes.Cut(b, []byte("\n"))
		// The rest of a long line is dropped: a broken hasher must not fill the log.
		l.part = append(l.part, line[:min(len(line), maxLine-len(l.part))]...)
		if whole {
			l.log.Warn("the hasher wrote to its standard error", "line", string(l.part))
			l.part = l.part[:0]
		}

		b = rest
	}

	return n, nil
}

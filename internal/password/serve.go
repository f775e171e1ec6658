package password

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"sync"
	"syscall"
	"time"
)

const (
	niceness = 19 // the lowest priority there is
	// spareMemory is what a hasher needs beside the blocks that argon2 fills, in bytes.
	spareMemory = 16 << 20
	// idleAfter is how long a hasher keeps memory that it does not use.
	idleAfter = 10 * time.Second
)

// Serve is the main loop of a hasher: the process that Config.Command names. It
// answers the requests that it reads from in until in ends, as many at the same time as
// there are workers (0: GOMAXPROCS). Then it finishes what has begun and returns nil.
//
// It makes the whole process a hasher, with the lowest priority and no more memory than
// its work needs. The process ignores the signals that end a server, and ends with in:
// logins still work while a server finishes its requests. When ctx ends, Serve returns
// sooner, and may leave a read of in behind that cannot be interrupted.
func Serve(ctx context.Context, workers int, in io.Reader, out io.Writer) error {
	if workers <= 0 {
		workers = runtime.GOMAXPROCS(0)
	}

	// A supervisor may signal every process of a service; logins go on until in ends.
	signal.Ignore(os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	note := ""
	if err := lowerPriority(niceness); err != nil {
		note = "priority of the hasher is not lowered: " + err.Error()
	}

	m := &memory{workers: workers}
	// The hasher collects after each job (see memory).
	debug.SetGCPercent(-1)
	m.add(0)
	err := serve(ctx, workers, pollable(in), out, m, note)

	if ctx.Err() != nil {
		return nil
	}

	return err
}

// serve is Serve without its changes to the process.
func serve(ctx context.Context, workers int, in io.Reader, out io.Writer, m *memory, note string) error {
	ctx, stop := context.WithCancelCause(ctx)
	var writing sync.Mutex

	write := func(r response) {
		writing.Lock()
		defer writing.Unlock()
		if err := writeResponse(out, r); err != nil {
			stop(fmt.Errorf("write answer: %w", err))
		}
	}

	// The greeting is the first frame: the server checks the version before any answer.
	write(response{status: frameVersion, body: []byte(note[:min(len(note), 1024)])})

	requests := make(chan request) // no room: what has been received has begun
	read := make(chan error, 1)
	go func() {
		buffered := bufio.NewReaderSize(in, maxFrame)
		for {
			r, err := readRequest(buffered)
			if err != nil {
				read <- err
				return
			}

			select {
			case requests <- r:
			case <-ctx.Done():
				return
			}
		}
	}()

	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for {
				select {
				case r := <-requests:
					n := r.memory()
					m.begin(n)
					write(r.answer())
					m.end(n)
				case <-ctx.Done():
					return
				}
			}
		})
	}

	// stop lets idle workers return; one that is computing finishes its job first.
	err := idle(ctx, read, m)
	stop(nil)
	wg.Wait()

	if err == io.EOF {
		return nil
	}

	return err
}

// idle waits for the end, and gives memory back to the system when there is no work.
func idle(ctx context.Context, read <-chan error, m *memory) error {
	tick := time.NewTicker(idleAfter)
	defer tick.Stop()

	for {
		select {
		case err := <-read:
			return err
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
			m.release()
		}
	}
}

// answer does the work of r, and wipes its password.
func (r request) answer() response {
	defer clear(r.pw)

	if r.check() != nil {
		return response{id: r.id, status: statusRefused}
	}
	if r.imported != "" {
		return response{id: r.id, status: statusKey, body: matchImported(r.imported, r.hash, r.pw)}
	}

	return response{id: r.id, status: statusKey, body: r.hash.derive(r.pw)}
}

// memory returns how many bytes the work of r fills: as much as the larger of two steps.
func (r request) memory() int64 {
	n := int64(r.hash.MemoryKiB) << 10
	if r.imported != "" {
		// An error is the refusal of answer, which allocates nothing.
		if f, err := parseImported(r.imported); err == nil {
			n = max(n, int64(f.memory))
		}
	}

	return n
}

// memory limits a hasher's memory to what its workers fill. The collector is off, as
// a block is many times larger than all else and a heap goal in percent would keep
// several; instead each block is collected when its job ends, before the worker takes
// another, and a limit stands behind that. A nil memory does nothing.
type memory struct {
	workers int

	mu    sync.Mutex
	inUse int64 // bytes in blocks of jobs that have begun
	limit int64 // as last set, in bytes
	idle  bool  // nothing has been done since the last release
}

// begin notes that a job needs n bytes. A nil memory notes nothing.
func (m *memory) begin(n int64) {
	if m != nil {
		m.add(n)
	}
}

func (m *memory) end(n int64) {
	if m != nil {
		m.add(-n)
		// Before the worker takes the next job: two blocks at once would exceed the limit.
		runtime.GC()
	}
}

// add counts a block and moves the limit: to what blocks of the default size take,
// or to what is in use when stored hashes ask for more than that.
func (m *memory) add(n int64) {
	m.mu.Lock()
	defer m.mu.Unlock()

	m.inUse += n
	m.idle = false
	limit := max(m.inUse, int64(m.workers)*int64(Default.MemoryKiB)<<10) + spareMemory
	if limit != m.limit {
		m.limit = limit
		debug.SetMemoryLimit(limit)
	}
}

// release gives memory back to the system if nothing has been done since the last call.
func (m *memory) release() {
	if m == nil {
		return
	}

	m.mu.Lock()
	// Only once after work: FreeOSMemory is a full collection.
	again, busy := m.idle, m.inUse > 0
	m.idle = true
	m.mu.Unlock()

	if !again && !busy {
		debug.FreeOSMemory()
	}
}

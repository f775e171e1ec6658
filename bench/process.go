package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// process is a server that this program has started.
type process struct {
	name string
	addr string
	cmd  *exec.Cmd
	log  string // file with what it said
	done chan struct{}
}

// launch starts a server on the cores; nil is all of them. Its output goes to a file
// in dir.
func launch(name, addr, dir string, cores []int, env []string, argv ...string) (*process, error) {
	log, err := os.OpenFile(filepath.Join(dir, name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()

	p := &process{
		name: name,
		addr: addr,
		cmd:  exec.Command(argv[0], argv[1:]...),
		log:  log.Name(),
		done: make(chan struct{}),
	}
	p.cmd.Dir = dir
	p.cmd.Stdout = log
	p.cmd.Stderr = log
	// Nothing else of the environment: a JETON_ variable would change what is measured.
	p.cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "TMPDIR=" + dir}, env...)

	if err := startPinned(p.cmd, cores); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}

	// Wait is called once, here; everybody else waits for done.
	go func() {
		_ = p.cmd.Wait()
		close(p.done)
	}()

	return p, nil
}

// pid is the process id of the server itself.
func (p *process) pid() int { return p.cmd.Process.Pid }

// await waits until the server answers the first request of a load with a 200.
func (p *process) await(ctx context.Context, l load) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()

	for {
		if answers200(p.addr, l) {
			return nil
		}

		select {
		case <-p.done:
			return fmt.Errorf("%s ended: %s", p.name, p.logTail())
		case <-ctx.Done():
			return fmt.Errorf("%s does not answer: %w: %s", p.name, ctx.Err(), p.logTail())
		// Short, as the start of a server is measured with it: a matter of milliseconds.
		case <-time.After(200 * time.Microsecond):
		}
	}
}

// answers200 sends one request on a new connection.
func answers200(addr string, l load) bool {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return false
	}
	defer c.Close()

	_ = c.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := c.Write(l.appendRequest(nil, 0)); err != nil {
		return false
	}

	b := make([]byte, 16<<10)
	for have := 0; have < len(b); {
		n, err := c.Read(b[have:])
		if err != nil {
			return false
		}

		have += n
		if a, err := parseAnswer(b[:have]); err != nil || a.size > 0 {
			return err == nil && a.status == 200
		}
	}

	return false
}

// logTail returns the last 1000 bytes of the log of the server, for an error text.
func (p *process) logTail() string {
	b, _ := os.ReadFile(p.log)
	return string(b[max(0, len(b)-1000):])
}

// stop ends the server as an operator would, and by force if it does not.
func (p *process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)

	select {
	case <-p.done:
	// Longer than shutdown.timeout, after which a server ends by itself.
	case <-time.After(15 * time.Second):
		_ = p.cmd.Process.Kill()
		<-p.done
	}
}

// family returns a process and its children, and theirs.
func family(pids ...int) []int {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	parent := map[int]int{}
	for _, file := range stats {
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		fields := procStat(pid)
		if len(fields) > 1 {
			parent[pid], _ = strconv.Atoi(fields[1])
		}
	}

	all := append([]int(nil), pids...)
	// The list grows while it is walked: children of children are found, too.
	for i := 0; i < len(all); i++ {
		for pid, of := range parent {
			if of == all[i] {
				all = append(all, pid)
			}
		}
	}

	return all
}

// procStat returns the fields of /proc/PID/stat after the name, which may hold anything.
func procStat(pid int) []string {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return nil
	}
	return strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
}

// tick is how /proc counts processor time, on every Linux of the last twenty years.
const tick = 0.01

// cpuOf returns the processor time of processes and their children, in seconds.
func cpuOf(pids ...int) float64 {
	ticks := 0
	for _, pid := range family(pids...) {
		f := procStat(pid)
		if len(f) > 12 {
			user, _ := strconv.Atoi(f[11])
			system, _ := strconv.Atoi(f[12])
			ticks += user + system
		}
	}

	return float64(ticks) * tick
}

// cpuOfAll returns the processor time of the whole machine, in seconds.
func cpuOfAll() float64 {
	b, _ := os.ReadFile("/proc/stat")
	line, _, _ := strings.Cut(string(b), "\n")
	ticks := 0
	for i, field := range strings.Fields(line) {
		switch i {
		case 1, 2, 3, 6, 7: // user, nice, system, irq, softirq
			n, _ := strconv.Atoi(field)
			ticks += n
		}
	}

	return float64(ticks) * tick
}

// memoryOf returns a line of /proc/PID/status, as VmRSS or VmHWM, summed over a process
// and its children, in MiB.
func memoryOf(pid int, line string) float64 {
	kib := 0
	for _, p := range family(pid) {
		b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", p))
		_, rest, ok := strings.Cut(string(b), "\n"+line+":")
		if ok {
			n, _ := strconv.Atoi(strings.Fields(rest)[0])
			kib += n
		}
	}

	return float64(kib) / 1024
}

// freeAddr returns a free address on loopback.
func freeAddr() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()

	return l.Addr().String(), nil
}

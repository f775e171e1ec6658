package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"
)

// load is an order for the load generator.
type load struct {
	Addrs []string // the connections are spread over them
	Kind  string
	Path  string
	Conns int
	// Sessions (or tokens), Users: how many the requests are spread over, at random. From is
	// the first of them.
	Sessions int
	From     int
	Users    int
	Password string
	Cookie   string // sent with every plain request
	Header   string // lines of the head, sent with every request of kindCookie, kindHeader and kindBody
	Lines    string // file of which those requests take a line each
	Lined    int    // how many lines it has
	// Rate makes the load an open loop with that many requests a second: latency counts from
	// the moment at which a request should have been sent. 0 is a closed loop.
	Rate float64
	// Each makes every different request be sent once, in order, and ends then: memory is warm
	// before anything is measured.
	Each  bool
	Pause time.Duration // of a client that was answered 503
	Warm  time.Duration // not measured
	Run   time.Duration
	PIDs  []int // the server, whose processor time is measured

	lines []string // what Lines holds
}

// many returns how many different requests there are.
func (l *load) many() int {
	switch l.Kind {
	case kindCookie, kindLogout, kindToken:
		return l.Sessions
	case kindLogin:
		return l.Users
	case kindHeader, kindBody:
		return l.Lined
	}

	return 1
}

// read reads the file of lines.
func (l *load) read() error {
	if l.Lines == "" {
		return nil
	}

	b, err := os.ReadFile(l.Lines)
	if err != nil {
		return err
	}

	l.lines = strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")
	if len(l.lines) < l.Lined {
		return fmt.Errorf("%s has %d lines, not %d", l.Lines, len(l.lines), l.Lined)
	}

	return nil
}

// loaded is the result of a load.
type loaded struct {
	Seconds  float64
	Status   map[int]int
	Broken   int // connections that ended unasked
	P50, P99 time.Duration
	CPU      float64 // seconds of the server and its children
	Others   float64 // processors that were busy with something else
}

// rate returns the responses with the status per second.
func (l loaded) rate(status int) float64 { return float64(l.Status[status]) / l.Seconds }

// answers returns the number of responses, whatever their status.
func (l loaded) answers() int {
	n := 0
	for _, k := range l.Status {
		n += k
	}
	return n
}

// sample turns the result of a load into a sample of the responses with the status.
func (l loaded) sample(status int) sample {
	return sample{
		rate:   l.rate(status),
		cpu:    l.CPU * 1e6 / float64(max(l.answers(), 1)),
		others: l.Others,
		p50:    float64(l.P50) / 1e6,
		p99:    float64(l.P99) / 1e6,
	}
}

// generate runs a load in a process of its own, on the cores. It returns when the load ends.
func generate(ctx context.Context, cores []int, l load) (loaded, error) {
	wait, err := generating(ctx, cores, l)
	if err != nil {
		return loaded{}, err
	}
	return wait()
}

// generating starts a load. The function it returns waits until the load ends.
func generating(ctx context.Context, cores []int, l load) (func() (loaded, error), error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}

	order, err := json.Marshal(l)
	if err != nil {
		return nil, err
	}

	// A process of its own: its processor time is counted apart, and its garbage does not
	// disturb what this process measures.
	cmd := exec.CommandContext(ctx, self, "role-load")
	var out bytes.Buffer

	cmd.Stdin = bytes.NewReader(order)
	cmd.Stdout = &out
	cmd.Stderr = os.Stderr

	if err := startPinned(cmd, cores); err != nil {
		return nil, fmt.Errorf("start load generator: %w", err)
	}

	return func() (loaded, error) {
		if err := cmd.Wait(); err != nil {
			return loaded{}, fmt.Errorf("load generator, %s %s: %w", l.Kind, l.Path, err)
		}

		var result loaded
		if err := json.Unmarshal(out.Bytes(), &result); err != nil {
			return loaded{}, fmt.Errorf("read the load generator's result: %w", err)
		}

		return result, nil
	}, nil
}

// loadRole is the load generator's process: an order on standard input, the result on
// standard output.
func loadRole([]string) error {
	var l load
	if err := json.NewDecoder(os.Stdin).Decode(&l); err != nil {
		return err
	}
	if err := l.read(); err != nil {
		return err
	}

	result, err := drive(l)
	if err != nil {
		return err
	}

	return json.NewEncoder(os.Stdout).Encode(result)
}

// usage is processor time at one moment, in seconds.
type usage struct {
	server, self, all float64
}

// usage reads the current processor times.
func (l *load) usage() usage {
	return usage{cpuOf(l.PIDs...), cpuOf(os.Getpid()), cpuOfAll()}
}

// since returns the CPU time used since an earlier moment: by the server, and by others
// than the server and the generator.
func (u usage) since(before usage, seconds float64) (server, others float64) {
	server = u.server - before.server
	return server, max(u.all-before.all-server-(u.self-before.self), 0) / seconds
}

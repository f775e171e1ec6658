//go:build linux || darwin || dragonfly || freebsd || netbsd || openbsd

package password

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
)

// roles are the tasks of this binary when it is started as a child.
var roles = map[string]func(){
	"hasher": func() {
		if err := Serve(context.Background(), 0, os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}

		if raceEnabled { // the race detector would delay the exit of a process by a second
			self, _ := os.FindProcess(os.Getpid())
			_ = self.Kill()
		}
	},
	"endless": func() { // greets and then ignores the end of its input
		signal.Ignore(syscall.SIGPIPE) // and a closed output
		_ = writeResponse(os.Stdout, response{status: frameVersion})
		time.Sleep(time.Hour)
	},
	"stranger": func() {
		_ = writeResponse(os.Stdout, response{status: frameVersion + 1})
		_, _ = io.Copy(io.Discard, os.Stdin)
	},
	"chatter": func() { fmt.Println("Usage: something else altogether") },
	"mute":    func() { fmt.Fprintln(os.Stderr, "no such command") },
	// parent runs a pool whose child ignores the end of its input, prints the child's
	// process id and stays.
	"parent": func() {
		p, err := New(Config{Workers: 1, Command: as("endless")})
		if err != nil {
			os.Exit(1)
		}

		go func() { _ = p.Run(context.Background()) }()
		go func() { _, _ = p.Hash(context.Background(), jeton.NewSecret("12345678")) }()

		for pid(p) == 0 {
			time.Sleep(time.Millisecond)
		}

		fmt.Println(pid(p))
		time.Sleep(time.Hour)
	},
}

// as returns the argv that starts this binary in a role.
func as(role string) []string {
	exe, err := os.Executable()
	if err != nil {
		panic(err)
	}
	return []string{exe, role}
}

// pid returns the process id of p's first child, 0 when there is none.
func pid(p *Pool) int { return pids(p)[0] }

// pids returns the process ids of p's children, 0 where there is none.
func pids(p *Pool) []int {
	var list []int
	for _, c := range p.children {
		c.mu.Lock()
		n := 0
		if c.proc != nil {
			n = c.proc.cmd.Process.Pid
		}

		c.mu.Unlock()
		list = append(list, n)
	}

	return list
}

func kill(t *testing.T, pid int) {
	t.Helper()
	proc, err := os.FindProcess(pid)
	if err == nil {
		err = proc.Kill()
	}

	if err != nil {
		t.Fatal(err)
	}
}

func TestChildStartsWithTheFirstJob(t *testing.T) {
	p := running(t, Config{Workers: 1, Command: as("hasher")})
	time.Sleep(20 * time.Millisecond)
	n := pid(p)
	if n != 0 {
		t.Errorf("process %d runs before the first job, want none", n)
	}

	if _, err := p.Hash(t.Context(), jeton.NewSecret("12345678")); err != nil {
		t.Fatal(err)
	}
	if pid(p) == 0 {
		t.Error("no process runs, want one")
	}
}

func TestKilledChildIsReplaced(t *testing.T) {
	var log logged
	p := running(t, Config{
		Workers: 2,
		Queue:   10,
		Command: as("hasher"),
		Log:     log.log(),
	})
	ctx := t.Context()
	secret := jeton.NewSecret("a secret of this test")
	phc, err := p.Hash(ctx, secret)
	if err != nil {
		t.Fatal(err)
	}

	slow := Hash{Params: Params{maxMemory, maxPasses, 1}, salt: make([]byte, saltSize), key: make([]byte, keySize)}
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			_, _, err := p.Verify(ctx, slow.PHC(), secret)
			if wait, ok := jeton.RetryAfter(err); !errors.Is(err, jeton.ErrBusy) || !ok || wait != time.Second {
				t.Errorf("in flight: %v, want ErrBusy after 1s", err)
			}
		})
	}

	for _, c := range p.children {
		waitForRequest(c)
	}

	dead := pids(p)
	for _, pid := range dead {
		kill(t, pid)
	}

	wg.Wait()

	if ok, _, err := p.Verify(ctx, phc, secret); !ok || err != nil {
		t.Errorf("after the child was killed, Verify = %v, %v, want true", ok, err)
	}

	for _, pid := range pids(p) {
		if pid != 0 && slices.Contains(dead, pid) {
			t.Error("a dead child still gets requests, want none")
		}
	}

	if !strings.Contains(log.String(), "the hasher died") {
		t.Errorf("the log has no entry of the killed child: %s", log.String())
	}
	if strings.Contains(log.String(), "a secret of") {
		t.Errorf("the log holds the password: %s", log.String())
	}
}

// waitForRequest waits until the process of a child has received a request that it has not answered.
func waitForRequest(c *child) {
	for {
		c.mu.Lock()
		proc := c.proc
		c.mu.Unlock()

		if proc != nil && proc.asked() {
			return
		}

		time.Sleep(time.Millisecond)
	}
}

// asked reports whether a request is with the process.
func (p *process) asked() bool {
	p.writing.Lock() // a registered request is written while this lock is held
	defer p.writing.Unlock()

	p.mu.Lock()
	defer p.mu.Unlock()

	return len(p.waiting) > 0
}

func TestProgramsThatAreNotHashers(t *testing.T) {
	for _, tc := range []struct {
		name    string
		command []string
		logged  string
	}{
		{"the program does not exist", []string{"/nowhere/jeton", "hasher"}, "could not be started"},
		{"the program ends at once", as("mute"), "no such command"},
		{"the program prints something else", as("chatter"), "sent an invalid response"},
		{"the program is another version", as("stranger"), "restart the server"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var log logged
			p := running(t, Config{Workers: 1, Command: tc.command, Log: log.log()})

			// Callers wait out the first pause; in longer ones they get jeton.ErrBusy. The
			// pool notes the end of a child a moment after it has answered the callers.
			pause := func() time.Duration {
				p.children[0].mu.Lock()
				defer p.children[0].mu.Unlock()
				return p.children[0].backoff
			}

			limit := time.Now().Add(time.Minute)
			for pause() < 4*minBackoff || !strings.Contains(log.String(), tc.logged) {
				if _, err := p.Hash(t.Context(), jeton.NewSecret("12345678")); !errors.Is(err, jeton.ErrBusy) {
					t.Fatalf("Hash: %v, want ErrBusy", err)
				}
				if time.Now().After(limit) {
					t.Fatalf("pause = %v and log = %q, want at least %v and %q", pause(), log.String(),
						4*minBackoff, tc.logged)
				}

				time.Sleep(time.Millisecond)
			}
		})
	}
}

func TestChildThatDoesNotEndIsKilled(t *testing.T) {
	p, err := New(Config{Workers: 1, Command: as("endless")})
	if err != nil {
		t.Fatal(err)
	}

	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	answered := make(chan error, 1)
	go func() {
		_, err := p.Hash(context.Background(), jeton.NewSecret("12345678"))
		answered <- err
	}()

	for pid(p) == 0 {
		time.Sleep(time.Millisecond)
	}

	stop()
	if err := <-ended; err != nil {
		t.Errorf("Run: %v", err)
	}
	if err := <-answered; !errors.Is(err, jeton.ErrBusy) {
		t.Errorf("Hash: %v, want ErrBusy", err)
	}
}

func TestChildEndsWhatHasBegunWhenRunEnds(t *testing.T) {
	p, err := New(Config{Workers: 1, Command: as("hasher")})
	if err != nil {
		t.Fatal(err)
	}

	p.params = Params{MemoryKiB: 32 << 10, Passes: 2, Lanes: 1}
	p.children[0].grace = time.Minute // beside other work its low priority makes the hash take seconds
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()

	if _, err := p.Hash(t.Context(), jeton.NewSecret("12345678")); err != nil {
		t.Fatal(err)
	}

	answered := make(chan error, 1)
	go func() {
		_, err := p.Hash(context.Background(), jeton.NewSecret("12345678"))
		answered <- err
	}()

	waitForRequest(p.children[0])
	stop()

	if err := <-answered; err != nil {
		t.Errorf("Hash that had begun = %v, want nil", err)
	}
	if err := <-ended; err != nil {
		t.Errorf("Run: %v", err)
	}
}

// shaOf12345678 is an imported hash that costs nothing: htpasswd -nbs x 12345678
const shaOf12345678 = "{SHA}fCIvspJ9goryL1khNOiTJIBjfA0="

// TestServe tests the loop without a process.
func TestServe(t *testing.T) {
	cheapHash := Hash{Params: cheap, salt: make([]byte, saltSize), key: make([]byte, keySize)}
	costly := cheapHash
	costly.MemoryKiB = maxMemory + 1

	for _, tc := range []struct {
		name   string
		input  []byte
		status byte
		err    string
	}{
		{"a request", appendRequest(nil, 7, cheapHash, "", "12345678"), statusKey, ""},
		{"a request out of bounds", appendRequest(nil, 7, costly, "", "12345678"), statusRefused, ""},
		{"a password too long", appendRequest(nil, 7, cheapHash, "", strings.Repeat("x", Max+1)), statusRefused, ""},
		{
			"the password of an imported hash",
			appendRequest(nil, 7, cheapHash, shaOf12345678, "12345678"),
			statusKey,
			"",
		},
		{"an imported hash that is none", appendRequest(nil, 7, cheapHash, "plain", "plain"), statusRefused, ""},
		{
			"an imported hash out of bounds",
			appendRequest(nil, 7, cheapHash, "$5$rounds=5000001$salt$"+strings.Repeat(".", 43), "x"),
			statusRefused,
			"",
		},
		{"a frame too long", []byte{0, 0, 16, 1}, 0, "frame of 4097 bytes"},
		{"a frame that stops", []byte{0, 0, 0, 9, 1}, 0, "unexpected EOF"},
		{"a frame too short", []byte{0, 0, 0, 1, 1}, 0, "cut short"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			in, out := strings.NewReader(string(tc.input)), new(strings.Builder)
			err := serve(t.Context(), 1, in, out, nil, "a note")
			if tc.err == "" && err != nil || tc.err != "" && (err == nil || !strings.Contains(err.Error(), tc.err)) {
				t.Fatalf("serve: %v, want %q", err, tc.err)
			}

			from := strings.NewReader(out.String())
			if hello, err := readResponse(from); err != nil || hello.id != 0 || hello.status != frameVersion ||
				string(hello.body) != "a note" {
				t.Errorf("greeting = %v, %v", hello, err)
			}
			if tc.err != "" {
				return
			}

			if r, err := readResponse(from); err != nil || r.id != 7 || r.status != tc.status {
				t.Errorf("answer is %v, %v, want status %d for 7", r, err, tc.status)
			}
		})
	}

	t.Run("ends with ctx although its input is open", func(t *testing.T) {
		in, other := io.Pipe()
		defer other.Close()

		ctx, stop := context.WithCancel(t.Context())
		stop()

		if err := serve(ctx, 1, in, io.Discard, nil, ""); !errors.Is(err, context.Canceled) {
			t.Errorf("serve: %v, want context.Canceled", err)
		}
	})

	t.Run("ends when its answers are not read", func(t *testing.T) {
		in, other := io.Pipe()
		defer other.Close()

		from, out := io.Pipe()
		from.Close()

		if err := serve(t.Context(), 1, in, out, nil, ""); !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("serve: %v, want io.ErrClosedPipe", err)
		}
	})
}

// FuzzRequest checks that no input makes the hasher exceed its bounds.
func FuzzRequest(f *testing.F) {
	f.Add(appendRequest(nil, 1, Hash{
		Params: cheap,
		salt:   make([]byte, saltSize),
		key:    make([]byte, keySize),
	}, "", "pw"))
	f.Add(appendRequest(nil, 1, Hash{
		Params: cheap,
		salt:   make([]byte, saltSize),
		key:    make([]byte, keySize),
	}, shaOf12345678, "pw"))
	f.Add([]byte{0, 0, 0, 21, 18: 255, 22: 255, 24: 255})
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := readRequest(strings.NewReader(string(b)))
		if err != nil || r.check() != nil {
			return
		}
		if r.hash.MemoryKiB > maxMemory || r.hash.Passes > maxPasses || len(r.pw) > Max {
			t.Errorf("check(%v, %d bytes of password) = nil, want an error", r.hash, len(r.pw))
		}
	})
}

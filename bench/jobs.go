package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// jobConfig is a service as jobs use it: with TLS, as the wallet takes no other.
const jobConfig = `admin:
  listen: %s
issuer:
  url: https://issuer.example
  listen: 127.0.0.1:0
services:
  - name: ` + service + `
    listen: %s
    login: {paths: [/login]}
    tokens: {}
    accept: [session, token]
    routes:
      - match: GET /check
        respond: {text: ok}
`

// jobs is a server and the wallet of a user who runs commands with 'jeton run'.
type jobs struct {
	program string
	dir     string // of the server, and of the wallet
	addr    string
	server  *process
}

// runs measures 'jeton run -- true' beside 'true', as a whole: both processes, the wallet, a token that is made over
// TLS, and its revocation.
func (b *bench) runs(ctx context.Context) error {
	j, err := b.jobsUp(ctx)
	if err != nil {
		return err
	}
	defer j.server.stop()

	times := 100
	if b.quick {
		times = 10
	}

	commands := [][]string{
		{"true"},
		{j.program, "run", "--for", "https://" + j.addr, "--as", "job", "--", "true"},
	}
	took := make([][]float64, len(commands))
	cpu := make([][]float64, len(commands))
	before, begin := cpuOfAll(), time.Now()
	for i := range times + 1 {
		for n, args := range commands {
			ms, us, err := j.timed(ctx, args...)
			if err != nil {
				return err
			}

			// The first one reads the program from the disk.
			if i > 0 {
				took[n] = append(took[n], ms)
				cpu[n] = append(cpu[n], us)
			}
		}
	}
	busy := (cpuOfAll() - before) / time.Since(begin).Seconds()

	b.report.block(fmt.Sprintf(
		"A job with a token of its own, one after the other, over TLS; %.1f cores busy in all", busy,
	))
	b.report.add(runRow("true", took[0], cpu[0]))
	own := runRow("jeton run -- true", took[1], cpu[1])
	own.aim = "<= 60 ms"
	own.met = met(own.p50 <= 60)
	b.report.add(own)

	return nil
}

// runRow is the row of a command that was run many times.
func runRow(what string, took, cpu []float64) row {
	sorted := slices.Sorted(slices.Values(took))
	p50 := median(took)

	return row{
		what:   what,
		value:  p50,
		unit:   "ms",
		sample: sample{cpu: median(cpu), p50: p50, p99: sorted[len(sorted)*99/100]},
	}
}

// jobsUp starts a server and logs a user in.
func (b *bench) jobsUp(ctx context.Context) (*jobs, error) {
	dir, err := b.store(ctx, stored{sessions: few})
	if err != nil {
		return nil, err
	}

	admin, err := freeAddr()
	if err != nil {
		return nil, err
	}
	addr, err := freeAddr()
	if err != nil {
		return nil, err
	}

	file := filepath.Join(dir, "jobs.yaml")
	if err := os.WriteFile(file, fmt.Appendf(nil, jobConfig, admin, addr), 0o600); err != nil {
		return nil, err
	}

	server, err := launch("jobs", addr, dir, nil, nil, b.program, "serve", "--config", file, "--data-dir", dir)
	if err != nil {
		return nil, err
	}

	j := &jobs{
		program: b.program,
		dir:     dir,
		addr:    addr,
		server:  server,
	}
	if err := j.logIn(ctx); err != nil {
		server.stop()
		return nil, err
	}

	return j, nil
}

// logIn waits for the server, and logs the first user in.
func (j *jobs) logIn(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()

	for {
		c, err := (&net.Dialer{}).DialContext(ctx, "tcp", j.addr)
		if err == nil {
			_ = c.Close()
			break
		}

		select {
		case <-j.server.done:
			return fmt.Errorf("jeton ended: %s", j.server.logTail())
		case <-ctx.Done():
			return fmt.Errorf("jeton does not listen: %w: %s", ctx.Err(), j.server.logTail())
		case <-time.After(time.Millisecond):
		}
	}

	cmd := j.command(
		ctx, j.program, "login", "https://"+j.addr, "--as", "job", "--username", userName(0),
		"--cacert", filepath.Join(j.dir, "pubkey.pem"), "--password-stdin",
	)
	cmd.Stdin = strings.NewReader(password)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("jeton login: %w: %s", err, out)
	}

	return nil
}

// command is a command of the owner of the wallet.
func (j *jobs) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Dir = j.dir
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + j.dir, "TMPDIR=" + j.dir,
		"JETON_HOME=" + filepath.Join(j.dir, "home"), "JETON_WALLET_KEYRING=0",
	}

	return cmd
}

// timed runs a command, and returns how long it took in milliseconds, and the processor time of it and its children in
// microseconds.
func (j *jobs) timed(ctx context.Context, args ...string) (ms, us float64, err error) {
	cmd := j.command(ctx, args...)
	begin := time.Now()
	out, err := cmd.CombinedOutput()
	if err != nil {
		return 0, 0, fmt.Errorf("%s: %w: %s", strings.Join(args, " "), err, out)
	}

	ms = float64(time.Since(begin)) / 1e6
	spent := cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()

	return ms, float64(spent) / 1e3, nil
}

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"time"
)

// hashes measures how many passwords a second the cores can hash.
func (b *bench) hashes(ctx context.Context) (sample, error) {
	self, err := os.Executable()
	if err != nil {
		return sample{}, err
	}

	before, begin := usage{all: cpuOfAll()}, time.Now()
	cmd := exec.CommandContext(ctx, self, "role-hash", "-run", b.run.String())
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return sample{}, fmt.Errorf("hash passwords: %w", err)
	}

	var s sample
	if err := json.Unmarshal(out, &s.rate); err != nil {
		return sample{}, err
	}

	spent := cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	seconds := time.Since(begin).Seconds()
	s.cpu = spent.Seconds() * 1e6 / (s.rate * seconds)
	now := usage{server: spent.Seconds(), all: cpuOfAll()}
	_, s.others = now.since(before, seconds)

	return s, nil
}

// logins measures logins by password, and their memory under overload.
func (b *bench) logins(ctx context.Context) error {
	if err := b.loginRate(ctx); err != nil {
		return err
	}
	return b.crowd(ctx)
}

// loginRate measures logins beside hashes alone: nearly all of a login is its hash, so the
// rest may take at most a twentieth.
func (b *bench) loginRate(ctx context.Context) error {
	jeton, err := b.jetonUp(ctx, b.sessions, shared)
	if err != nil {
		return err
	}
	defer jeton.stop()

	all, err := b.rounds(ctx, b.hashes, b.get(jeton, shared, load{
		Kind:     kindLogin,
		Path:     "/login",
		Users:    users,
		Password: password,
		Conns:    8,
	}))
	if err != nil {
		return err
	}

	b.report.block("Login by password (argon2id, 19 MiB, t=2), all cores, 8 connections")
	b.report.add(row{what: "argon2id alone", unit: "hashes/s", sample: middle(all[0])})
	r := ratios(all[1], all[0])
	b.report.add(row{
		what:   "jeton, login",
		unit:   "logins/s",
		sample: middle(all[1]),
		ratio:  r,
		aim:    ">= 0.95 of argon2id",
		met:    met(r >= .95),
	})

	return nil
}

// crowd measures the memory of a server while 500 clients wait for a login.
func (b *bench) crowd(ctx context.Context) error {
	jeton, err := b.jetonUp(ctx, b.sessions, shared)
	if err != nil {
		return err
	}
	defer jeton.stop()

	const clients = 500
	result, err := generate(ctx, nil, load{
		Addrs:    []string{jeton.addr},
		Kind:     kindLogin,
		Path:     "/login",
		Users:    users,
		Password: password,
		Conns:    clients,
		Pause:    time.Second,
		Run:      max(b.run, time.Second),
		PIDs:     []int{jeton.pid()},
	})
	if err != nil {
		return err
	}

	good, busy := result.Status[200], result.Status[503]
	// Each client gets a login or a 503 with Retry-After; anything else is a fault, not a
	// figure.
	if good == 0 || good+busy != result.answers() || result.Broken > 0 {
		return fmt.Errorf(
			"%d clients: answers by status %v, broken connections %d: %s",
			clients, result.Status, result.Broken, jeton.logTail(),
		)
	}

	peak := memoryOf(jeton.pid(), "VmHWM")
	// One hash takes 19 MiB, and no more run at a time than there are processors.
	most := 40 + 19*float64(runtime.NumCPU())
	b.report.add(row{
		what:  fmt.Sprintf("jeton, memory with %d clients waiting (%d logged in, %d got 503)", clients, good, busy),
		value: peak,
		unit:  "MiB at most",
		aim:   fmt.Sprintf("<= %.0f MiB", most),
		met:   met(peak <= most && busy > 0),
	})

	return nil
}

// flood measures the effect of a flood of logins on other users: at the form, and with
// every request.
func (b *bench) flood(ctx context.Context) error {
	if err := b.floodForm(ctx); err != nil {
		return err
	}
	return b.floodBasic(ctx)
}

// floodForm guesses at the login form.
func (b *bench) floodForm(ctx context.Context) error {
	jeton, err := b.jetonUp(ctx, b.sessions, shared)
	if err != nil {
		return err
	}
	defer jeton.stop()

	return b.floodWith(ctx, jeton, load{
		Kind:     kindLogin,
		Path:     "/login",
		Users:    users,
		Password: "wrong-" + password,
	}, "guess passwords")
}

// floodWith measures checks of sessions before and during a flood. The probe is an open
// loop: a closed one would send fewer requests when the server is slow, and hide it.
func (b *bench) floodWith(ctx context.Context, jeton *process, guesses load, doing string) error {
	if err := b.warmUp(ctx, jeton, b.sessions); err != nil {
		return err
	}

	probe := check(b.sessions)
	probe.Addrs = []string{jeton.addr}
	probe.PIDs = []int{jeton.pid()}
	probe.Conns = 64
	probe.Rate = 400

	probe.Warm = b.warm
	probe.Run = b.run
	guesses.Addrs = []string{jeton.addr}
	guesses.PIDs = []int{jeton.pid()}
	guesses.Conns = 32

	guesses.Warm = b.warm
	guesses.Run = b.run
	var limit, quiet, flooded, guessed []sample
	for range b.options.rounds {
		hashes, err := b.hashes(ctx)
		if err != nil {
			return err
		}

		before, err := paced(ctx, probe)
		if err != nil {
			return err
		}

		wait, err := generating(ctx, nil, guesses)
		if err != nil {
			return err
		}

		during, err := paced(ctx, probe)
		// Waited for in any case, so that the flood does not run into the next measurement.
		result, werr := wait()

		if err != nil {
			return err
		}
		if werr != nil {
			return werr
		}
		// All guesses are wrong: one that is let in, or a 503, is another load than the one
		// to measure.
		if result.Status[401] != result.answers() {
			return fmt.Errorf("flood: answers by status %v", result.Status)
		}

		limit, quiet, flooded = append(limit, hashes), append(quiet, before), append(flooded, during)
		guessed = append(guessed, result.sample(401))
	}

	b.report.block("Session checks, 400/s in an open loop, while 32 connections " + doing + "; all cores")
	idle, busy := middle(quiet), middle(flooded)
	b.report.add(row{what: "check, no flood", unit: "req/s", sample: idle})
	factor := busy.p99 / idle.p99
	b.report.add(row{what: "check, flood", unit: "req/s", sample: busy})

	b.report.add(row{
		what:  "check, flood, p99",
		value: busy.p99,
		unit:  "ms",
		ratio: factor,
		aim:   "<= 3 x idle and <= 5 ms",
		met:   met(factor <= 3 && busy.p99 <= 5),
	})
	r := ratios(guessed, limit)
	b.report.add(row{
		what:   "guesses refused meanwhile",
		unit:   "logins/s",
		sample: middle(guessed),
		ratio:  r,
		aim:    ">= 0.60 of argon2id",
		met:    met(r >= .60),
	})

	return nil
}

// paced runs a probe, all of whose responses must be 200.
func paced(ctx context.Context, probe load) (sample, error) {
	result, err := generate(ctx, nil, probe)
	if err != nil {
		return sample{}, err
	}

	n := result.answers()
	if n == 0 || n != result.Status[200] {
		return sample{}, fmt.Errorf("probe: answers by status %v", result.Status)
	}

	return result.sample(200), nil
}

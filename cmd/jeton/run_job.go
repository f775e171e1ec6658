package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"sync"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/wallet"
)

// job is a command that runs with a token of its own.
type job struct {
	lease  *wallet.Lease
	length time.Duration // of a lease
	ends   time.Time     // of the token at the latest; zero: with the command
	until  time.Time     // when it ends without another renewal
	stderr io.Writer
}

// ask returns for how long the token is to be valid from now on. The last renewal reaches to the end: what is left
// would be too short for another one.
func (j *job) ask(now time.Time) time.Duration {
	left := j.ends.Sub(now)
	if j.ends.IsZero() || left > j.longest() {
		return j.length
	}

	return left
}

// longest returns how long the token is valid at most after a renewal.
func (j *job) longest() time.Duration {
	if j.ends.IsZero() {
		return j.length
	}
	return j.length + leaseSlack
}

// run runs a command to its end, and returns its exit code. The token is renewed meanwhile.
func (j *job) run(ctx context.Context, path string, args []string, p *passing) (int, error) {
	// The command decides what a signal does: it ends this program only by ending itself.
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, forwarded()...)
	defer signal.Stop(signals)

	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()

	c := exec.Command(path, args[1:]...)
	c.Args[0] = args[0]
	c.Stdin = os.Stdin
	c.Stdout = os.Stdout
	c.Stderr = os.Stderr

	remove, err := p.prepare(j.lease, c)
	defer remove()
	if err != nil {
		return 0, fmt.Errorf("pass on the token: %w", err)
	}

	if err := c.Start(); err != nil {
		return 0, exit{exitNoStart, fmt.Sprintf("start %s: %v", args[0], errors.Unwrap(err))}
	}
	p.started()

	var renewing sync.WaitGroup
	renewing.Go(func() { j.renew(ctx) })
	defer renewing.Wait()
	defer cancel()

	ended := make(chan error, 1)
	go func() { ended <- c.Wait() }()

	for {
		select {
		case s := <-signals:
			passOn(c.Process, s)
		case err := <-ended:
			var failed *exec.ExitError
			if err != nil && !errors.As(err, &failed) {
				return 0, fmt.Errorf("wait for %s: %w", args[0], err)
			}
			return codeOf(c.ProcessState), nil
		}
	}
}

// renew renews the token until ctx ends, three times in the length of a lease. A service that cannot be reached is
// tried again for as long as the token is valid.
func (j *job) renew(ctx context.Context) {
	const shortest = time.Second // between two attempts

	wait := time.Until(j.until) / 3
	for pause(ctx, max(wait, shortest)) == nil {
		if !j.ends.IsZero() && !j.until.Before(j.ends.Add(-time.Second)) {
			return // it ends then
		}

		now := time.Now()
		length, err := j.lease.Renew(ctx, j.ask(now))
		switch {
		case err == nil:
			j.until = now.Add(length)
			wait = length / 3
		case ctx.Err() != nil:
			return
		case refused(err), !time.Now().Before(j.until):
			text := oneLine(err.Error())
			fmt.Fprintf(j.stderr, "jeton: %s; the token of the command has ended, or ends %s\n", text, when(j.until))
			return
		default:
			wait = time.Until(j.until) / 3
		}
	}
}

// refused reports whether trying again is of no use.
func refused(err error) bool {
	return isAny(
		err,
		jeton.ErrNotFound,
		jeton.ErrForbidden,
		jeton.ErrScope,
		jeton.ErrBadCredential,
		jeton.ErrNoCredential,
		jeton.ErrExpired,
		jeton.ErrInvalid,
	)
}

// end revokes the token, also when the command was interrupted, and prints the report.
func (j *job) end(ctx context.Context, report bool, p *passing) {
	const attempts = 3
	const longest = 20 * time.Second // that the end of the command waits for the service

	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), longest)
	defer cancel()

	var end jeton.TokenEnd
	var err error
	for n := range attempts {
		if n > 0 && pause(ctx, time.Second) != nil {
			break
		}

		end, err = j.lease.End(ctx, report)
		if err == nil || refused(err) {
			break
		}
	}

	if err != nil {
		fmt.Fprintf(j.stderr, "jeton: %s; it ends by itself within %v\n", oneLine(err.Error()), j.longest())
	}
	if report && err == nil {
		fmt.Fprintln(j.stderr, "jeton:", reportOf(end, p.seen()))
	}
}

// reportOf describes what was done with a token. A listener has seen the requests; else the service knows of uses that
// it counted.
func reportOf(end jeton.TokenEnd, seen *proxied) string {
	uses := "uses not counted (--max-uses counts them)"
	refused := end.Refused
	if seen != nil {
		uses = plural(seen.requests.Load(), "request")
		refused = seen.refused.Load()
	}
	if end.MaxUses > 0 {
		uses = fmt.Sprintf("%d of %s", end.Uses, plural(end.MaxUses, "use"))
	}

	return fmt.Sprintf("%s, %d refused", uses, refused)
}

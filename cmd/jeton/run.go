package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
	"unicode"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/wallet"

	"github.com/spf13/cobra"
)

// The exit codes of a command that cannot be started, as shells have them.
const (
	exitNoStart   = 126
	exitNoCommand = 127
)

// The bounds of a lease: see 'internal/token'. With --expires, the last renewal may ask for leaseSlack more.
const (
	minLease   = 10 * time.Second
	maxLease   = 9 * time.Minute
	leaseSlack = minLease
)

// runFlags are the flags of 'jeton run'.
type runFlags struct {
	as       string
	service  string
	request  jeton.LeaseRequest
	lifetime time.Duration // 0: as long as the command runs
	lease    time.Duration
	report   bool
	pass     passing
}

// runCommand implements 'jeton run'.
func runCommand() *cobra.Command {
	k := runFlags{lease: time.Minute}

	c := &cobra.Command{
		Use:   "run --for URL [flags] -- COMMAND [ARGUMENT…]",
		Short: "Run a command with a token of its own, which ends with it",
		Long: `Run a command with a token for one service that is made for it, has no more rights than the
identity, and is revoked when the command ends. If 'jeton run' itself is killed, the token ends
within --lease, or up to 10s later if it then reaches --expires.

The command gets the token in the environment variable JETON_TOKEN, and the service in
JETON_URL. The flags below pass it in other ways. With --proxy the command gets no token at all:
JETON_URL is then an address on this machine that adds it.

Signals are passed on. The exit code is that of the command, 128 and its number if a signal ended
it, 127 if there is no such command, and 126 if it cannot be started. In a command of 'jeton run',
another 'jeton run' narrows the token of the first, for the same service, or needs --as.`,
		Example: `  jeton run --for https://shop.example --allow "GET /reports/*" --max-uses 20 -- ./nightly.sh
  jeton run --for https://shop.example --as ci --proxy --report -- ./agent
  jeton run --for https://git.example --as ci --git -- git fetch`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usage{errors.New("jeton run takes a command after --; see 'jeton run --help'")}
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error { return k.run(c.Context(), args) },
	}

	f := c.Flags()
	// What follows the command is its own.
	f.SetInterspersed(false)
	f.StringVar(&k.as, "as", "", "name of the identity")
	f.StringVar(&k.service, "for", "", "URL of the service that accepts the token (required)")
	f.StringArrayVar(
		&k.request.Allows, "allow", nil,
		`method and path that it is valid for, such as "GET /reports/*" (may be repeated; default: as the identity)`,
	)
	f.StringSliceVar(
		&k.request.Scopes, "scope", nil,
		"scope of the token (may be repeated; default: all of the identity)",
	)
	f.Var((*usesFlag)(&k.request.MaxUses), "max-uses", "number of requests that it is valid for (default: no limit)")
	f.BoolVar(
		&k.request.SharedUses, "shared-uses", false,
		"take each use from the token of the identity, or of the outer 'jeton run', too, if that is counted",
	)
	f.Var((*durationFlag)(&k.lifetime), "expires", "lifetime at most, such as 10m (default: until the command ends)")
	f.Var((*durationFlag)(&k.lease), "lease", "how long the token outlives a killed 'jeton run', 10s to 9m")
	f.StringVar(&k.request.Name, "name", "", "name of the token in lists and the audit log (default: the command)")
	f.BoolVar(&k.report, "report", false, "print uses and refused requests to standard error at the end")
	k.pass.flags(f)
	_ = c.MarkFlagRequired("for")

	return c
}

// check refuses flags that make no sense together.
func (k *runFlags) check() error {
	switch {
	case k.lease < minLease || k.lease > maxLease:
		return usage{fmt.Errorf("invalid --lease %v: want 10s to 9m", k.lease)}
	case k.lifetime != 0 && k.lifetime < minLease:
		return usage{fmt.Errorf("invalid --expires %v: want 10s or more", k.lifetime)}
	}

	return k.pass.check()
}

// run makes the token, runs the command and revokes the token.
func (k *runFlags) run(ctx context.Context, args []string) error {
	if err := k.check(); err != nil {
		return err
	}

	// Before a token is made.
	path, err := findCommand(args[0])
	if err != nil {
		return err
	}
	if k.request.Name == "" {
		k.request.Name = clipName(filepath.Base(args[0]))
	}

	// From here on this process has the token in its memory.
	forbidDumps()

	w, err := openWallet(false)
	if err != nil {
		return err
	}
	defer w.Close()

	j := &job{length: k.lease, stderr: os.Stderr}
	if err := k.begin(ctx, w, j); err != nil {
		return err
	}

	code, err := j.run(ctx, path, args, &k.pass)
	j.end(ctx, k.report, &k.pass)

	switch {
	case err != nil:
		return err
	case code != 0:
		return exit{code, ""}
	}

	return nil
}

// begin makes the token of a job. A service that is busy, as when many jobs of one owner start at once, is asked again
// after the time that it gives.
func (k *runFlags) begin(ctx context.Context, w *wallet.Wallet, j *job) error {
	const longest = 30 * time.Second

	for first := time.Now(); ; {
		began := time.Now()
		if k.lifetime != 0 {
			j.ends = began.Add(k.lifetime)
		}
		k.request.Seconds = int64(j.ask(began) / time.Second)

		lease, err := k.makeLease(ctx, w)
		if err == nil {
			j.lease = lease
			j.until = began.Add(time.Duration(lease.Terms().Seconds) * time.Second)
			return nil
		}

		wait, ok := jeton.RetryAfter(err)
		if !ok || !isAny(err, jeton.ErrBusy, jeton.ErrUnavailable) || time.Since(first)+wait > longest {
			return err
		}

		// Not all at once again.
		wait += rand.N(max(wait, time.Second))
		if pause(ctx, wait) != nil {
			return err
		}
	}
}

// findCommand returns the path of a command.
func findCommand(name string) (string, error) {
	path, err := exec.LookPath(name)
	switch {
	case err == nil:
		return path, nil
	case errors.Is(err, exec.ErrNotFound), errors.Is(err, fs.ErrNotExist):
		return "", exit{exitNoCommand, fmt.Sprintf("no command %.100q", name)}
	}

	return "", exit{exitNoStart, fmt.Sprintf("start %s: %v", name, err)}
}

// clipName makes a name of a token from that of a command.
func clipName(name string) string {
	name = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '?'
	}, strings.ToValidUTF8(name, "?"))
	if len(name) > 100 {
		name = strings.ToValidUTF8(name[:100], "")
	}

	return name
}

// makeLease makes the token of an identity of the wallet. In a command of 'jeton run', it takes one only if --as names
// it: else the token is made of the outer one, and is no wider.
func (k *runFlags) makeLease(ctx context.Context, w *wallet.Wallet) (*wallet.Lease, error) {
	if k.as == "" {
		outer, err := outerToken(k.service)
		switch {
		case err != nil:
			return nil, err
		case outer != nil:
			return w.LeaseOf(ctx, k.service, outer.secret, outer.caCert, k.request)
		case inRun():
			return nil, jeton.WithDetail(
				jeton.ErrForbidden,
				"this 'jeton run' is in the command of another one, which has passed on no token for "+k.service+
					" in JETON_TOKEN or with --file; with --as NAME, an identity of the wallet makes the token",
			)
		}
	}

	id, err := identityAt(ctx, w, k.service, k.as)
	if err != nil {
		return nil, err
	}

	k.pass.hidden = id.PlatformVariables()

	lease, err := id.Lease(ctx, k.request)
	if err != nil && exitCode(err) == exitLogin {
		err = fmt.Errorf("%w; run: jeton login %s --as %s", err, id.Origin(), id.Name())
	}

	return lease, err
}

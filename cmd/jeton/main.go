// Command jeton is the server, the gateway and the wallet in one program.
//
// A command reads its flags, calls the package that does the work, and prints: tables on a
// terminal, JSON with --output json. Results go to standard output, everything else to
// standard error. Exit codes are stable; scripts may rely on them.
//
// There is a file for each command, or group of commands. What they share:
//
//	main.go                     exit codes, the tree of commands
//	place.go, control.go        which server a command is for, and how it is reached
//	output.go, flags.go         tables and JSON, flags of several commands
//	password.go, file.go        secrets and files, read and written safely
//	credential.go               helpers for git, docker, kubectl and others
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"

	"github.com/jeton-auth/jeton"

	"github.com/spf13/cobra"
)

func main() {
	os.Exit(run(called(os.Args)))
}

// called returns the arguments of the program. Git and docker find their helper by its name,
// which is a link to this program.
func called(argv []string) []string {
	name := strings.TrimSuffix(filepath.Base(argv[0]), ".exe")
	args := argv[1:]

	switch name {
	case "git-credential-jeton":
		return append([]string{"credential", "git"}, args...)
	case "docker-credential-jeton":
		return append([]string{"credential", "docker"}, args...)
	default:
		return args
	}
}

// The exit codes. Scripts rely on them: a code keeps its meaning. exitCode maps errors to them.
const (
	exitOK          = 0
	exitFailure     = 1 // any other error, such as a full disk
	exitUsage       = 2 // wrong arguments or flags, or a value that the server refuses as invalid
	exitDenied      = 3 // refused by the terms: scopes, uses, re-login, number of sessions
	exitLogin       = 4 // no credential, or one that is not valid (any more)
	exitNotFound    = 5
	exitConflict    = 6 // it exists already, or the configuration file declares it
	exitUnreachable = 7 // server, store or upstream: running the command again later may succeed
	exitTooMany     = 8 // throttled
)

// run runs the command of args and returns its exit code. The first SIGINT or SIGTERM cancels the
// command's context, so that it can clean up.
func run(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()

	// A second signal ends the program at once.
	context.AfterFunc(ctx, stop)

	root := newRoot()
	root.SetArgs(args)

	err := checkCommand(root, args)
	if err == nil {
		err = execute(ctx, root)
	}

	if err == nil {
		return exitOK
	}

	text := clipWords(printable(once(err.Error(), jeton.ErrUnavailable)))
	if text != "" {
		fmt.Fprintln(os.Stderr, "jeton: "+text)
	}

	return exitCode(err)
}

// once returns a text in which an outcome stands only where it stands first: the server has written it into its reason,
// and the program has put it before that.
func once(text string, outcome error) string {
	before, after, found := strings.Cut(text, outcome.Error()+": ")
	if !found {
		return text
	}

	return before + outcome.Error() + ": " + strings.ReplaceAll(after, outcome.Error()+": ", "")
}

// execute runs the command of the root's arguments. What is refused before its own function begins is usage: arguments,
// flags that are missing or exclude one another, an unknown command. Cobra has no types for these errors.
func execute(ctx context.Context, root *cobra.Command) error {
	begun := false
	onEach(root, func(c *cobra.Command) {
		do := c.RunE
		if do == nil {
			return
		}
		c.RunE = func(c *cobra.Command, args []string) error {
			if err := checkLists(c); err != nil {
				return err
			}
			begun = true
			return do(c, args)
		}
	})

	c, err := root.ExecuteContextC(ctx)
	var u usage
	var e exit
	switch {
	case err == nil || begun || errors.As(err, &u) || errors.As(err, &e):
		return err
	case c == root: // cobra suggests commands below its text
		return usage{err}
	default:
		return usage{fmt.Errorf("%w; see '%s --help'", err, c.CommandPath())}
	}
}

// onEach calls a function for a command and all below it.
func onEach(c *cobra.Command, do func(*cobra.Command)) {
	do(c)
	for _, sub := range c.Commands() {
		onEach(sub, do)
	}
}

// checkCommand refuses an unknown command of a group, for which cobra would print help and
// report success.
func checkCommand(root *cobra.Command, args []string) error {
	group, rest, err := root.Find(args)
	if err != nil || group == root || group.Runnable() {
		return nil // cobra checks these
	}
	if len(rest) == 0 || strings.HasPrefix(rest[0], "-") || rest[0] == "help" {
		return nil
	}

	text := fmt.Sprintf("%s has no command %q", group.CommandPath(), rest[0])
	group.SuggestionsMinimumDistance = 2 // as at the root
	near := group.SuggestionsFor(rest[0])
	if len(near) > 0 {
		text += "; did you mean " + strings.Join(near, " or ") + "?"
	}

	return usage{fmt.Errorf("%s; see '%s --help'", text, group.CommandPath())}
}

// usage marks an error as a mistake in how the program was called.
type usage struct{ error }

func (u usage) Unwrap() error { return u.error }

// exit is an error with an exit code of its own; its text may be empty.
type exit struct {
	code int
	text string
}

func (e exit) Error() string { return e.text }

// exitCode maps an error to an exit code. The order matters: an error of the program's own (exit,
// usage) may wrap an outcome of package jeton, and then decides.
func exitCode(err error) int {
	var u usage
	var e exit
	switch {
	case errors.As(err, &e):
		return e.code
	case errors.As(err, &u):
		return exitUsage
	case isAny(err, jeton.ErrInvalid, jeton.ErrMediaType, jeton.ErrTooLarge):
		return exitUsage
	case errors.Is(err, jeton.ErrTooMany):
		return exitTooMany
	case isAny(err, jeton.ErrForbidden, jeton.ErrSpent, jeton.ErrRelogin, jeton.ErrSessionsFull):
		return exitDenied
	case isAny(err, jeton.ErrNoCredential, jeton.ErrBadCredential, jeton.ErrExpired):
		return exitLogin
	case errors.Is(err, jeton.ErrNotFound):
		return exitNotFound
	case isAny(err, jeton.ErrConflict, jeton.ErrDeclared):
		return exitConflict
	case isAny(err, jeton.ErrUnavailable, jeton.ErrBusy, jeton.ErrUpstream):
		return exitUnreachable
	}

	return exitFailure
}

// isAny reports whether err is one of the targets.
func isAny(err error, targets ...error) bool {
	return slices.ContainsFunc(targets, func(target error) bool { return errors.Is(err, target) })
}

// groupWallet is the group of the caller's commands in the help.
const groupWallet = "wallet"

// newRoot returns the program with all its commands. Each run needs a new one: flags keep the
// values of the last run.
func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:           "jeton",
		Short:         "Prove who is calling, decide whether they may, and count how often",
		Long:          rootText,
		Example:       rootExample,
		SilenceErrors: true,
		SilenceUsage:  true,
		Version:       version(),
	}

	root.SetFlagErrorFunc(flagError)

	addServer(root)
	root.AddGroup(&cobra.Group{ID: groupWallet, Title: "Wallet:"})
	for _, c := range walletCommands() {
		c.GroupID = groupWallet
		root.AddCommand(c)
	}
	root.AddCommand(manCommand(), versionCommand())

	return root
}

// versionCommand implements 'jeton version', which prints the same as the flag.
func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print the version of the program",
		Args:    noArgs,
		Example: `  jeton version`,
		RunE: func(c *cobra.Command, _ []string) error {
			_, err := fmt.Fprintf(c.OutOrStdout(), "%s version %s\n", c.Root().Name(), version())
			return err
		},
	}
}

// release is the version of a release, such as v0.1.0. The linker sets it.
var release string

// version returns the version of the build.
func version() string {
	if release != "" {
		return release
	}

	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" {
		return "devel"
	}
	return strings.Trim(info.Main.Version, "()")
}

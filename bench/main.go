// Command bench measures jeton beside the least code that does the same job, in one run.
//
// Every figure is a ratio to a bare Go server, a bare hash loop or the Flask program that
// jeton replaces, measured in turn with it: same machine, same minute, same load
// generator, same cores. What is absolute (sizes, start-up) is printed as it is. The
// command promises to write only into temporary folders and, if asked, the report; to
// use loopback alone; and to end by its process id everything that it started. It judges
// the goals of docs/reference/performance.md and proves nothing about correctness.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/jeton-auth/jeton/bench/revoke"
)

// roles are the tasks of this program when it starts itself again.
var roles = map[string]func(args []string) error{
	"role-load":   loadRole,
	"role-bare":   bareRole,
	"role-proxy":  proxyRole,
	"role-hash":   hashRole,
	"role-sign":   signRole,
	"role-verify": verifyRole,
}

// options are the options of a run.
type options struct {
	only     []string
	quick    bool
	run      time.Duration // of one measurement
	warm     time.Duration // before it
	rounds   int
	sessions int
	many     int    // sessions or tokens of the large store
	most     int    // of that of the block scale
	out      string // file to write the report to
	summary  string // page to write the summary into
	jeton    string // program to measure; "": built from this checkout
}

func main() {
	if len(os.Args) > 1 {
		// Before the flags: a role is not for users, and has flags of its own.
		if role, ok := roles[os.Args[1]]; ok {
			if err := role(os.Args[2:]); err != nil {
				fmt.Fprintf(os.Stderr, "%s: %v\n", os.Args[1], err)
				os.Exit(1)
			}
			return
		}
	}

	if len(os.Args) > 1 && os.Args[1] == "revoke" {
		os.Exit(revokeCommand(os.Args[2:]))
	}

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()

	if err := command(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// revokeCommand runs the subcommand revoke and returns the exit code.
func revokeCommand(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()

	err := revoke.Run(ctx, args, revoke.Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr})
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		fmt.Fprintln(os.Stderr, "bench revoke:", err)
		return 1
	}

	return 0
}

// command is the benchmark itself: it measures, prints, and writes the report if asked.
func command(ctx context.Context, args []string) error {
	o, err := parse(args)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}

	if o.out != "" {
		// Minutes are too much to lose to a typing error.
		if _, _, err := around(o.out, o.only); err != nil {
			return err
		}
	}

	b, err := newBench(ctx, o)
	if err != nil {
		return err
	}
	defer b.close()

	if err := b.measure(ctx); err != nil {
		return err
	}

	b.report.print(os.Stdout)
	if o.summary != "" {
		if err := b.report.saveSummary(o.summary); err != nil {
			return err
		}
	}
	if o.out != "" {
		return b.report.save(o.out, o.only)
	}

	return nil
}

// parse reads the flags. -quick only shows that everything works; its figures mean nothing.
func parse(args []string) (options, error) {
	o := options{
		warm:   time.Second,
		rounds: 3,
		many:   1_000_000,
		most:   10_000_000,
	}
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	only := f.String("only", "", "measure only these, separated by commas: "+strings.Join(blockNames(), ","))
	seconds := f.Float64("seconds", 3, "length of one measurement")
	f.IntVar(&o.rounds, "rounds", o.rounds, "turns of each measurement; more on a machine with other work")
	f.IntVar(&o.sessions, "sessions", 20_000, "sessions in the store, or tokens")

	many := f.Int("many", 0, "sessions or tokens in the large store; 0: 1,000,000, and 10,000,000 for scale")
	f.BoolVar(
		&o.quick, "quick", false,
		"short runs, one round, 100,000 sessions or tokens in the large store: to see that it works",
	)
	f.StringVar(&o.out, "o", "", "write the report between the markers of this file; relative paths begin at bench/")
	f.StringVar(&o.summary, "summary", "", "write the capacity of a core into this page, and a chart beside it")
	f.StringVar(&o.jeton, "jeton", "", "measure this program in place of a build of this checkout")

	if err := f.Parse(args); err != nil {
		return o, err
	}
	if f.NArg() > 0 || *seconds <= 0 || o.rounds < 1 || o.sessions < 1 || *many < 0 {
		return o, fmt.Errorf(
			"usage: go -C bench run . [-quick] [-only %s] [-seconds 3] [-rounds 3] [-sessions 20000] "+
				"[-many N] [-o FILE] [-summary FILE] [-jeton PROGRAM]",
			strings.Join(blockNames(), ","),
		)
	}

	o.run = time.Duration(*seconds * float64(time.Second))
	if o.quick {
		o.run, o.warm, o.rounds, o.many, o.most = min(
			o.run,
			700*time.Millisecond,
		), 300*time.Millisecond, 1, 100_000, 100_000
	}
	if *many > 0 {
		o.many, o.most = *many, *many
	}

	for name := range strings.SplitSeq(*only, ",") {
		if name == "" {
			continue
		}
		if !slices.Contains(blockNames(), name) {
			return o, fmt.Errorf("-only: unknown block %q: want one of %s", name, strings.Join(blockNames(), ", "))
		}

		o.only = append(o.only, name)
	}

	return o, nil
}

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/jeton-auth/jeton/internal/test/pgtest"
)

// bench is one run.
type bench struct {
	options
	dir     string // everything that is written
	program string // jeton
	report  report
	stores  map[stored]string // data directories

	cluster   *pgtest.Cluster // nil until it is needed
	databases map[stored]*database
}

// blocks are the measurements, in the order in which they are made. A block's servers
// are alone on the machine, as far as this program controls it.
var blocks = []struct {
	name  string
	run   func(*bench, context.Context) error
	asked bool // it takes so long that it is made only when it is asked for
}{
	{name: "check", run: (*bench).checks},
	{name: "use", run: (*bench).uses},
	{name: "login", run: (*bench).logins},
	{name: "flood", run: (*bench).flood},
	{name: "start", run: (*bench).starts},
	{name: "flask", run: (*bench).againstFlask},
	{name: "tokens", run: (*bench).tokens},
	{name: "introspect", run: (*bench).introspects},
	{name: "credentials", run: (*bench).credentials},
	{name: "openid", run: (*bench).openid},
	{name: "pages", run: (*bench).pages},
	{name: "run", run: (*bench).runs},
	{name: "gateway", run: (*bench).gateways},
	{name: "forward", run: (*bench).decisions},
	{name: "flasktokens", run: (*bench).againstPyJWT},
	{name: "nodes", run: onPostgres((*bench).nodes)},
	{name: "nodeuses", run: onPostgres((*bench).nodeUses)},
	{name: "revoke", run: onPostgres((*bench).revokes)},
	{name: "acks", run: onPostgres((*bench).acks)},
	{name: "scale", run: (*bench).scales, asked: true},
}

// blockNames returns the names for -only, in the order of the measurements.
func blockNames() []string {
	var names []string
	for _, b := range blocks {
		names = append(names, b.name)
	}
	return names
}

// wanted returns the names of the blocks to measure.
func (o options) wanted() (names []string) {
	for _, b := range blocks {
		if slices.Contains(o.only, b.name) || len(o.only) == 0 && !b.asked {
			names = append(names, b.name)
		}
	}

	return names
}

// newBench makes the temporary folder and the program. close removes them.
func newBench(ctx context.Context, o options) (*bench, error) {
	dir, err := os.MkdirTemp("", "jeton-bench-")
	if err != nil {
		return nil, err
	}

	b := &bench{
		options:   o,
		dir:       dir,
		program:   o.jeton,
		stores:    map[stored]string{},
		databases: map[stored]*database{},
	}
	if b.program == "" {
		b.program, err = build(ctx, dir)
		if err != nil {
			b.close()
			return nil, err
		}
	}

	b.program, err = filepath.Abs(b.program)
	if err != nil {
		b.close()
		return nil, err
	}

	return b, nil
}

// close ends PostgreSQL and removes everything that was written. Servers have been stopped
// by the blocks that started them.
func (b *bench) close() {
	if b.cluster != nil {
		_ = b.cluster.Close()
	}
	_ = os.RemoveAll(b.dir)
}

// measure runs the wanted blocks, one after another: they share the machine.
func (b *bench) measure(ctx context.Context) error {
	if err := b.report.describe(b.dir); err != nil {
		return err
	}

	wanted := b.wanted()
	for _, block := range blocks {
		if !slices.Contains(wanted, block.name) {
			continue
		}

		fmt.Fprintf(os.Stderr, "measuring %s\n", block.name)
		if err := block.run(b, ctx); err != nil {
			return fmt.Errorf("%s: %w", block.name, err)
		}
	}

	return nil
}

// store returns a data directory with sessions and tokens, made when it is first needed.
func (b *bench) store(ctx context.Context, n stored) (string, error) {
	if dir, ok := b.stores[n]; ok {
		return dir, nil
	}

	dir := filepath.Join(b.dir, fmt.Sprintf("data%d-%d", n.sessions, n.tokens))
	if err := seed(ctx, dir, n); err != nil {
		return "", err
	}

	b.stores[n] = dir

	return dir, nil
}

// place is where the server and the load generator run.
type place struct {
	name           string
	server, client []int
}

// Where the servers and the load run. Two cores suffice for both.
var (
	pinned = place{"server on one core, load on another", []int{0}, []int{1}}
	shared = place{"server and load share all cores", nil, nil}
)

// sample is one measurement. A figure that was not measured is 0.
type sample struct {
	rate     float64
	cpu      float64 // microseconds of the server a request
	p50, p99 float64 // milliseconds
	others   float64 // processors busy with something else
}

// median returns the middle of a list, or the mean of the middle two. One bad round of
// three does not move it.
func median(list []float64) float64 {
	if len(list) == 0 {
		return 0
	}

	sorted := slices.Sorted(slices.Values(list))
	mid := len(sorted) / 2

	if len(sorted)%2 == 0 {
		return (sorted[mid-1] + sorted[mid]) / 2
	}

	return sorted[mid]
}

// pick returns the median of one figure.
func pick(list []sample, field func(sample) float64) float64 {
	var values []float64
	for _, s := range list {
		values = append(values, field(s))
	}
	return median(values)
}

// middle returns the median of each figure.
func middle(list []sample) sample {
	return sample{
		rate:   pick(list, func(s sample) float64 { return s.rate }),
		cpu:    pick(list, func(s sample) float64 { return s.cpu }),
		p50:    pick(list, func(s sample) float64 { return s.p50 }),
		p99:    pick(list, func(s sample) float64 { return s.p99 }),
		others: pick(list, func(s sample) float64 { return s.others }),
	}
}

// ratios returns the median over the rounds of each rate divided by the base's of the same
// round: a disturbance of a round affects both.
func ratios(list, base []sample) float64 {
	var values []float64
	for i := range list {
		if base[i].rate > 0 {
			values = append(values, list[i].rate/base[i].rate)
		}
	}

	return median(values)
}

// subject is something that can be measured again and again.
type subject func(ctx context.Context) (sample, error)

// rounds measures the subjects in turn and returns the samples of each.
func (b *bench) rounds(ctx context.Context, subjects ...subject) ([][]sample, error) {
	all := make([][]sample, len(subjects))
	for range b.options.rounds {
		// In turn and not one after the other: a machine that gets slower during the
		// minutes slows all of them.
		for i, measure := range subjects {
			s, err := measure(ctx)
			if err != nil {
				return nil, err
			}
			all[i] = append(all[i], s)
		}
	}

	return all, nil
}

// get measures requests at a server in a closed loop of 64 connections, if the load says
// nothing else. An answer that is not a 200 spoils it.
func (b *bench) get(p *process, at place, l load) subject { return b.spread([]*process{p}, nil, at, l) }

// spread measures requests at servers that share the load. also are other processes whose
// processor time is theirs: those of their database.
func (b *bench) spread(list []*process, also []int, at place, l load) subject {
	l.Addrs = nil
	l.PIDs = slices.Clone(also)
	l.Warm = b.warm
	l.Run = b.run

	for _, p := range list {
		l.Addrs, l.PIDs = append(l.Addrs, p.addr), append(l.PIDs, p.pid())
	}

	if l.Conns == 0 {
		l.Conns = 64
	}

	return func(ctx context.Context) (sample, error) {
		result, err := generate(ctx, at.client, l)
		if err != nil {
			return sample{}, err
		}

		// A figure of refusals, or of connections that broke, is none.
		n := result.answers()
		if n == 0 || n != result.Status[200] || result.Broken > 0 {
			return sample{}, fmt.Errorf(
				"%s %s: answers by status %v, broken connections %d: %s",
				list[0].name, l.Path, result.Status, result.Broken, list[0].logTail(),
			)
		}

		settle(ctx, l.PIDs...)

		return result.sample(200), nil
	}
}

// settle waits, at most a minute, until servers have finished their requests: a slow one
// would still work after its turn, on the processor of the next.
func settle(ctx context.Context, pids ...int) {
	const look = 300 * time.Millisecond
	for end := time.Now().Add(time.Minute); time.Now().Before(end) && ctx.Err() == nil; {
		before := cpuOf(pids...)
		time.Sleep(look)
		if cpuOf(pids...)-before <= 2*tick {
			return
		}
	}
}

// check and use are the loads of a session check and of a counted use.
func check(sessions int) load { return load{Kind: kindCookie, Path: "/check", Sessions: sessions} }
func use(sessions int) load   { return load{Kind: kindCookie, Path: "/use", Sessions: sessions} }

// syncTime returns the median time of a durable write of 8 KiB into a file in dir.
func syncTime(dir string) (time.Duration, error) {
	f, err := os.CreateTemp(dir, "sync-")
	if err != nil {
		return 0, err
	}
	defer os.Remove(f.Name())

	defer f.Close()

	// Written before they are timed: a write into new space also changes the file's
	// metadata.
	const block, many = 8 << 10, 200
	if _, err := f.Write(make([]byte, block*many)); err != nil {
		return 0, err
	}
	if err := f.Sync(); err != nil {
		return 0, err
	}

	var times []time.Duration
	for i := range many {
		d, err := fdatasync(int(f.Fd()), make([]byte, block), int64(i*block))
		if err != nil {
			return 0, err
		}
		times = append(times, d)
	}

	slices.Sort(times)

	return times[len(times)/2], nil
}

package main

import (
	"context"
	"os"
	"time"
)

const few = 10 // sessions of a small store

// starts measures the start of a server and its memory before the first request.
func (b *bench) starts(ctx context.Context) error {
	b.report.block("Start, memory, size")

	for _, v := range []struct {
		sessions int
		most     float64 // milliseconds
		aim      string
	}{{few, 25, "<= 25 ms"}, {b.many, 60, "<= 60 ms"}} {
		if err := b.startWith(ctx, v.sessions, v.most, v.aim); err != nil {
			return err
		}
	}

	info, err := os.Stat(b.program)
	if err != nil {
		return err
	}

	size := float64(info.Size()) / 1e6
	b.report.add(row{
		what:  "program, stripped",
		value: size,
		unit:  "MB",
		aim:   "<= 22 MB",
		met:   met(size <= 22),
	})

	return nil
}

// startWith measures the start with a store of one size: the time must not depend on it, as
// nothing is read ahead.
func (b *bench) startWith(ctx context.Context, sessions int, most float64, aim string) error {
	dir, err := b.store(ctx, stored{sessions: sessions})
	if err != nil {
		return err
	}

	times := 7
	if b.quick {
		times = 3
	}

	var took []float64
	var memory float64
	for i := range times {
		begin := time.Now()
		p, err := b.startJeton(dir, nil)
		if p, err = up(ctx, p, err); err != nil {
			return err
		}

		took = append(took, float64(time.Since(begin))/1e6)
		// After two seconds the work of the start is done.
		if i == times-1 {
			time.Sleep(2 * time.Second)
			memory = memoryOf(p.pid(), "VmRSS")
		}

		p.stop()
	}

	ms := median(took)
	stored := " with " + grouped(sessions) + " sessions stored"
	b.report.add(row{
		what:  "from exec to the first 200," + stored,
		value: ms,
		unit:  "ms",
		aim:   aim,
		met:   met(ms <= most),
	})
	b.report.add(row{
		what:  "memory (RSS) after 2 s," + stored,
		value: memory,
		unit:  "MiB",
		aim:   "<= 20 MB",
		met:   met(memory*1.048576 <= 20),
	})

	return nil
}

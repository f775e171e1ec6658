package sweep

import (
	"context"
	"sync"
	"time"
)

// FlushLoop calls flush once in every, which writes what waits in memory, and sweeps as Loop does, until ctx ends.
// Neither waits for the other. After ctx has ended it flushes once more, for five seconds at most: what happened since
// the last flush is still to be written.
func FlushLoop(ctx context.Context, every time.Duration, flush, sweep func(ctx context.Context)) {
	var sweeping sync.WaitGroup
	defer sweeping.Wait()
	sweeping.Go(func() { Loop(ctx, Interval, sweep) })

	Loop(ctx, every, flush)

	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	flush(last)
}

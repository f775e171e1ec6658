package server

import (
	"context"
	"sync"
)

// planWork is what runs in the background for the current configuration, such as the health checks of upstreams. A
// reload replaces it. The caller of its methods holds the mutex of the server.
type planWork struct {
	within context.Context // nil: nothing runs
	cancel context.CancelFunc
	ended  sync.WaitGroup
}

// begin makes work run until ctx ends.
func (w *planWork) begin(ctx context.Context) { w.within = ctx }

// replace ends the work of the configuration before and starts that of listeners, and shared.
func (w *planWork) replace(wanted map[string]*planned, shared []func(context.Context)) {
	w.stop()
	if w.within == nil {
		return
	}

	var ctx context.Context
	ctx, w.cancel = context.WithCancel(w.within)
	for _, p := range wanted {
		for _, run := range p.work {
			w.ended.Go(func() { run(ctx) })
		}
	}
	for _, run := range shared {
		w.ended.Go(func() { run(ctx) })
	}
}

// stop ends the work and returns when it has ended.
func (w *planWork) stop() {
	if w.cancel != nil {
		w.cancel()
		w.ended.Wait()
	}
}

//go:build planted_early

package postgres

import (
	"context"
	"time"

	"github.com/jeton-auth/jeton/internal/store/change"
	"github.com/jeton-auth/jeton/internal/store/statements"
)

// Do answers a step with changes once it has run, and commits it a moment later: a planted bug.
// The tests over many nodes are expected to notice.
func (e engine) Do(ctx context.Context, s statements.Step) error {
	answer := make(chan error, attempts+1)
	run := s.Run
	s.Run = func(ctx context.Context, tx statements.Conn) ([]change.Change, error) {
		changes, err := run(ctx, tx)
		if err == nil && len(changes) > 0 {
			answer <- nil
			time.Sleep(10 * time.Millisecond)
		}

		return changes, err
	}

	go func() { answer <- e.step(context.WithoutCancel(ctx), s) }()

	return <-answer
}

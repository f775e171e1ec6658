package server

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/jeton-auth/jeton"
)

// startPatience is how long a start asks a database that answers, but too slowly.
const startPatience = 30 * time.Second

// patiently repeats a step of the start while the database cannot do its part: other nodes may be busy
// with it, as in a rolling restart. A failed step must have changed nothing.
func patiently(ctx context.Context, log *slog.Logger, step func() error) error {
	limit := time.Now().Add(startPatience)
	for {
		err := step()
		later := errors.Is(err, jeton.ErrUnavailable) || errors.Is(err, jeton.ErrBusy)
		if !later || time.Now().After(limit) {
			return err
		}

		log.Warn("the start waits for the database and tries again", "error", err)
		select {
		case <-ctx.Done():
			return err
		case <-time.After(time.Second):
		}
	}
}

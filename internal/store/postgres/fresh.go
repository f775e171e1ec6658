//go:build !planted_boundless

package postgres

import (
	"context"
	"time"
)

// fresh returns nil when memory may be judged from, and asks first when it may not.
func (h *hearing) fresh(ctx context.Context) error {
	t := h.heard.Load()
	if t != nil && young(*t, time.Now(), h.bound) {
		return nil
	}
	return h.ask(ctx)
}

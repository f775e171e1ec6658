//go:build !planted_boundless

package postgres

import (
	"context"
	"time"
)

// checkLease returns nil when memory may be judged from, and asks first when it may not.
func (h *node) checkLease(ctx context.Context) error {
	t := h.renewed.Load()
	if t != nil && leaseValid(*t, time.Now(), h.bound) {
		return nil
	}
	return h.pollNow(ctx)
}

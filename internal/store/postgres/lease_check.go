//go:build !planted_boundless

package postgres

import (
	"context"
	"time"
)

// checkLease returns nil while the lease is valid, or after a poll that has renewed it.
func (n *node) checkLease(ctx context.Context) error {
	renewed := n.renewed.Load()
	if renewed != nil && leaseValid(*renewed, time.Now(), n.bound) {
		return nil
	}
	return n.pollNow(ctx)
}

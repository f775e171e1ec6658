//go:build planted_boundless

package postgres

import "context"

// checkLease without the bound, a planted bug: a lease that was renewed once is valid until
// the connection fails. The tests over many nodes are expected to notice.
func (n *node) checkLease(ctx context.Context) error {
	if n.renewed.Load() != nil {
		return nil
	}
	return n.pollNow(ctx)
}

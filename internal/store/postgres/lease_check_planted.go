//go:build planted_boundless

package postgres

import "context"

// fresh without the bound: a planted bug. A node that has ever heard trusts its memory for as
// long as it hears nothing else. The tests over many nodes are expected to notice.
func (n *node) checkLease(ctx context.Context) error {
	if n.renewed.Load() != nil {
		return nil
	}
	return n.pollNow(ctx)
}

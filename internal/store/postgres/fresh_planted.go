//go:build planted_boundless

package postgres

import "context"

// fresh without the bound: a planted bug. A node that has ever heard trusts its memory for as
// long as it hears nothing else. The tests over many nodes are expected to notice.
func (h *hearing) fresh(ctx context.Context) error {
	if h.heard.Load() != nil {
		return nil
	}
	return h.ask(ctx)
}

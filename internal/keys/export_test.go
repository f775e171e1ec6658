package keys

import "context"

// Tick does what Run does once a minute.
func (r *Ring) Tick(ctx context.Context) error { return r.tick(ctx) }

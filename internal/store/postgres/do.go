//go:build !planted_early

package postgres

import (
	"context"

	"github.com/jeton-auth/jeton/internal/store/statements"
)

// Do implements statements.Engine.
func (e engine) Do(ctx context.Context, s statements.Step) error { return e.step(ctx, s) }

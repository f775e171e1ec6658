package signin

import (
	"context"
	"fmt"

	"github.com/jeton-auth/jeton/internal/audit"
)

// Prove proves the user of a session again, by the password. It has the throttle and the errors of Password, and
// returns jeton.ErrBadCredential also if the session has ended meanwhile.
func (l *Logins) Prove(ctx context.Context, id string, req PasswordRequest) error {
	trail := req.auditTrail()
	trail.action = audit.SessionProve

	_, err := l.verify(ctx, req, &trail)
	if err == nil {
		now := l.now()
		err = l.sessions.Prove(ctx, id, now, trail.event(now, nil))
	}

	if err != nil {
		l.audit.Record(trail.event(l.now(), err))
		return fmt.Errorf("prove: %w", err)
	}

	return nil
}

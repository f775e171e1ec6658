package signin

import (
	"context"
	"fmt"

	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/session"
)

// Prove proves the user of a session again, by the password, and returns the session with its new secret. It has the
// throttle and the errors of Password, and returns jeton.ErrBadCredential also if the session has ended meanwhile.
func (l *Logins) Prove(ctx context.Context, live *session.Live, req PasswordRequest) (session.Started, error) {
	trail := req.auditTrail()
	trail.action = audit.SessionProve

	var renewed session.Started

	_, err := l.verify(ctx, req, &trail)
	if err == nil {
		now := l.now()
		renewed, err = l.sessions.Prove(ctx, live, now, trail.event(now, nil))
	}

	if err != nil {
		l.audit.Record(trail.event(l.now(), err))
		return session.Started{}, fmt.Errorf("prove: %w", err)
	}

	return renewed, nil
}

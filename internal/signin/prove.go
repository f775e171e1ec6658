package signin

import (
	"context"
	"fmt"
	"strings"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/session"
)

// Prove proves the user of a session again, by the password, and returns the session with its new secret. Of a user
// with a second factor it needs the code of an authenticator app, too, or returns jeton.ErrFactor. It has the throttle
// and the errors of Password, and returns jeton.ErrBadCredential also if the session has ended meanwhile.
func (l *Logins) Prove(ctx context.Context, live *session.Live, req PasswordRequest) (session.Started, error) {
	trail := req.auditTrail()
	trail.action = audit.SessionProve

	renewed, err := l.prove(ctx, live, req, &trail)
	if err != nil {
		l.audit.Record(trail.event(l.now(), err))
		return session.Started{}, fmt.Errorf("prove: %w", err)
	}

	return renewed, nil
}

func (l *Logins) prove(
	ctx context.Context,
	live *session.Live,
	req PasswordRequest,
	trail *auditTrail,
) (session.Started, error) {
	v, err := l.verify(ctx, req, trail)
	if err != nil {
		return session.Started{}, err
	}

	methods := ""
	if v.Second {
		if req.Code == "" {
			return session.Started{}, trail.check("second factor", "", jeton.ErrFactor)
		}

		_, err := l.factors.Prove(ctx, v.Account.ID, req.Code)
		if trail.check("second factor", byCode, err) != nil {
			return session.Started{}, err
		}

		methods, err = l.methodsOf(ctx, live)
		if err != nil {
			return session.Started{}, trail.check("store", "", err)
		}
		methods = withMethods(methods, byCode)
	}

	now := l.now()

	return l.sessions.Prove(ctx, live, now, methods, trail.event(now, nil))
}

// methodsOf returns how the user of a session was proved.
func (l *Logins) methodsOf(ctx context.Context, live *session.Live) (string, error) {
	list, _, err := l.sessions.List(ctx, session.Which{Login: live.Login}, 1)
	if err != nil {
		return "", err
	}
	if len(list) == 0 {
		return "", jeton.ErrBadCredential
	}

	return strings.Join(list[0].AMR, " "), nil
}

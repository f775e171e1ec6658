package signin

import (
	"context"
	"fmt"
	"slices"
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

	methods := byPassword
	if v.Second {
		if req.Code == "" {
			return session.Started{}, trail.check("second factor", "", jeton.ErrFactor)
		}

		_, err := l.factors.Prove(ctx, ownerOfFactors(v.Account), req.Code)
		if trail.check("second factor", byCode, err) != nil {
			return session.Started{}, err
		}
		methods = withMethods(methods, byCode)
	}

	return l.renew(ctx, live, methods, trail)
}

// renew stores that the user of a session was proved now, by methods.
func (l *Logins) renew(
	ctx context.Context,
	live *session.Live,
	methods string,
	trail *auditTrail,
) (session.Started, error) {
	list, _, err := l.sessions.List(ctx, session.Which{Login: live.Login}, 1)
	if err == nil && len(list) == 0 {
		err = jeton.ErrBadCredential
	}
	if trail.check("session", "", err) != nil {
		return session.Started{}, err
	}
	now := l.now()

	return l.sessions.Prove(ctx, live, now, methodsNow(list[0].AMR, methods), trail.event(now, nil))
}

// methodsNow returns how the user of a session was proved who was proved again. What was shown before is not shown
// again: amr and auth_time are of one moment. But a provider at which the session began stays, as it ends with it.
func methodsNow(before []string, methods string) string {
	now := strings.Fields(methods)
	kept := slices.DeleteFunc(slices.Clone(before), func(m string) bool {
		return !byUpstream(m) || slices.Contains(now, m)
	})

	return strings.Join(append(kept, now...), " ")
}

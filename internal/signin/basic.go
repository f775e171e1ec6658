package signin

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/account"
	"github.com/jeton-auth/jeton/internal/factor"
	"github.com/jeton-auth/jeton/internal/limit"
	"github.com/jeton-auth/jeton/internal/session"
	"github.com/jeton-auth/jeton/internal/store/change"
)

// Verified is a user whose name and password were right at most rememberFor ago. It is never changed.
type Verified struct {
	Account account.Account
	At      time.Time
	Second  bool // the user has a second factor, which a password does not prove
}

// Principal returns the user.
func (v *Verified) Principal() jeton.Principal { return principal(v.Account, v.At) }

// Proof returns how a request that Basic has accepted proves its user at a time. It is no proof where the password of a
// user with a second factor only confirms a session.
func (v *Verified) Proof(req PasswordRequest, now time.Time) session.Proof {
	methods := byPassword
	switch {
	case v.Second && req.Code == "":
		return session.Proof{}
	case v.Second:
		methods = withMethods(methods, byCode)
	}

	return session.Proof{Methods: strings.Fields(methods), At: now}
}

// Describe returns whose password it is and when it is valid, for the operator.
func (v *Verified) Describe() (which, window string) {
	return fmt.Sprintf("password of user %s, checked %s", v.Account.Name, stamp(v.At)), "valid for this request"
}

// Again returns a user whose password was right, as the user is now, or jeton.ErrBadCredential if the password or the
// user has changed, and jeton.ErrFactor if the user has a second factor now. It checks no password, so that a request
// that lasts costs no slow hash.
func (l *Logins) Again(ctx context.Context, v *Verified, service string) (*Verified, error) {
	if err := l.feed.Fresh(ctx); err != nil {
		return nil, err
	}

	acct, err := l.accounts.Find(ctx, v.Account.Name)
	if err != nil && !errors.Is(err, jeton.ErrNotFound) {
		return nil, err
	}

	same := err == nil && acct.ID == v.Account.ID && acct.Version == v.Account.Version
	if !same || acct.Disabled || !acct.ValidAt(service) {
		return nil, fmt.Errorf("the user %s has changed: %w", v.Account.Name, jeton.ErrBadCredential)
	}

	list, err := l.factors.List(ctx, acct.ID)
	if err != nil {
		return nil, err
	}
	if factor.Second(list) {
		return nil, errNoPassword
	}

	return &Verified{Account: acct, At: v.At}, nil
}

// invalidate makes the next request with the password of a changed user check it again.
func (l *Logins) invalidate(c change.Change) {
	if c.Kind == change.Users || c.Kind == change.All {
		l.passwords.verified.DropIf(func(v *Verified) bool {
			return c.Kind == change.All || slices.Contains(c.IDs, v.Account.ID)
		})
	}
}

// Basic checks a name and a password that are sent with each request. It has the throttle
// and the errors of Password, but judges no req.Allow: package gate does, as for every
// credential. A password that was right a short time ago at the same network costs no slow
// hash unless the user has changed since. One from a network that the user has not logged in from sends a notice. Of a
// user with a second factor it needs req.Code or req.Confirms, or returns jeton.ErrFactor.
func (l *Logins) Basic(ctx context.Context, req PasswordRequest) (*Verified, error) {
	// The cache is used only while this node sees the changes of others: after a password change,
	// no node may accept the old one from memory.
	if err := l.feed.Fresh(ctx); err != nil {
		return nil, err
	}

	req.remember = true
	trail := req.auditTrail()
	trail.pass("method", "Basic (RFC 7617)")

	v, err := l.verify(ctx, req, &trail)
	if err == nil && v.Second {
		err = l.besidePassword(ctx, req, v.Account, &trail)
	}
	if err == nil && !trail.remembered && !trail.known && !req.Proved {
		err = l.addSource(ctx, req, v, &trail)
	}
	if err != nil || !trail.remembered {
		l.audit.Record(trail.event(l.now(), err))
	}
	if err != nil {
		return nil, fmt.Errorf("check password: %w", err)
	}

	return v, nil
}

// addSource makes the network of a request one that its user has logged in from. A user who has not gets a notice.
func (l *Logins) addSource(ctx context.Context, req PasswordRequest, v *Verified, trail *auditTrail) error {
	err := l.accounts.AddSource(ctx, v.Account, limit.Network(req.Source), trail.event(l.now(), nil))
	if err != nil {
		// Not from memory: the next request has to send the notice.
		l.passwords.verified.DropIf(func(other *Verified) bool { return other == v })
		return trail.check("store", "", err)
	}
	l.WakeMails()

	return nil
}

// besidePassword checks the code that a user with a second factor gives beside the password.
func (l *Logins) besidePassword(
	ctx context.Context,
	req PasswordRequest,
	acct account.Account,
	trail *auditTrail,
) error {
	switch {
	case req.Code != "":
		_, err := l.factors.Prove(ctx, ownerOfFactors(acct), req.Code)
		return trail.check("second factor", byCode, err)
	case !req.Confirms:
		return trail.check("second factor", "", errNoPassword)
	}

	return nil
}

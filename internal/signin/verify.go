package signin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/account"
	"github.com/jeton-auth/jeton/internal/factor"
	"github.com/jeton-auth/jeton/internal/limit"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/session"
	"github.com/jeton-auth/jeton/internal/web"
)

// knownFor is how long a network counts as known to a user after a login from it.
const knownFor = 90 * 24 * time.Hour

// verify checks a name and a password. It is the only function that does, for every kind of
// login: the throttle decides first, also about a password that is remembered, and a refusal
// is answered at a time that does not depend on the user.
func (l *Logins) verify(ctx context.Context, req PasswordRequest, trail *auditTrail) (*Verified, error) {
	begun := time.Now()
	v, err := l.remembered(ctx, req, trail)

	outcome := jeton.Outcome(err)
	if outcome == jeton.ErrBadCredential || outcome == jeton.ErrTooMany {
		l.waitAsLongAsOthers(ctx, begun)
	}

	return v, err
}

// waitAsLongAsOthers waits until the next multiple of the time in which a check of any stored
// hash ends. Without it, the time of a refusal would show whether the name exists, what kind
// of hash it has, or that a throttled attempt was checked. It holds no place in the queue of
// hashes.
func (l *Logins) waitAsLongAsOthers(ctx context.Context, begun time.Time) {
	step := l.accounts.CheckTime()
	if step <= 0 {
		return
	}

	spent := time.Since(begun)
	rest := step - spent%step
	// What remains of the work in the time, such as a processor that had to wake up, is lost in this.
	rest += rand.N(step/16 + 1)

	timer := time.NewTimer(rest)
	defer timer.Stop()

	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// remembered looks for a password that was right a short time ago, and checks it if there is
// none. It computes one slow hash for any number of simultaneous requests with the same password.
func (l *Logins) remembered(ctx context.Context, req PasswordRequest, trail *auditTrail) (*Verified, error) {
	// No network has the unknown source, so nothing that was proved there holds for the next request.
	if !req.remember || req.Source == policy.UnknownSource {
		return l.check(ctx, req, trail)
	}

	key := l.passwords.key(req)
	v := l.passwords.find(key, l.now())
	if v == nil {
		unlock, err := l.passwords.lock(ctx, key)
		if err != nil {
			return nil, err
		}
		defer unlock()

		v = l.passwords.find(key, l.now()) // another request may have checked it meanwhile
	}

	if v != nil && !v.Account.ValidAt(req.Service) {
		return l.check(ctx, req, trail) // at this service the name is unknown
	}

	if v != nil {
		trail.remembered = true
		trail.actor = "user:" + v.Account.Name
		err := l.limiter.Check(l.now(), v.Account.Name, req.Source, true)

		return v, trail.check("throttle", "source "+web.AddressText(req.Source), err)
	}

	// Read before the store is: a change in between makes Renew drop the result, which may be of the
	// old password.
	before := l.passwords.verified.Generation(key)
	v, err := l.check(ctx, req, trail)
	if err != nil {
		return nil, err
	}

	l.passwords.verified.Renew(key, v, before)

	return v, nil
}

// check checks a name and a password: first the throttle, then the same work whether the name
// is unknown, the password wrong or the account disabled.
func (l *Logins) check(ctx context.Context, req PasswordRequest, trail *auditTrail) (*Verified, error) {
	if req.Name != "" {
		trail.actor = "user:?" // not the name: users type passwords into the wrong field
	}
	if req.Name == "" || req.Password.IsZero() {
		return nil, trail.check("given", "a name and a password", jeton.ErrNoCredential)
	}

	acct, err := l.accounts.FindForLogin(ctx, req.Name, req.ByEmail, req.Service)
	if err != nil {
		return nil, trail.check("store", "", err)
	}
	if acct.Name != "" {
		trail.actor = "user:" + acct.Name
	}

	attempt, err := l.begin(ctx, req, acct, trail)
	if err != nil {
		return nil, err
	}

	ok, err := l.accounts.Verify(ctx, acct, req.Password)
	if err != nil {
		// A caller who went away after the hash was computed still used up the attempt.
		if errors.Is(err, jeton.ErrBusy) || errors.Is(err, jeton.ErrUnavailable) {
			attempt.Cancel()
		}
		return nil, trail.check("password", "could not be checked", err)
	}

	if err := trail.check("password", "", judge(acct, ok)); err != nil {
		// A disk that is full must not make a wrong password an error that programs retry. The attempt counts in the
		// budget of this node.
		lost := l.failures.Add(ctx, attempted(acct, req))
		if lost != nil {
			l.log.Warn("count a failed attempt for all nodes", "error", lost)
		}

		return nil, cmp.Or(attempt.Refusal(), err)
	}

	attempt.Succeeded()

	factors, err := l.factors.List(ctx, acct.ID)
	if err != nil {
		return nil, trail.check("store", "", err)
	}

	return &Verified{Account: acct, At: l.now(), Second: factor.Second(factors)}, nil
}

// begin asks the throttle for an attempt.
func (l *Logins) begin(
	ctx context.Context,
	req PasswordRequest,
	acct account.Account,
	trail *auditTrail,
) (*limit.Attempt, error) {
	// Also for an unknown name, so that both take the same queries.
	known, err := l.accounts.KnownSource(ctx, acct.ID, limit.Network(req.Source), l.now().Add(-knownFor))
	if err != nil {
		return nil, trail.check("store", "", err)
	}

	trail.known = known

	name := attempted(acct, req)
	if err := l.failures.Apply(ctx, l.limiter, name); err != nil {
		return nil, trail.check("store", "", err)
	}

	attempt, err := l.limiter.Begin(l.now(), name, req.Source, known)
	throttle := fmt.Sprintf("source %s, known to the account: %t", web.AddressText(req.Source), known)

	// Also for an unknown name. A browser that shows the cookie of another account is like any other.
	if jeton.Outcome(err) == jeton.ErrTooMany && !req.Device.Secret.IsZero() {
		hash := req.Device.Hash()
		browser, storeErr := l.accounts.KnownDevice(ctx, acct.ID, hash, l.now().Add(-session.DeviceLifetime))
		if storeErr != nil {
			return nil, trail.check("store", "", storeErr)
		}

		throttle += fmt.Sprintf(", browser known to it: %t", browser)
		if browser {
			attempt, err = l.limiter.BeginInBrowser(l.now(), acct.Name, req.Source, string(hash[:]))
		}
	}

	return attempt, trail.check("throttle", throttle, err)
}

// attempted returns the name whose budget an attempt takes from: the one that exists, so that logins by name and by
// e-mail address share it.
func attempted(acct account.Account, req PasswordRequest) string { return cmp.Or(acct.Name, req.Name) }

func judge(acct account.Account, passwordOK bool) error {
	// The order decides which reason the operator reads. Callers get one refusal for all, except at a
	// teaching service.
	switch {
	case acct.ID == 0:
		return &refused{UnknownUser}
	case !passwordOK:
		return &refused{WrongPassword}
	case acct.Disabled:
		return &refused{Disabled}
	}

	return nil
}

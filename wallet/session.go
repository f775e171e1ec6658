package wallet

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/jeton-auth/jeton"
)

// lock waits until no other login or logout of this identity is running, in this process or
// another, and returns the function that unlocks.
func (id *Identity) lock(ctx context.Context) (done func(), err error) {
	select {
	case id.flight <- struct{}{}:
	case <-ctx.Done():
		return nil, fmt.Errorf("wait for a login of %s at %s: %w", id.name, id.origin, ctx.Err())
	}

	// One of 256 locks, by hash: file names reveal almost nothing.
	sum := sha256.Sum256([]byte(string(id.origin) + "\n" + id.name))
	unlock, err := id.w.file.lock(ctx, fmt.Sprintf("login-%02x.lock", sum[0]))
	if err != nil {
		// The other waiters of this process must not wait for a lock that was never taken.
		<-id.flight
		return nil, err
	}

	return func() { unlock(); <-id.flight }, nil
}

// renew gets a newer session than a request saw: by a login, if the identity logs in
// automatically, else from the file, if another process has logged in.
func (id *Identity) renew(ctx context.Context, saw view) (ok bool, failure error) {
	if saw.e.Auto {
		err := id.relogin(ctx, saw)
		return err == nil, err
	}

	d, err := id.w.file.read(ctx)
	if err != nil {
		return false, err
	}

	e := d.find(id.origin, id.name)
	if e == nil || e.Epoch == saw.e.Epoch || e.Epoch == "" {
		if saw.e.Foreign != nil {
			return false, errNotRenewable
		}
		return false, nil
	}

	id.adopt(*e, d.Revision)

	return true, nil
}

// relogin replaces the session that a request saw. It returns nil if a newer one is in
// place, and an error if the login failed. Requests that wait for one login share its
// result: none of them tries again.
func (id *Identity) relogin(ctx context.Context, saw view) error {
	done, err := id.lock(ctx)
	if err != nil {
		return err
	}
	defer done()

	id.mu.Lock()
	have := id.e
	attempts := id.attempts
	outcome := id.outcome
	id.mu.Unlock()

	// Another request has logged in while this one waited for the lock.
	if have.Epoch != saw.e.Epoch && !have.expiring(id.w.now()) {
		return nil
	}
	// A login that failed meanwhile is this caller's result, too: one attempt for all.
	if attempts != saw.attempts {
		return outcome
	}

	err = id.logInAgain(ctx, have.Epoch)
	if ctx.Err() != nil {
		return err // this caller has given up; the next one tries
	}

	id.mu.Lock()
	defer id.mu.Unlock()

	id.attempts++
	id.outcome = err

	return err
}

// logInAgain logs in with the password source or the key, unless another process did. The
// caller holds the lock.
func (id *Identity) logInAgain(ctx context.Context, epoch string) error {
	d, err := id.w.file.read(ctx)
	if err != nil {
		return err
	}

	have := d.find(id.origin, id.name)
	if have == nil {
		id.remove(d.Revision)
		return notFound(id.origin, id.name)
	}

	e := *have
	if e.Epoch != epoch {
		id.adopt(e, d.Revision)
		if e.Epoch == "" {
			return jeton.WithDetail(jeton.ErrNoCredential, "the identity was logged out")
		}
		if !e.expiring(id.w.now()) {
			return nil
		}
	}

	if !e.Auto {
		id.adopt(e, d.Revision)
		return jeton.WithDetail(jeton.ErrNoCredential, "the identity no longer logs in automatically")
	}

	// Another process may have been refused: a wrong password must not be sent again.
	if err := e.Held.err(id.w.now()); err != nil {
		return err
	}

	was := e
	switch {
	case e.Key != nil:
		err = id.w.prove(ctx, &e)
	case e.SignIn != nil:
		err = id.w.refresh(ctx, &e)
	default:
		var pass jeton.Secret
		if pass, err = id.w.password(ctx, e.Source); err != nil {
			return err
		}
		err = id.w.signIn(ctx, &e, pass)
	}

	if err != nil {
		return errors.Join(err, id.hold(ctx, was, err))
	}

	return id.install(ctx, e, false)
}

// hold keeps all processes from repeating a refused login.
func (id *Identity) hold(ctx context.Context, was entry, refused error) error {
	h := held{Code: jeton.Code(refused)}
	switch {
	case errors.Is(refused, jeton.ErrBadCredential) && was.Key == nil:
		// The same password or refresh token will not be accepted later.
	case isAny(refused, jeton.ErrRelogin, jeton.ErrTooMany, jeton.ErrSessionsFull),
		// A key may be registered, or its file replaced, at any moment.
		isAny(refused, jeton.ErrBadCredential, jeton.ErrForbidden, jeton.ErrScope):
		wait, ok := jeton.RetryAfter(refused)
		if !ok {
			wait = holdWait
		}

		h.Until = id.w.now().Add(wait)
	default:
		return nil
	}

	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), keepWait)
	defer cancel()

	return id.w.file.change(ctx, func(d *document) error {
		e := d.find(id.origin, id.name)
		if e != nil && e.Epoch == was.Epoch {
			e.Held = &h
		}
		return nil
	})
}

// isAny reports whether err is one of the targets.
func isAny(err error, targets ...error) bool {
	return slices.ContainsFunc(targets, func(target error) bool { return errors.Is(err, target) })
}

// install makes e, which has just logged in, the identity's entry in the file and in memory.
// An identity that was removed meanwhile is added again only if create is set.
func (id *Identity) install(ctx context.Context, e entry, create bool) error {
	// The session exists at the server: it must be stored even if the caller has given up.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), keepWait)
	defer cancel()

	var after *document
	err := id.w.file.change(ctx, func(d *document) error {
		// Forget won: an automatic login must not bring the identity back.
		if !create && d.find(id.origin, id.name) == nil {
			return notFound(id.origin, id.name)
		}

		d.put(e)
		after = d

		return nil
	})
	if err != nil {
		return err
	}

	id.adopt(e, after.Revision)

	return nil
}

// Logout ends the session at the server, then removes its cookies. For an identity with a key
// it revokes the token at the issuer (RFC 7009), authenticated by the key; for one that has
// signed in with a browser, all tokens of the sign-in, if the issuer can. A token made
// elsewhere is removed and not revoked. The identity stays, with its settings and its
// password source or key, and does not log in automatically until the next Login; Forget
// removes it. Logging out an identity without a session, or with an expired one, is not an
// error.
//
// If the server cannot be reached or refuses, Logout returns that error and the wallet keeps
// the session, so that the caller can try again.
func (w *Wallet) Logout(ctx context.Context, rawURL, name string) error {
	id, err := w.Identity(ctx, rawURL, name)
	if err != nil {
		return err
	}

	done, err := id.lock(ctx)
	if err != nil {
		return err
	}
	defer done()

	// Read it again: another login may have finished while this one waited.
	if id, err = w.Identity(ctx, rawURL, name); err != nil {
		return err
	}

	e := id.view().e
	// The server first: if it cannot be reached, the session is still here to be ended later.
	if e.Foreign == nil && (e.live(w.now()) || e.SignIn != nil && e.SignIn.Refresh != "") {
		end := w.signOut
		switch {
		case e.Key != nil && e.Key.Workload != nil:
			end = w.endWorkload
		case e.Key != nil:
			end = w.revoke
		case e.SignIn != nil:
			end = w.revokeSignIn
		}
		if err := end(ctx, &e); err != nil {
			return fmt.Errorf("log %s out at %s: %w", name, id.origin, err)
		}
	}

	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), keepWait)
	defer cancel()

	var after *document
	err = w.file.change(ctx, func(d *document) error {
		after = d
		stored := d.find(id.origin, name)
		if stored != nil {
			stored.clearSession()
			e = *stored
		}

		return nil
	})
	if err != nil {
		return fmt.Errorf("remove the session of %s at %s: %w", name, id.origin, err)
	}

	id.adopt(e, after.Revision)

	return nil
}

// clearSession removes the session or token and keeps the settings.
func (e *entry) clearSession() {
	e.Cookies = nil
	e.Epoch = ""
	e.Uses = nil
	e.Auto = false

	// Copies: other goroutines read what an entry points to without a lock.
	if e.Key != nil {
		s := *e.Key
		s.forget()
		s.SignedBy = ""
		e.Key = &s
	}
	if e.SignIn != nil {
		s := *e.SignIn
		s.forget()
		s.Refresh = ""
		e.SignIn = &s
	}
	// An empty token instead of nil: the identity stays one of a token made elsewhere.
	if e.Foreign != nil {
		e.Foreign = &foreignToken{}
	}
}

// signOut posts the logout form.
func (w *Wallet) signOut(ctx context.Context, e *entry) error {
	ctx, cancel := context.WithTimeout(ctx, loginWait)
	defer cancel()

	resp, err := w.ask(ctx, e, http.MethodPost, e.LogoutPath, nil, e.Cookies.send(e.Origin, e.LogoutPath, w.now()))
	if err != nil {
		return err
	}
	defer drain(resp.Body)

	_, over := NeedsLogin(resp)
	if over {
		return nil
	}
	if resp.StatusCode == http.StatusForbidden && resp.Header.Get(jeton.HeaderError) == "" {
		return fmt.Errorf("got status %d", resp.StatusCode)
	}

	return refusal(resp, w.now())
}

package wallet

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/jeton-auth/jeton"
)

// alone waits until nobody else logs this identity in or out, in this process or
// another, and returns what ends that.
func (id *Identity) alone(ctx context.Context) (done func(), err error) {
	select {
	case id.flight <- struct{}{}:
	case <-ctx.Done():
		return nil, fmt.Errorf("wait for a login of %s at %s: %w", id.name, id.origin, ctx.Err())
	}

	// One of 256 locks, by hash: the names of files tell next to nothing.
	sum := sha256.Sum256([]byte(string(id.origin) + "\n" + id.name))
	unlock, err := id.w.file.lock(ctx, fmt.Sprintf("login-%02x.lock", sum[0]))
	if err != nil {
		<-id.flight
		return nil, err
	}

	return func() { unlock(); <-id.flight }, nil
}

// renew gets the identity a newer session than a request saw: by a login, if it
// may log in by itself, else by looking whether another process logged it in.
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
		if saw.e.Handed != nil {
			return false, errHanded
		}
		return false, nil
	}

	id.adopt(*e, d.Revision)

	return true, nil
}

// relogin replaces the session that a request saw. It returns nil when a newer one
// is in place, whoever logged in, and an error when there is none to be had. Of
// the requests that wait for one login, none tries again after it failed.
func (id *Identity) relogin(ctx context.Context, saw view) error {
	done, err := id.alone(ctx)
	if err != nil {
		return err
	}
	defer done()

	id.mu.Lock()
	have := id.e
	attempts := id.attempts
	outcome := id.outcome
	id.mu.Unlock()

	if have.Epoch != saw.e.Epoch && !have.over(id.w.now()) {
		return nil
	}
	if attempts != saw.attempts {
		return outcome
	}

	err = id.logInAgain(ctx, have.Epoch)
	if ctx.Err() != nil {
		return err // this caller went away; the next one in line may do better
	}

	id.mu.Lock()
	defer id.mu.Unlock()

	id.attempts++
	id.outcome = err

	return err
}

// logInAgain logs in with the password source or the key, unless another process did.
// The caller is alone.
func (id *Identity) logInAgain(ctx context.Context, epoch string) error {
	d, err := id.w.file.read(ctx)
	if err != nil {
		return err
	}

	have := d.find(id.origin, id.name)
	if have == nil {
		id.leave(d.Revision)
		return notFound(id.origin, id.name)
	}

	e := *have
	if e.Epoch != epoch {
		id.adopt(e, d.Revision)
		if e.Epoch == "" {
			return jeton.WithDetail(jeton.ErrNoCredential, "it was logged out")
		}
		if !e.over(id.w.now()) {
			return nil
		}
	}

	if !e.Auto {
		id.adopt(e, d.Revision)
		return jeton.WithDetail(jeton.ErrNoCredential, "it does not log in by itself any more")
	}

	if err := e.Held.err(id.w.now()); err != nil {
		return err
	}

	was := e
	if e.Key != nil {
		err = id.w.prove(ctx, &e)
	} else {
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

// hold keeps a refused login of e from being repeated, by any process.
func (id *Identity) hold(ctx context.Context, was entry, refused error) error {
	h := held{Code: jeton.Code(refused)}
	switch {
	case errors.Is(refused, jeton.ErrBadCredential) && was.Key == nil:
		// The same password will not be right later.
	case errors.Is(
		refused,
		jeton.ErrRelogin,
	), errors.Is(refused, jeton.ErrTooMany), errors.Is(refused, jeton.ErrSessionsFull),
		// A key may be registered, or put into its file, any moment.
		errors.Is(
			refused,
			jeton.ErrBadCredential,
		), errors.Is(refused, jeton.ErrForbidden), errors.Is(refused, jeton.ErrScope):
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

// install makes e, which has just logged in, the identity's entry in the file and
// in memory. An identity that was forgotten meanwhile comes back only by create.
func (id *Identity) install(ctx context.Context, e entry, create bool) error {
	// The session exists at the server: a caller who leaves must not lose it.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), keepWait)
	defer cancel()

	var after *document
	err := id.w.file.change(ctx, func(d *document) error {
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

// Logout ends the session at the server, then forgets its cookies. Of an identity that
// proves itself by a key it revokes the token at the issuer (RFC 7009), proved by the key.
// A token that was handed in is forgotten and not revoked: whoever made it ends it.
// The identity stays, with its settings and its password source or key, and does not log
// in by itself until the next Login; Forget removes it. Logging out an identity that has no
// session, or whose session the server says is over, is not an error.
//
// When the server cannot be reached or refuses, Logout returns that error and the
// wallet keeps the session, so that logging out can be tried again.
func (w *Wallet) Logout(ctx context.Context, rawURL, name string) error {
	id, err := w.Identity(ctx, rawURL, name)
	if err != nil {
		return err
	}

	done, err := id.alone(ctx)
	if err != nil {
		return err
	}
	defer done()

	// Only now: a login may have ended while this waited.
	if id, err = w.Identity(ctx, rawURL, name); err != nil {
		return err
	}

	e := id.view().e
	if e.Handed == nil && e.live(w.now()) {
		end := w.signOut
		if e.Key != nil {
			end = w.revoke
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
		have := d.find(id.origin, name)
		if have != nil {
			have.Cookies = nil
			have.Epoch = ""
			have.Uses = nil
			have.Auto = false
			s := have.Key
			if s != nil {
				s.Token = ""
				s.SignedBy = ""
				s.Got = time.Time{}
				s.Opens = time.Time{}
				s.Ends = time.Time{}
			}

			if have.Handed != nil {
				have.Handed = &handed{}
			}

			e = *have
		}

		return nil
	})
	if err != nil {
		return fmt.Errorf("forget the session of %s at %s: %w", name, id.origin, err)
	}

	id.adopt(e, after.Revision)

	return nil
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
		return fmt.Errorf("the server answered with status %d", resp.StatusCode)
	}

	return refusal(resp, w.now())
}

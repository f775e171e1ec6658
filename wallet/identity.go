package wallet

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"
)

// keepWait bounds the write after a response that changed the session.
const keepWait = 15 * time.Second

// Identity is one subject at one origin. It is an http.RoundTripper that sends
// requests as that subject, and is safe for concurrent use.
type Identity struct {
	w      *Wallet
	origin Origin
	name   string
	flight chan struct{} // held during a login or logout

	mu       sync.Mutex
	e        entry // replaced as a whole; what it points to is never changed
	revision int64 // of the file that e was read from
	gone     bool  // removed, here or by another process
	usesNew  bool  // not written yet
	jarNew   bool  // not written yet
	attempts int   // automatic logins, and the result of the last one
	outcome  error
	patience time.Time // a token that is still valid is not renewed before
}

// Origin returns the origin that the identity belongs to.
func (id *Identity) Origin() Origin { return id.origin }

// Name returns the name of the identity in the wallet.
func (id *Identity) Name() string { return id.name }

// Info describes the identity as of its last response.
func (id *Identity) Info() Info {
	id.mu.Lock()
	defer id.mu.Unlock()
	return id.e.info(id.w.now())
}

// Client returns an HTTP client that sends its requests as the identity. It follows
// redirects within the origin; a redirect to another origin is returned as the response.
func (id *Identity) Client() *http.Client {
	return &http.Client{
		Transport: id,
		CheckRedirect: func(r *http.Request, via []*http.Request) error {
			// The response is returned instead of an error, as the caller may want its
			// Location.
			if o, err := originOf(r.URL); err != nil || o != id.origin {
				return http.ErrUseLastResponse
			}
			if len(via) >= 10 {
				return errors.New("stopped after 10 redirects")
			}

			return nil
		},
	}
}

// view is a snapshot of the identity, for one request.
type view struct {
	e        entry
	gone     bool
	attempts int
	patience time.Time
}

// view returns the state for one request. The request then needs no lock: what an entry
// points to is never changed.
func (id *Identity) view() view {
	id.mu.Lock()
	defer id.mu.Unlock()
	return view{id.e, id.gone, id.attempts, id.patience}
}

// learn takes cookies and remaining uses from a response to the login of e.
func (id *Identity) learn(r *http.Request, resp *http.Response, e entry) {
	set := resp.Cookies()
	epoch := e.Epoch
	_, byToken := e.bearer(id.w.now())
	if byToken {
		set = nil // a session next to the token would be a second credential
	}

	uses, counted := usesRemaining(resp)
	if epoch == "" || (len(set) == 0 && !counted) {
		return
	}

	path := r.URL.EscapedPath()
	now := id.w.now()

	id.mu.Lock()
	if id.gone || id.e.Epoch != epoch {
		// A newer login is in place: a response to the old session must not change it.
		id.mu.Unlock()
		return
	}

	next, what := id.e.Cookies.learn(id.origin, path, set, now)
	id.e.Cookies = next

	if counted {
		id.e.Uses, id.usesNew = &uses, true
	}

	id.jarNew = id.jarNew || what != same
	id.mu.Unlock()

	// A rotated session cookie is written at once: a crash would lose the session. Uses and
	// later expiries wait for Flush.
	if what == changed {
		id.keep(r.Context(), epoch, func(e *entry) {
			e.Cookies, _ = e.Cookies.learn(id.origin, path, set, now)
			if counted {
				e.Uses = &uses
			}
		})
	}
}

// keep writes a change to the session. It outlives the request, because the server has
// switched to the new cookie whether or not the caller still waits.
func (id *Identity) keep(ctx context.Context, epoch string, edit func(*entry)) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), keepWait)
	defer cancel()

	var after *document
	err := id.w.file.change(ctx, func(d *document) error {
		after = d
		e := d.find(id.origin, id.name)
		// Another process may have logged in meanwhile: its cookies are newer.
		if e != nil && e.Epoch == epoch {
			edit(e)
		}

		return nil
	})
	if err != nil {
		return // jarNew stays, so that Flush tries again
	}

	e := after.find(id.origin, id.name)
	if e != nil {
		id.adopt(*e, after.Revision)
	} else {
		id.remove(after.Revision)
	}
}

// adopt replaces the entry with that of a revision of the file, unless a newer one was seen.
// What was learned from responses and is not in the file yet is kept.
func (id *Identity) adopt(e entry, revision int64) {
	id.mu.Lock()
	defer id.mu.Unlock()

	// Two goroutines may have read the file in one order and get here in the other.
	if revision < id.revision {
		return
	}

	old := id.e
	fresh := id.gone || old.Epoch != e.Epoch
	id.e = e
	id.gone = false
	id.revision = revision

	if fresh {
		id.usesNew, id.jarNew = false, false
		return
	}

	// The response is newer than the file, which does not have its uses yet.
	if id.usesNew {
		id.e.Uses = old.Uses
	}

	if id.jarNew {
		id.e.Cookies = e.Cookies.merge(old.Cookies)
		id.jarNew = !id.e.Cookies.equal(e.Cookies)
	}
}

// remove marks the identity as removed.
func (id *Identity) remove(revision int64) {
	id.mu.Lock()
	defer id.mu.Unlock()
	if revision < id.revision {
		return
	}

	id.gone = true
	id.e = entry{}
	id.usesNew = false
	id.jarNew = false
	id.revision = revision
}

// isDirty reports whether something is to be written by Flush.
func (id *Identity) isDirty() bool {
	id.mu.Lock()
	defer id.mu.Unlock()
	return !id.gone && (id.usesNew || id.jarNew)
}

// flushInto writes changes into the identity's entry in d, if that is still the same login:
// a removed identity stays removed.
func (id *Identity) flushInto(d *document) {
	id.mu.Lock()
	defer id.mu.Unlock()

	e := d.find(id.origin, id.name)
	if id.gone || e == nil || e.Epoch != id.e.Epoch {
		return
	}
	if id.usesNew {
		e.Uses = id.e.Uses
	}

	// Merged: another process may have set other cookies in the same session.
	if id.jarNew {
		e.Cookies = e.Cookies.merge(id.e.Cookies)
	}
}

// clean notes that everything is in the file. The caller has just written it, under the lock
// of the file.
func (id *Identity) clean() {
	id.mu.Lock()
	defer id.mu.Unlock()
	id.usesNew, id.jarNew = false, false
}

package wallet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

	"github.com/jeton-auth/jeton"
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

func (id *Identity) view() view {
	id.mu.Lock()
	defer id.mu.Unlock()
	return view{id.e, id.gone, id.attempts, id.patience}
}

// RoundTrip sends r with the cookies of the identity. A request to another origin is not
// sent: RoundTrip returns jeton.ErrInvalid. Cookies that the caller set are sent, too, unless
// the identity has one of the same name. An Authorization header is sent unchanged.
//
// An identity with a key, or with a token made elsewhere, sends its token as Bearer instead
// (RFC 6750, section 2.1), and stores no cookies. A request with an Authorization header is
// then not sent: RoundTrip returns jeton.ErrInvalid. If the token is not valid yet, the
// request waits until its context ends, or 30 s if that has no deadline. If it would have to
// wait longer, RoundTrip returns jeton.ErrTooEarly at once, with jeton.RetryAfter.
//
// If the response says that the session has expired ([NeedsLogin]), the identity logs in
// automatically and the body can be sent again, RoundTrip logs in and sends the request a
// second time, never a third. All requests that meet the same expiry share one login, over
// all processes. If the login fails, RoundTrip returns the response, and NeedsLogin returns
// the reason. A token is also renewed before it expires: when less than a tenth of its
// lifetime or less than 10 s is left, but never in the first half of its lifetime. A token
// that is counted, or was not valid at once, is used until it expires. A spent token is not
// renewed: its terms say how many uses there are.
//
// After the request was sent, RoundTrip returns only network errors. If a new cookie could
// not be written to disk, Flush tries again and returns that error.
func (id *Identity) RoundTrip(r *http.Request) (*http.Response, error) {
	saw := id.view()
	if err := id.accepts(r, saw); err != nil {
		if r.Body != nil {
			_ = r.Body.Close()
		}
		return nil, err
	}

	renewed, failure := false, error(nil)
	now := id.w.now()
	known := !saw.e.live(now)
	early := !known && saw.e.expiring(now) && !now.Before(saw.patience)
	if known || early {
		// The session has expired before anything was sent: a body that cannot be sent
		// twice is not lost.
		renewed, failure = id.renew(r.Context(), saw)
		if renewed {
			saw, known = id.view(), true
		} else if early {
			failure = nil // the current token is still valid
			id.postpone(now.Add(renewPause))
		}
	}

	resp, err := id.send(r, r.Body, saw, failure)
	if err != nil || known || !replayable(r) {
		return resp, err
	}

	why, over := NeedsLogin(resp)
	if !over || saw.e.Key != nil && errors.Is(why, jeton.ErrSpent) {
		return resp, nil
	}

	renewed, failure = id.renew(r.Context(), saw)
	if renewed {
		body := r.Body
		if r.GetBody != nil {
			body, failure = r.GetBody()
		}

		if failure == nil {
			drain(resp.Body)
			return id.send(r, body, id.view(), nil)
		}
	}

	n := noteOf(resp)
	n.failure = failure

	return annotate(resp, n), nil
}

// postpone keeps a token that is still valid from being renewed before a time.
func (id *Identity) postpone(until time.Time) {
	id.mu.Lock()
	defer id.mu.Unlock()
	id.patience = until
}

// accepts returns an error unless r goes to the origin of the identity and carries no other
// credential.
func (id *Identity) accepts(r *http.Request, saw view) error {
	if saw.gone {
		return notFound(id.origin, id.name)
	}
	if r.URL == nil {
		return jeton.WithDetail(jeton.ErrInvalid, "request without a URL")
	}

	o, err := originOf(r.URL)
	if err != nil {
		return err
	}

	if o == id.origin && r.Host != "" && r.Host != r.URL.Host {
		// The address is that of the origin and Host another: a server with several names
		// would give the cookies to the wrong one.
		if o, err = originOf(&url.URL{Scheme: o.scheme(), Host: r.Host}); err != nil {
			return err
		}
	}

	if o != id.origin {
		return jeton.WithDetail(
			jeton.ErrInvalid,
			fmt.Sprintf("the request is for %s and is not sent as %s of %s", o, id.name, id.origin),
		)
	}

	_, byToken := saw.e.bearer(id.w.now())
	if byToken && len(r.Header.Values("Authorization")) > 0 {
		return jeton.WithDetail(
			jeton.ErrInvalid,
			fmt.Sprintf("the request has an Authorization header; %s of %s sends its own", id.name, id.origin),
		)
	}

	return nil
}

// send sends a copy of r with the credential of the snapshot saw, and learns from the
// response.
func (id *Identity) send(r *http.Request, body io.ReadCloser, saw view, failure error) (*http.Response, error) {
	t, err := id.w.transportFor(saw.e.CACert)
	if err == nil {
		err = id.await(r.Context(), saw.e)
	}

	if err != nil {
		if body != nil {
			_ = body.Close()
		}
		return nil, err
	}

	c := r.Clone(r.Context())
	c.Body = body
	c.URL.Scheme = id.origin.scheme()
	c.URL.Host = id.origin.hostport()
	c.Host = ""

	if c.Header == nil {
		c.Header = http.Header{}
	}

	sent := false
	token, byToken := saw.e.bearer(id.w.now())
	if byToken {
		sent = token != ""
		if sent {
			c.Header.Set("Authorization", "Bearer "+token)
		}
	} else {
		cookies := saw.e.Cookies.send(id.origin, c.URL.EscapedPath(), id.w.now())
		addTo(c, cookies)
		sent = len(cookies) > 0
	}

	resp, err := t.RoundTrip(c)
	if err != nil {
		return nil, err
	}

	id.learn(r, resp, saw.e)
	// Return the caller's request: the copy holds the credential.
	resp.Request = r

	return annotate(resp, note{sent: sent, failure: failure}), nil
}

func replayable(r *http.Request) bool {
	return r.Body == nil || r.Body == http.NoBody || r.GetBody != nil
}

// learn takes cookies and remaining uses from a response to the login of e.
func (id *Identity) learn(r *http.Request, resp *http.Response, e entry) {
	set := resp.Cookies()
	epoch := e.Epoch
	if e.Key != nil || e.Foreign != nil {
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

	if id.jarNew {
		e.Cookies = e.Cookies.merge(id.e.Cookies)
	}
}

func (id *Identity) clean() {
	id.mu.Lock()
	defer id.mu.Unlock()
	id.usesNew, id.jarNew = false, false
}

// usesRemaining reads the remaining uses from a response.
func usesRemaining(resp *http.Response) (int64, bool) {
	n, err := strconv.ParseInt(resp.Header.Get(jeton.HeaderUsesRemaining), 10, 64)
	return n, err == nil && n >= 0
}

// NeedsLogin reports whether a response says that its sender must log in, and why:
// jeton.ErrSpent, ErrExpired, ErrBadCredential or ErrNoCredential, to be tested with
// errors.Is. A 401 of another server is ErrBadCredential if cookies or a token of the
// identity were sent, and ErrNoCredential if not. If an automatic login failed, why wraps
// that error, too. For a token made elsewhere the text says that it cannot be renewed.
//
// It does not read the body.
func NeedsLogin(resp *http.Response) (why error, ok bool) {
	n := noteOf(resp)
	out := jeton.FromCode(resp.Header.Get(jeton.HeaderError))
	switch {
	case out == nil && resp.StatusCode != http.StatusUnauthorized:
		return nil, false
	case out == nil && n.sent:
		why = jeton.ErrBadCredential
	case out == nil:
		why = jeton.ErrNoCredential
	case out == jeton.ErrSpent, out == jeton.ErrExpired, out == jeton.ErrBadCredential, out == jeton.ErrNoCredential:
		why = out
	default:
		return nil, false
	}

	if n.failure != nil {
		why = fmt.Errorf("%w; logging in again: %w", why, n.failure)
	}

	return why, true
}

// note is what RoundTrip passes to NeedsLogin with a response.
type note struct {
	sent    bool  // cookies or a token of the identity went with the request
	failure error // of the automatic login
}

type noteKey struct{}

// annotate stores n in the request of resp: the only place of a response that carries values
// and that http.Client does not change.
func annotate(resp *http.Response, n note) *http.Response {
	resp.Request = resp.Request.WithContext(context.WithValue(resp.Request.Context(), noteKey{}, n))
	return resp
}

func noteOf(resp *http.Response) note {
	if resp.Request == nil {
		return note{}
	}
	n, _ := resp.Request.Context().Value(noteKey{}).(note)
	return n
}

// drain reads a little of a body and closes it, so that its connection can be reused.
func drain(body io.ReadCloser) {
	_, _ = io.CopyN(io.Discard, body, 64<<10)
	_ = body.Close()
}

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

// keepWait bounds the write that follows an answer which changed the session.
const keepWait = 15 * time.Second

// Identity is one subject at one origin. It is an http.RoundTripper that sends
// requests as that subject, and is safe for concurrent use.
type Identity struct {
	w      *Wallet
	origin Origin
	name   string
	flight chan struct{} // who logs in or out holds it

	mu       sync.Mutex
	e        entry // replaced whole; what it points to is never changed in place
	revision int64 // of the file that e was read from
	gone     bool  // forgotten, here or by another process
	usesNew  bool  // not written yet
	jarNew   bool  // not written yet
	attempts int   // logins by itself, and what came of the last one
	outcome  error
	patience time.Time // a token that is still good is not asked for again before
}

// Origin returns the origin that the identity belongs to.
func (id *Identity) Origin() Origin { return id.origin }

// Name returns the name of the identity in the wallet.
func (id *Identity) Name() string { return id.name }

// Info returns what is told about the identity, with what it learned last.
func (id *Identity) Info() Info {
	id.mu.Lock()
	defer id.mu.Unlock()
	return id.e.info(id.w.now())
}

// Client returns a client that sends its requests as the identity. It follows
// redirects within the origin; a redirect elsewhere is returned as the answer.
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

// view is what one request sees of the identity.
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

// RoundTrip sends r with the cookies of the identity. A request for another
// origin is not sent at all: it returns jeton.ErrInvalid. Cookies that the caller
// set are sent too, unless the identity has one of that name; an Authorization
// header is the caller's business and is sent as it stands.
//
// An identity that proves itself by a key, or was handed a token, sends its token as Bearer
// instead (RFC 6750, section 2.1), and keeps no cookie. A request that has an Authorization header of its own
// would be somebody else's: it is not sent and returns jeton.ErrInvalid. Where the token is
// not valid yet the request waits, as long as its context lets it or 30 s where that has no
// deadline; a longer wait is jeton.ErrTooEarly at once, with jeton.RetryAfter.
//
// When the answer says that the session is over ([NeedsLogin]), the identity logs
// in again by itself and the body can be sent again, RoundTrip logs in and sends
// the request a second time, never a third. All requests that meet the same end
// share one login, over all processes. Where it cannot, it returns the answer as
// it is; NeedsLogin then tells why. A token is also replaced before it ends: when less
// than a tenth of its life is left, or less than 10 s, but never in the first half of its
// life. One that is counted, or was not valid at once, is used to its end, and one that is
// spent is not replaced before it: the terms said how many uses there are.
//
// An error of RoundTrip after the request was sent is one of the network. That a
// new cookie could not be written to disk is none: Flush tries again and tells.
func (id *Identity) RoundTrip(r *http.Request) (*http.Response, error) {
	saw := id.view()
	if err := id.mine(r, saw); err != nil {
		if r.Body != nil {
			_ = r.Body.Close()
		}
		return nil, err
	}

	renewed, failure := false, error(nil)
	now := id.w.now()
	known := !saw.e.live(now)
	early := !known && saw.e.over(now) && !now.Before(saw.patience)
	if known || early {
		// The session is over before anything was sent: a body that cannot be sent
		// twice is spared.
		renewed, failure = id.renew(r.Context(), saw)
		if renewed {
			saw, known = id.view(), true
		} else if early {
			failure = nil // what there is does still
			id.bear(now.Add(calm))
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

// bear keeps a token that is still good from being asked for again before a time.
func (id *Identity) bear(until time.Time) {
	id.mu.Lock()
	defer id.mu.Unlock()
	id.patience = until
}

// mine returns an error unless r goes to the origin of the identity, and is its own.
func (id *Identity) mine(r *http.Request, saw view) error {
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
		// The address is ours and the name another's: a server of many names would
		// hand our cookies to the wrong one.
		if o, err = originOf(&url.URL{Scheme: o.scheme(), Host: r.Host}); err != nil {
			return err
		}
	}

	if o != id.origin {
		return jeton.WithDetail(
			jeton.ErrInvalid,
			fmt.Sprintf("request for %s is not sent as %s of %s", o, id.name, id.origin),
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

// send sends a copy of r as the identity was when saw was taken, and learns from
// the answer.
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
	// The request that the caller gets back is its own: the copy holds the session.
	resp.Request = r

	return annotate(resp, note{sent: sent, failure: failure}), nil
}

func replayable(r *http.Request) bool {
	return r.Body == nil || r.Body == http.NoBody || r.GetBody != nil
}

// learn takes the cookies and the count from an answer to the login of e.
func (id *Identity) learn(r *http.Request, resp *http.Response, e entry) {
	set, epoch := resp.Cookies(), e.Epoch
	if e.Key != nil || e.Handed != nil {
		set = nil // a session next to the token would be a second credential
	}

	uses, counted := usesRemaining(resp)
	if epoch == "" || (len(set) == 0 && !counted) {
		return
	}

	path, now := r.URL.EscapedPath(), id.w.now()
	id.mu.Lock()

	if id.gone || id.e.Epoch != epoch {
		// A newer login is in place: the end of the old session must not end it.
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

// keep makes a change to the session durable. It outlives the request, because
// the server has switched to the new cookie whether or not the caller still waits.
func (id *Identity) keep(ctx context.Context, epoch string, edit func(*entry)) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), keepWait)
	defer cancel()

	var after *document
	err := id.w.file.change(ctx, func(d *document) error {
		after = d
		if e := d.find(id.origin, id.name); e != nil && e.Epoch == epoch {
			edit(e)
		}
		return nil
	})
	if err != nil {
		return // jarNew stays, so that Flush tries again
	}

	if e := after.find(id.origin, id.name); e != nil {
		id.adopt(*e, after.Revision)
	} else {
		id.leave(after.Revision)
	}
}

// adopt takes over what the file said at a revision, unless more was seen since.
// What was learned from answers and is not in the file yet is kept.
func (id *Identity) adopt(e entry, revision int64) {
	id.mu.Lock()
	defer id.mu.Unlock()

	if revision < id.revision {
		return
	}

	old, fresh := id.e, id.gone || id.e.Epoch != e.Epoch
	id.e, id.gone, id.revision = e, false, revision

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

// leave marks the identity as forgotten.
func (id *Identity) leave(revision int64) {
	id.mu.Lock()
	defer id.mu.Unlock()
	if revision >= id.revision {
		id.gone, id.e, id.usesNew, id.jarNew, id.revision = true, entry{}, false, false, revision
	}
}

func (id *Identity) isDirty() bool {
	id.mu.Lock()
	defer id.mu.Unlock()
	return !id.gone && (id.usesNew || id.jarNew)
}

// flushInto writes what is new into the identity's place in d, if that is still
// the same login: what was forgotten stays so.
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

// usesRemaining reads the count from an answer.
func usesRemaining(resp *http.Response) (int64, bool) {
	n, err := strconv.ParseInt(resp.Header.Get(jeton.HeaderUsesRemaining), 10, 64)
	return n, err == nil && n >= 0
}

// NeedsLogin reports whether an answer says that its sender must log in, and why:
// jeton.ErrSpent, ErrExpired, ErrBadCredential or ErrNoCredential, to be tested
// with errors.Is. A 401 of a server that does not speak Jeton is ErrBadCredential
// when cookies or a token of the identity were sent and ErrNoCredential when not. When the
// identity tried to log in again by itself and could not, why is that error too; of one
// that was handed a token, which cannot renew itself, the text says so.
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

// note is what RoundTrip knows about an answer and NeedsLogin wants.
type note struct {
	sent    bool  // cookies or a token of the identity went with the request
	failure error // of the login by itself
}

type noteKey struct{}

// annotate hangs n on the request of resp, the one place of a response that
// carries values and that http.Client leaves alone.
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

// drain reads a little of a body, so that its connection can be used again.
func drain(body io.ReadCloser) {
	_, _ = io.CopyN(io.Discard, body, 64<<10)
	_ = body.Close()
}

package wallet

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/jeton-auth/jeton"
)

// RoundTrip sends r with the cookies of the identity. A request to another origin is not
// sent: RoundTrip returns jeton.ErrInvalid. Cookies that the caller set are sent, too, unless
// the identity has one of the same name. An Authorization header is sent unchanged.
//
// An identity with a key, a sign-in, or a token made elsewhere, sends its token as Bearer instead
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
		// A RoundTripper must close the body, also on errors.
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
	if !over || saw.e.issued() != nil && errors.Is(why, jeton.ErrSpent) {
		return resp, nil
	}

	renewed, failure = id.renew(r.Context(), saw)
	if renewed {
		// The first attempt has consumed the body; GetBody returns it again.
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

	// Two credentials in one request: the server might judge by the other one.
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

	// A RoundTripper must not change the caller's request, and the caller must not see the
	// credential in it.
	c := r.Clone(r.Context())
	c.Body = body
	// The normal form of the address, so that what was compared is what is dialled.
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

// replayable reports whether r can be sent a second time: http.NewRequest sets GetBody for
// bodies in memory, and a stream is gone once it was sent.
func replayable(r *http.Request) bool {
	return r.Body == nil || r.Body == http.NoBody || r.GetBody != nil
}

package wallet

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/jeton-auth/jeton"
)

// discover fills in the login form of the service: the caller's settings, else those of
// /.well-known/jeton, else those of the previous login, else the defaults.
func (w *Wallet) discover(ctx context.Context, e *entry, in Login) error {
	service, err := w.wellKnown(ctx, e)
	if err != nil {
		return err
	}

	pick := func(to *string, choices ...string) {
		for _, c := range choices {
			if c != "" {
				*to = c
				return
			}
		}
	}

	e.Service = service.Service
	pick(&e.LoginPath, in.LoginPath, service.Login, e.LoginPath, "/login")
	pick(&e.LogoutPath, in.LogoutPath, service.Logout, e.LogoutPath, "/logout")
	pick(&e.UsernameField, in.UsernameField, service.UsernameField, e.UsernameField, "username")
	pick(&e.PasswordField, in.PasswordField, service.PasswordField, e.PasswordField, "password")

	return e.check()
}

// wellKnown is the document that a Jeton service publishes at /.well-known/jeton.
type wellKnown struct {
	Service       string `json:"service"`
	Login         string `json:"login"`
	Logout        string `json:"logout"`
	UsernameField string `json:"username_field"`
	PasswordField string `json:"password_field"`
	Issuer        string `json:"issuer"`   // of the tokens that it accepts; "": none
	Audience      string `json:"audience"` // of those tokens; "": its origin
	Resource      string `json:"resource"` // URL of the service (RFC 9728), if it knows that
}

// wellKnown reads the document of a service. A server that has none, or answers with a
// page, has an empty one.
func (w *Wallet) wellKnown(ctx context.Context, e *entry) (wellKnown, error) {
	ctx, cancel := context.WithTimeout(ctx, loginWait)
	defer cancel()

	resp, err := w.ask(ctx, e, http.MethodGet, "/.well-known/jeton", nil, nil)
	if err != nil {
		return wellKnown{}, err
	}
	defer drain(resp.Body)

	var document wellKnown
	if resp.StatusCode != http.StatusOK {
		return document, nil
	}

	text, err := io.ReadAll(io.LimitReader(resp.Body, maxWellKnown+1))
	if err != nil {
		return document, fmt.Errorf("read /.well-known/jeton: %w", err)
	}
	// Any server may answer every path with a page: that is no error.
	if len(text) > maxWellKnown || json.Unmarshal(text, &document) != nil {
		return wellKnown{}, nil
	}

	// The document of another service, perhaps copied from it (RFC 9728, section 3.3).
	if document.Resource != "" {
		resource, err := ParseOrigin(document.Resource)
		if err != nil || resource != e.Origin {
			return wellKnown{}, jeton.WithDetail(
				jeton.ErrInvalid,
				"the resource in /.well-known/jeton is another service's",
			)
		}
	}

	return document, nil
}

// ask sends one request to the service of e and follows no redirect.
func (w *Wallet) ask(
	ctx context.Context,
	e *entry,
	method, path string,
	form url.Values,
	cookies []cookie,
) (*http.Response, error) {
	return w.exchange(ctx, e, method, string(e.Origin)+path, form, cookies)
}

// exchange sends one request for e, to its service or its issuer, and follows no redirect.
func (w *Wallet) exchange(
	ctx context.Context,
	e *entry,
	method, address string,
	form url.Values,
	cookies []cookie,
) (*http.Response, error) {
	t, err := w.transportFor(e.CACert)
	if err != nil {
		return nil, err
	}

	var body io.Reader
	if form != nil {
		body = strings.NewReader(form.Encode())
	}

	r, err := http.NewRequestWithContext(ctx, method, address, body)
	if err != nil {
		return nil, err
	}

	r.Header.Set("User-Agent", "jeton-wallet")
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}

	addTo(r, cookies)
	// RoundTrip follows no redirect: a password must not be sent on to another address.
	resp, err := t.RoundTrip(r)
	bad := new(tls.CertificateVerificationError)
	if errors.As(err, &bad) {
		return nil, fmt.Errorf("%w; if the server has a certificate of its own, log in with its CA certificate", err)
	}

	return resp, err
}

// signIn posts the login form of e and puts the new session into e.
func (w *Wallet) signIn(ctx context.Context, e *entry, pass jeton.Secret) error {
	ctx, cancel := context.WithTimeout(ctx, loginWait)
	defer cancel()

	resp, err := w.ask(ctx, e, http.MethodPost, e.LoginPath, url.Values{
		e.UsernameField: {e.Username}, e.PasswordField: {pass.Reveal()},
	}, nil)
	if err != nil {
		return err
	}
	defer drain(resp.Body)

	if err := refusal(resp, w.now()); err != nil {
		return err
	}
	// A website often shows its form again after a wrong password.
	if resp.StatusCode >= 300 && !leavesForm(resp, e) {
		return jeton.WithDetail(
			jeton.ErrBadCredential,
			fmt.Sprintf("the login got status %d", resp.StatusCode),
		)
	}

	// An empty jar: cookies of the previous session must not survive into the new one.
	cookies, _ := jar(nil).learn(e.Origin, e.LoginPath, resp.Cookies(), w.now())
	if len(cookies) == 0 {
		return jeton.WithDetail(jeton.ErrBadCredential, "the response to the login set no usable cookie")
	}

	e.Cookies = cookies
	e.Epoch = rand.Text()
	e.LoggedIn = w.now()
	e.Uses = nil
	e.Held = nil

	if n, ok := usesRemaining(resp); ok {
		e.Uses = &n
	}

	return nil
}

// leavesForm reports whether a redirect leads to another page of the origin. Websites
// redirect to a page after a login, and back to the form if it failed.
func leavesForm(resp *http.Response, e *entry) bool {
	if resp.StatusCode != http.StatusFound && resp.StatusCode != http.StatusSeeOther {
		return false
	}

	to, err := resp.Location()
	if err != nil {
		return false
	}

	o, err := originOf(to)
	return err == nil && o == e.Origin && to.Path != e.LoginPath
}

// refusal returns the error that a response to a login or logout means, or nil. It does not
// repeat the body, because a server may echo what was sent.
func refusal(resp *http.Response, now time.Time) error {
	var err error

	out := jeton.FromCode(resp.Header.Get(jeton.HeaderError))
	switch {
	// The header of a Jeton server is exact; the status of others has to be interpreted.
	case out != nil:
		err = out
	case resp.StatusCode < 400:
		return nil
	case resp.StatusCode == http.StatusUnauthorized, resp.StatusCode == http.StatusForbidden:
		err = jeton.ErrBadCredential
	case resp.StatusCode == http.StatusNotFound, resp.StatusCode == http.StatusMethodNotAllowed:
		err = jeton.WithDetail(jeton.ErrNotFound, "the server has no form at this path")
	case resp.StatusCode == http.StatusTooManyRequests:
		err = jeton.ErrTooMany
	case resp.StatusCode == http.StatusServiceUnavailable:
		err = jeton.ErrBusy
	default:
		return fmt.Errorf("got status %d", resp.StatusCode)
	}

	if wait, ok := retryAfter(resp, now); ok {
		return jeton.WithRetryAfter(err, wait)
	}

	return err
}

// retryAfter reads Retry-After (RFC 9110, section 10.2.3).
func retryAfter(resp *http.Response, now time.Time) (time.Duration, bool) {
	text := resp.Header.Get("Retry-After")
	// 31 bits of seconds cannot overflow a Duration.
	if n, err := strconv.ParseUint(text, 10, 31); err == nil {
		return time.Duration(n) * time.Second, true
	}
	if at, err := http.ParseTime(text); err == nil {
		return max(0, at.Sub(now)), true
	}

	return 0, false
}

package wallet

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/jeton-auth/jeton"
)

// DefaultClientID is the client that signs users in at an issuer, unless the login names another one. An issuer has to
// know it as a public client.
const DefaultClientID = "jeton-cli"

// SignIn describes how a user signs in at the issuer of the service's tokens, so that no password passes through the
// caller.
type SignIn struct {
	// ClientID is a public client at the issuer, whose redirect address is http://127.0.0.1/ with any port (RFC 8252,
	// section 7.3). By default it is that of the last login, else DefaultClientID.
	ClientID string
	// Open has a browser on this machine load an address. It need not wait for the browser; the login waits for it. It
	// is required without Device, and called in a goroutine of its own.
	Open func(ctx context.Context, address string) error
	// Device shows the user a code to type in, with a browser on any machine (RFC 8628), and returns at once. If it is
	// set, Open is not called.
	Device func(ctx context.Context, code DeviceCode) error
}

// DeviceCode is what a user needs to sign in with a browser on another machine.
type DeviceCode struct {
	URL      string // page of the issuer
	Code     string // that the user types in there
	Complete string // the page with the code filled in, or ""
}

// delegated is the tokens that a user gave to the wallet by signing in at their issuer.
type delegated struct {
	issued
	ClientID string `json:"client_id"`
	Refresh  string `json:"refresh_token,omitempty"`
}

// applySignIn copies the settings of a sign-in into an entry. Entries share what e.SignIn points to, so it is replaced
// and not changed.
func (in Login) applySignIn(e *entry) error {
	otherwise := in.Key != "" || in.Workload != nil || !in.Token.IsZero() || !in.Password.IsZero() || in.Save ||
		len(in.Command) > 0
	switch {
	case in.SignIn == nil && otherwise:
		e.SignIn = nil
		return nil
	case in.SignIn == nil && e.SignIn != nil:
		return jeton.WithDetail(
			jeton.ErrInvalid, fmt.Sprintf("%s signs in at %s with a browser", e.Name, e.SignIn.Issuer),
		)
	case in.SignIn == nil:
		return nil
	case otherwise:
		return jeton.WithDetail(jeton.ErrInvalid, "an identity signs in, or has a token, a key or a password")
	case in.SignIn.Open == nil && in.SignIn.Device == nil:
		return jeton.WithDetail(jeton.ErrInvalid, "a sign-in needs a way to show the user an address")
	}

	var s delegated
	if e.SignIn != nil {
		s = *e.SignIn
	}

	s.ClientID = cmp.Or(in.SignIn.ClientID, s.ClientID, DefaultClientID)
	if in.Scope != nil {
		s.Scope = slices.Clone(in.Scope)
	}

	e.SignIn = &s
	e.Key = nil
	e.Source = source{}
	e.Cookies = nil

	return nil
}

// check accepts from the wallet file only what a login would have written.
func (s *delegated) check() error {
	if _, err := issuerOrigin(s.Issuer); err != nil {
		return err
	}

	for _, endpoint := range []string{s.TokenURL, s.RevokeURL} {
		// Only the revocation endpoint is optional (RFC 8414, section 2).
		if endpoint == "" && endpoint == s.RevokeURL {
			continue
		}
		if _, err := endpointOrigin(endpoint); err != nil {
			return err
		}
	}

	for _, text := range []string{s.Token, s.Refresh} {
		if text != "" && !isToken(text) {
			return jeton.WithDetail(jeton.ErrInvalid, "a token has invalid characters")
		}
	}
	if s.ClientID == "" {
		return jeton.WithDetail(jeton.ErrInvalid, "a sign-in has no client")
	}

	return nil
}

// refresh replaces the token of e by means of its refresh token (RFC 6749, section 6). It goes on when the caller gives
// up: an issuer that has replaced the refresh token takes the old one for stolen, and ends the sign-in.
func (w *Wallet) refresh(ctx context.Context, e *entry) error {
	ctx = context.WithoutCancel(ctx) // postPublic bounds the time

	form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {e.SignIn.Refresh}}
	if e.SignIn.Audience != "" {
		form.Set("resource", e.SignIn.Audience)
	}

	if _, err := w.redeem(ctx, e, form); err != nil {
		return fmt.Errorf("refresh the token of %s at %s: %w", e.Name, e.SignIn.Issuer, err)
	}

	return nil
}

// redeem sends a token request of a sign-in and puts the tokens into e. It returns the ID token, or "".
func (w *Wallet) redeem(ctx context.Context, e *entry, form url.Values) (string, error) {
	// Before the request: a token then expires for the wallet earlier than for the issuer.
	at := w.now()
	text, err := w.postPublic(ctx, e, e.SignIn.TokenURL, form)
	if err != nil {
		return "", err
	}

	got, err := parseToken(text, at)
	if err != nil {
		return "", err
	}

	var more struct {
		Refresh string `json:"refresh_token"`
		ID      string `json:"id_token"`
	}
	if json.Unmarshal(text, &more) != nil || more.Refresh != "" && !isToken(more.Refresh) {
		return "", jeton.WithDetail(jeton.ErrInvalid, "the authorization server returned an invalid refresh token")
	}

	// A copy: other goroutines read what e.SignIn points to without a lock.
	s := *e.SignIn
	s.take(got)
	// An issuer that does not replace it sends none (RFC 6749, section 6).
	s.Refresh = cmp.Or(more.Refresh, s.Refresh)
	e.SignIn = &s
	e.renewed(got)

	return more.ID, nil
}

// postPublic posts a form to the authorization server as a public client (RFC 6749, section 3.2.1).
func (w *Wallet) postPublic(ctx context.Context, e *entry, address string, form url.Values) ([]byte, error) {
	form.Set("client_id", e.SignIn.ClientID)
	ctx, cancel := context.WithTimeout(ctx, loginWait)
	defer cancel()

	resp, err := w.read(ctx, e, http.MethodPost, address, form)
	if err != nil {
		return nil, err
	}

	return resp.text, issuerRefusal(resp.Response, resp.text, w.now())
}

// revokeSignIn revokes the tokens of e at the issuer (RFC 7009): with a refresh token, all that came of the sign-in. An
// issuer that revokes no tokens has nothing to do.
func (w *Wallet) revokeSignIn(ctx context.Context, e *entry) error {
	if e.SignIn.RevokeURL == "" {
		return nil
	}

	form := url.Values{"token": {e.SignIn.Token}, "token_type_hint": {"access_token"}}
	if e.SignIn.Refresh != "" {
		form = url.Values{"token": {e.SignIn.Refresh}, "token_type_hint": {"refresh_token"}}
	}
	_, err := w.postPublic(ctx, e, e.SignIn.RevokeURL, form)

	return err
}

// endpointOrigin returns the origin of an endpoint of an authorization server, which need not be that of the issuer.
func endpointOrigin(endpoint string) (Origin, error) {
	invalid := jeton.WithDetail(
		jeton.ErrInvalid, "invalid endpoint of the authorization server: want a URL without a fragment",
	)
	u, err := url.Parse(endpoint)
	if err != nil || len(endpoint) > 1024 || strings.Contains(endpoint, "#") {
		return "", invalid
	}

	return originOf(u)
}

package wallet

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/jeton-auth/jeton"
)

// byBrowser signs the user in with an authorization code that comes back to this machine (RFC 8252, section 7.3), with
// PKCE (RFC 7636), and calls keep with the ID token. The page of the browser says what has come of all that.
func (f *signInFlow) byBrowser(ctx context.Context, keep func(idToken string) error) error {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("wait for the browser: %w", err)
	}

	c := callback{
		state:    rand.Text(),
		host:     l.Addr().String(),
		provider: f.provider,
		codes:    make(chan code, 1),
		ended:    make(chan struct{}),
	}

	server := &http.Server{Handler: &c, ReadTimeout: 10 * time.Second, MaxHeaderBytes: 32 << 10}
	go func() { _ = server.Serve(l) }()
	// Shutdown, and not Close: the page of an answer that is being written reaches the browser.
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), keepWait)
		defer cancel()
		_ = server.Shutdown(ctx)
	}()

	verifier, nonce := rand.Text()+rand.Text(), rand.Text()
	redirect := "http://" + c.host + "/"

	// It may return only once its browser has the page, which waits for what follows here.
	opened, returned := make(chan error, 1), make(chan struct{})
	go func() {
		defer close(returned)
		opened <- f.in.Open(ctx, f.address(redirect, c.state, nonce, verifier))
	}()

	got, err := c.wait(ctx, opened)
	if err == nil {
		err = f.redeemCode(ctx, got, redirect, verifier, nonce, keep)
	}
	c.failed = err != nil
	close(c.ended)

	// The context of Open ends with this sign-in: not before its browser has read the page.
	select {
	case <-returned:
	case <-ctx.Done():
	}

	return err
}

// redeemCode redeems an authorization code (RFC 6749, section 4.1.3), and calls keep with the ID token.
func (f *signInFlow) redeemCode(
	ctx context.Context, code, redirect, verifier, nonce string, keep func(idToken string) error,
) error {
	form := url.Values{
		"grant_type":    {"authorization_code"},
		"code":          {code},
		"redirect_uri":  {redirect},
		"code_verifier": {verifier},
	}
	f.addResource(form)

	idToken, err := f.w.redeem(ctx, f.e, form)
	if err == nil {
		err = f.checkID(idToken, nonce)
	}
	if err != nil {
		return err
	}

	return keep(idToken)
}

// address returns the authorization request (RFC 6749, section 4.1.1).
func (f *signInFlow) address(redirect, state, nonce, verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	query := url.Values{
		"response_type":         {"code"},
		"client_id":             {f.e.SignIn.ClientID},
		"redirect_uri":          {redirect},
		"scope":                 {f.scope()},
		"state":                 {state},
		"nonce":                 {nonce},
		"code_challenge":        {base64.RawURLEncoding.EncodeToString(sum[:])},
		"code_challenge_method": {"S256"},
	}
	f.addResource(query)
	if f.user != "" {
		query.Set("login_hint", f.user)
	}

	return withQuery(f.provider.Authorize, query)
}

// withQuery adds parameters to an address, whose own query stays (RFC 6749, section 3.1).
func withQuery(address string, query url.Values) string {
	separator := "?"
	if strings.Contains(address, "?") {
		separator = "&"
	}

	return address + separator + query.Encode()
}

// callback is the page to which the issuer sends the browser back.
type callback struct {
	state    string
	host     string // of the listener
	provider provider
	codes    chan code // of one

	ended  chan struct{} // closed when the sign-in has ended
	failed bool          // how, once it has
}

// code is an authorization code, or why there is none.
type code struct {
	text string
	err  error
}

// wait returns the code of the answer. opened has what came of opening the browser.
func (c *callback) wait(ctx context.Context, opened <-chan error) (string, error) {
	for {
		select {
		case got := <-c.codes:
			return got.text, got.err
		case err := <-opened:
			if err != nil {
				return "", fmt.Errorf("open the browser: %w", err)
			}
			opened = nil
		case <-ctx.Done():
			return "", fmt.Errorf("wait for the browser: %w", ctx.Err())
		}
	}
}

// ServeHTTP takes the answer of the issuer to this sign-in. Any program or page can load this address: only what knows
// the state is an answer, and no other request ends the wait.
func (c *callback) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	h.Set("Content-Type", "text/html; charset=utf-8")

	query, err := url.ParseQuery(r.URL.RawQuery)
	known := subtle.ConstantTimeCompare([]byte(query.Get("state")), []byte(c.state)) == 1
	// The Host keeps out pages whose own name was pointed at this address.
	if err != nil || r.Method != http.MethodGet || r.URL.Path != "/" || r.Host != c.host || !known {
		w.WriteHeader(http.StatusNotFound)
		_, _ = io.WriteString(w, page("This is not the answer to a sign-in that is waiting."))
		return
	}

	select {
	case c.codes <- c.read(query):
	default: // the browser has loaded the page again
	}

	// The code may be refused yet.
	select {
	case <-c.ended:
	case <-r.Context().Done():
		return
	}

	text := "You are signed in. You may close this window."
	if c.failed {
		w.WriteHeader(http.StatusBadRequest)
		text = "You are not signed in. The terminal says why. You may close this window."
	}
	_, _ = io.WriteString(w, page(text))
}

// read returns the code of an answer, or the error that it is.
func (c *callback) read(query url.Values) code {
	iss := query.Get("iss")
	// RFC 9207, section 2.4: the answer of another issuer must not be taken for one of this.
	if iss != c.provider.Issuer && (iss != "" || c.provider.NamesItself) {
		return code{err: jeton.WithDetail(jeton.ErrInvalid, "the answer to the sign-in is not of "+c.provider.Issuer)}
	}

	name := query.Get("error")
	switch {
	case name == "invalid_target":
		return code{err: errTarget}
	case name != "" && errorCode(name):
		return code{err: jeton.WithDetail(jeton.ErrForbidden, "the issuer refused the sign-in: "+name)}
	case query.Get("code") == "":
		return code{err: errors.New("the answer to the sign-in has no code")}
	}

	return code{text: query.Get("code")}
}

// errTarget is a resource that the issuer refuses (RFC 8707, section 2).
var errTarget = jeton.WithDetail(
	jeton.ErrForbidden,
	"the issuer has no tokens for the service at this address: the client does not list it, or it has another "+
		"address; name its audience in the login (--audience)",
)

// errorCode reports whether text can be printed as an error code (RFC 6749, section 4.1.2.1), and is not prose.
func errorCode(text string) bool {
	return len(text) <= 64 && strings.Trim(text, "abcdefghijklmnopqrstuvwxyz_") == ""
}

// page returns a page without anything of the request.
func page(text string) string {
	return `<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">` +
		`<meta name="viewport" content="width=device-width"><title>Jeton</title></head>` +
		`<body><main><h1>Jeton</h1><p>` + text + "</p></main></body></html>\n"
}

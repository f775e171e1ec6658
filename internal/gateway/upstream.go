package gateway

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/account"
	"github.com/jeton-auth/jeton/internal/config"
	"github.com/jeton-auth/jeton/internal/gate"
	"github.com/jeton-auth/jeton/internal/jose"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/web"
)

// upstream forwards requests to the upstream of one route.
type upstream struct {
	conf     config.Upstream
	paths    web.Paths // how the upstream reads them
	url      *url.URL
	accounts *account.Accounts
	cookies  []string // names of those of all services
	pass     []string // canonical names of headers that are not removed
	proxy    *httputil.ReverseProxy
	log      *slog.Logger
}

// upstream returns the handler that forwards requests.
func (g *Gateway) upstream(c config.Upstream, dataDir string) (web.Handler, error) {
	target, err := url.Parse(c.URL)
	if err != nil {
		return nil, fmt.Errorf("upstream.url: %w", err)
	}

	to, err := transport(c, dataDir)
	if err != nil {
		return nil, err
	}

	u := &upstream{
		conf:     c,
		paths:    g.conf.Paths.Reading(),
		url:      target,
		accounts: g.accounts,
		cookies:  g.ours,
		log:      g.log,
	}
	for _, name := range c.PassHeaders {
		u.pass = append(u.pass, http.CanonicalHeaderKey(name))
	}

	u.proxy = &httputil.ReverseProxy{
		Transport: finalOnly{to},
		Rewrite:   u.rewrite,
		ModifyResponse: func(r *http.Response) error {
			cleanResponse(r.Header, u.cookies, c.ClearData)
			u.publish(r)
			return checkSwitch(r)
		},
		ErrorHandler: u.failed,
		ErrorLog:     slog.NewLogLogger(g.log.Handler(), slog.LevelDebug),
	}

	return u.serve, nil
}

// serve forwards a request and delivers the response.
func (u *upstream) serve(w *web.Reply, r *http.Request) error {
	if gate.From(w).Free() {
		// A HEAD that took no use gets nothing that a use pays for.
		w.WriteHeader(http.StatusOK)
		return nil
	}

	path, err := u.paths.Strip(web.RawPath(r.URL), u.conf.StripPrefix)
	if err != nil {
		return err
	}

	contact, err := contactOf(r.Context(), u.accounts, gate.From(w).Principal())
	if err != nil {
		return err
	}

	if !isWebSocket(r) {
		r.Header.Del("Upgrade")
	}

	// net/http would guess a type for a response without one, also where the upstream forbids it.
	w.Header()["Content-Type"] = nil

	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer w.UntilGone(gonePatience, cancel)()

	u.proxy.ServeHTTP(w, r.WithContext(context.WithValue(ctx, forwardedKey{}, &forwarded{w, ctx, path, contact})))

	return nil
}

// gonePatience bounds how long an upstream works for a client that sends no more and gets nothing: it may have gone.
const gonePatience = time.Minute

// forwarded is what the hooks of the proxy find of a request, under forwardedKey.
type forwarded struct {
	reply   *web.Reply
	ctx     context.Context // of the request as it arrived
	path    string          // for the upstream, encoded as it was sent
	contact account.Contact // of the caller
}

// forwardedKey is the key of what upstream.go passes on in the context of a request.
type forwardedKey struct{}

// replyKey is where the request to the upstream has the reply to the client.
type replyKey struct{}

// finalOnly keeps the informational responses (1xx) of an upstream from the client: the proxy
// forwards their headers as they are, and drops ours after each. It takes them from a trace in
// the context that it gives the request, so the transport gets the request's own context.
type finalOnly struct{ to http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (f finalOnly) RoundTrip(r *http.Request) (*http.Response, error) {
	if in, ok := r.Context().Value(forwardedKey{}).(*forwarded); ok {
		r = r.WithContext(context.WithValue(in.ctx, replyKey{}, in.reply))
	}
	return f.to.RoundTrip(r)
}

// rewrite makes the request that the upstream gets.
func (u *upstream) rewrite(pr *httputil.ProxyRequest) {
	dropHeaders(pr.Out.Header, u.pass)
	dropCookies(pr.Out.Header, u.cookies)
	pr.Out.Trailer = nil // it could have headers that are removed above

	// An upstream that refuses before it has asked for the body gets none, and the client keeps it. To use the
	// connection again, the transport would have to send the body (RFC 9110, section 10.1.1).
	if pr.Out.Header.Get("Expect") != "" {
		pr.Out.Close = true
	}

	if in, ok := pr.In.Context().Value(forwardedKey{}).(*forwarded); ok {
		u.address(pr, in.path)
		identify(pr.Out.Header, gate.From(in.reply).Principal(), in.contact)
		forward(pr.Out.Header, in.reply)
	}
}

// address sets the URL of the request that the upstream gets. Path and query are the bytes that
// were judged: net/http would encode some characters again, and httputil removes parameters
// that it cannot parse.
func (u *upstream) address(pr *httputil.ProxyRequest, path string) {
	out := pr.Out.URL
	out.Scheme = u.url.Scheme
	out.Host = u.url.Host

	// Opaque is sent as it is. It never begins with two slashes, which would make it a host:
	// neither the path of a request nor that of a configured URL may.
	out.Opaque = strings.TrimSuffix(web.RawPath(u.url), "/") + path
	out.RawQuery = pr.In.URL.RawQuery
	out.ForceQuery = pr.In.URL.ForceQuery

	if !u.conf.PassHost {
		pr.Out.Host = "" // the host of the URL
	}
}

// contactOf returns how a caller is addressed: only users are.
func contactOf(ctx context.Context, accounts *account.Accounts, who jeton.Principal) (account.Contact, error) {
	if who.Kind != jeton.KindUser {
		return account.Contact{}, nil
	}
	return accounts.Contact(ctx, who.Name)
}

// identify sets the headers with the identity of the caller, and removes those that are not known.
func identify(h http.Header, who jeton.Principal, contact account.Contact) {
	h.Set(headerUser, who.Name)
	h.Set(headerGroups, strings.Join(who.Groups, ","))

	for name, value := range map[string]string{headerName: contact.Name, headerEmail: contact.Email} {
		if value == "" {
			h.Del(name)
		} else {
			h.Set(name, value)
		}
	}
}

// forward sets the headers with the client's address and the address that it sent the request to.
func forward(h http.Header, w *web.Reply) {
	h.Set(jeton.HeaderRequestID, w.ID)
	h.Set("X-Forwarded-Proto", w.Origin.Scheme)
	h.Set("X-Forwarded-Host", w.Origin.Host)
	h.Set("X-Forwarded-Port", w.Origin.Port)
	if w.Origin.Prefix != "" {
		h.Set("X-Forwarded-Prefix", w.Origin.Prefix)
	}

	if w.Source.IsValid() && w.Source != policy.UnknownSource {
		h.Set("X-Forwarded-For", w.Source.String())
	} else {
		h.Del("X-Forwarded-For")
	}
}

// failed answers when the upstream did not. A use that was taken stays taken: whether the
// upstream acted is unknown.
func (u *upstream) failed(w http.ResponseWriter, r *http.Request, err error) {
	reply, ok := w.(*web.Reply)
	if !ok {
		w.WriteHeader(http.StatusBadGateway)
		return
	}

	if errors.Is(err, context.Canceled) && r.Context().Err() != nil {
		// The client has gone. Without this, net/http would write an empty 200.
		panic(http.ErrAbortHandler)
	}

	if reply.BodyFailed() {
		web.Fail(reply, r, jeton.WithDetail(jeton.ErrInvalid, "the body is malformed, incomplete or too slow"))
		return
	}

	err = fmt.Errorf("%w: %w", jeton.ErrUpstream, err)
	web.Log(reply, u.log, r, err)
	web.Fail(reply, r, err)
}

// continuePatience bounds the wait for an upstream's 100 (Continue) before the body is read and sent. Many servers
// send none (RFC 9110, section 10.1.1).
const continuePatience = 2 * time.Second

// transport returns the connections to one upstream. Compression is left to the client and the
// upstream: what passes is unchanged.
func transport(c config.Upstream, dataDir string) (http.RoundTripper, error) {
	// A dialer of its own switches HTTP/2 off in net/http, unless it is forced. Without
	// MaxIdleConnsPerHost two idle connections are kept, and a busy service would open one
	// for most requests.
	t := &http.Transport{
		DialContext:            (&net.Dialer{Timeout: 5 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		TLSHandshakeTimeout:    5 * time.Second,
		ResponseHeaderTimeout:  c.Timeout.Std(),
		ExpectContinueTimeout:  continuePatience,
		IdleConnTimeout:        90 * time.Second,
		MaxIdleConnsPerHost:    64,
		MaxResponseHeaderBytes: 64 << 10,
		DisableCompression:     true,
		ForceAttemptHTTP2:      true,
	}

	if c.CA == "" {
		return t, nil
	}

	path := c.CA
	if !filepath.IsAbs(path) {
		path = filepath.Join(dataDir, path)
	}

	pem, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("upstream.ca: %w", err)
	}

	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(jose.TrimBOM(pem)) {
		return nil, fmt.Errorf("upstream.ca: %s has no PEM certificate", path)
	}

	t.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}

	return t, nil
}

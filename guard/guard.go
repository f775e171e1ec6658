package guard

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/jose"
)

// Limits of a configuration.
const (
	defaultBound = 10 * time.Second
	minBound     = time.Second
	maxBound     = time.Hour
	maxLeeway    = 5 * time.Second
)

// Config configures a Guard.
type Config struct {
	// Issuer is the identifier of the authorization server, as in its configuration and in
	// the claim iss: https://, host and port, without a path. It is compared byte by byte.
	Issuer string
	// Audience must be in the claim aud of a token. By default, the server writes the name of
	// the service there.
	Audience string
	// Resource is the URL of the service, without / at the end. If set, challenges name the
	// address of its metadata (see [Guard.ResourceMetadata]), with which clients find the issuer
	// by themselves (RFC 9728).
	Resource string
	// Bound is how long a token may still be accepted after its revocation was answered:
	// 1s to 1h. 0 is 10s. The guard fetches the revocations three times within it.
	Bound time.Duration
	// Leeway is how much the clock may differ from the issuer's, at most 5s. 0 is none.
	Leeway time.Duration
	// Introspect authenticates this service at the issuer. Counted and opaque tokens are
	// accepted only with it. The client must be allowed to introspect for the service.
	Introspect *Credentials
	// CACert is one or more CA certificates in PEM form. Only they are trusted for the
	// issuer. If empty, those of the system are.
	CACert []byte
	// Client sends the requests to the issuer. Nil is a client with timeouts and without a
	// proxy. Its Jar is not used, and redirects are not followed. It excludes CACert.
	Client *http.Client
	// PlainHTTP permits an issuer at http://. An attacker on the network can then send other
	// keys and so forge tokens.
	PlainHTTP bool
	// Now returns the time. Nil is time.Now.
	Now func() time.Time
	// Log gets refusals (level info) and errors of the issuer (warn), never a token. Nil logs
	// nothing.
	Log *slog.Logger
}

// Credentials are the name and the secret of a client (RFC 6749, section 2.3.1).
type Credentials struct {
	ClientID string
	Secret   jeton.Secret
}

// Guard checks tokens. It is safe for concurrent use. It accepts no token until [Guard.Run] has
// fetched the keys and the revocations.
type Guard struct {
	conf      Config
	ownClient bool          // the client was made by New
	pace      time.Duration // between two requests for the same document: a third of the bound
	running   atomic.Bool
	keys      keyring
	revoked   revocationSet
	verified  verifiedCache
	lookups   chan struct{} // holds a value for each running introspection
	metadata  string        // address of that of the resource, or ""
}

// New returns a guard, or jeton.ErrInvalid for an invalid configuration. It sends no request and
// starts nothing: Run does.
func New(c Config) (*Guard, error) {
	if err := c.check(); err != nil {
		return nil, fmt.Errorf("guard: %w", err)
	}

	g := &Guard{conf: c, ownClient: c.Client == nil, lookups: make(chan struct{}, maxLookups)}
	if g.conf.Bound == 0 {
		g.conf.Bound = defaultBound
	}

	// So that one failed request does not make the copy of the revocations too old.
	g.pace = g.conf.Bound / 3
	if g.conf.Now == nil {
		g.conf.Now = time.Now
	}
	if g.conf.Log == nil {
		g.conf.Log = slog.New(slog.DiscardHandler)
	}

	client, err := g.conf.client(g.pace)
	if err != nil {
		return nil, fmt.Errorf("guard: %w", err)
	}

	g.metadata, err = resourceAddress(g.conf.Resource)
	if err != nil {
		return nil, fmt.Errorf("guard: %w", err)
	}

	g.conf.Client = client

	return g, nil
}

// check returns jeton.ErrInvalid with the name of the field. The issuer must be an origin
// without a path, as the server accepts no other.
func (c *Config) check() error {
	u, err := url.Parse(c.Issuer)
	switch {
	case err != nil || u.Host == "" || u.Scheme+"://"+u.Host != c.Issuer:
		return jeton.WithDetail(jeton.ErrInvalid, "invalid Issuer: want https:// and a host, without a path")
	case u.Scheme != "https" && (u.Scheme != "http" || !c.PlainHTTP):
		return jeton.WithDetail(jeton.ErrInvalid, "Issuer is not https://; set PlainHTTP to permit http://")
	case c.Audience == "":
		return jeton.WithDetail(jeton.ErrInvalid, "Audience is missing")
	case c.Bound != 0 && (c.Bound < minBound || c.Bound > maxBound):
		return jeton.WithDetail(jeton.ErrInvalid, fmt.Sprintf("invalid Bound: want %v to %v", minBound, maxBound))
	case c.Leeway < 0 || c.Leeway > maxLeeway:
		return jeton.WithDetail(jeton.ErrInvalid, fmt.Sprintf("invalid Leeway: want 0 to %v", maxLeeway))
	case c.Introspect != nil && (c.Introspect.ClientID == "" || c.Introspect.Secret.IsZero()):
		return jeton.WithDetail(jeton.ErrInvalid, "Introspect.ClientID or Introspect.Secret is missing")
	case c.Client != nil && len(c.CACert) > 0:
		return jeton.WithDetail(jeton.ErrInvalid, "CACert and Client are both set; set one")
	}

	return nil
}

// client returns the client for requests to the issuer.
func (c *Config) client(pace time.Duration) (*http.Client, error) {
	// Tokens and the client's secret must not follow a redirect to another server.
	noRedirect := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	if c.Client != nil {
		// A copy: the client belongs to the caller.
		client := *c.Client
		client.CheckRedirect = noRedirect
		client.Jar = nil

		return &client, nil
	}

	var roots *x509.CertPool
	if len(c.CACert) > 0 {
		roots = x509.NewCertPool()
		if !roots.AppendCertsFromPEM(jose.TrimBOM(c.CACert)) {
			return nil, jeton.WithDetail(jeton.ErrInvalid, "CACert has no certificate in PEM form")
		}
	}

	dialer := net.Dialer{Timeout: requestTimeout}
	return &http.Client{CheckRedirect: noRedirect, Transport: &http.Transport{
		DialContext:            dialer.DialContext,
		TLSClientConfig:        &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12, Time: c.Now},
		TLSHandshakeTimeout:    requestTimeout,
		ResponseHeaderTimeout:  requestTimeout,
		MaxResponseHeaderBytes: maxBody,
		MaxIdleConnsPerHost:    maxLookups,
		IdleConnTimeout:        time.Minute,
		DisableCompression:     true, // so that maxBody limits what is sent
		ForceAttemptHTTP2:      true,
		// Pings detect a dead connection, which would otherwise swallow every request.
		HTTP2: &http.HTTP2Config{SendPingTimeout: pace, PingTimeout: min(pace, requestTimeout)},
	}}, nil
}

// Run keeps the keys and the revocations up to date until ctx ends. Then it returns nil. It
// returns an error if it is already running.
func (g *Guard) Run(ctx context.Context) error {
	if !g.running.CompareAndSwap(false, true) {
		return errors.New("guard: Run is already running")
	}
	defer g.running.Store(false)

	if g.ownClient {
		defer g.conf.Client.CloseIdleConnections()
	}

	var wg sync.WaitGroup

	discovered := make(chan struct{}) // closed when the address of the list is known

	// Two goroutines, so that a slow response with keys does not delay revocations.
	wg.Go(func() {
		var once sync.Once
		g.repeat(ctx, func() {
			if g.refreshKeys(ctx) == nil {
				once.Do(func() { close(discovered) })
			}
		})
	})

	wg.Go(func() {
		select {
		case <-ctx.Done():
		case <-discovered:
			g.repeat(ctx, func() { _ = g.updateRevocations(ctx) }) // it logs its error, and Ready returns it
		}
	})

	wg.Wait()

	return nil
}

// repeat calls do now, and again at the guard's pace.
func (g *Guard) repeat(ctx context.Context, do func()) {
	tick := time.NewTicker(g.pace)
	defer tick.Stop()

	// A ticker drops what it misses: after a slow request there is one catch-up, not many.
	for ctx.Err() == nil {
		do()
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
}

// Ready returns nil while the guard can check tokens. Otherwise it returns jeton.ErrUnavailable,
// with a reason for the operator: the issuer has not answered yet, or not within the bound.
func (g *Guard) Ready() error {
	now := g.conf.Now()
	// An issuer that has no key may still issue opaque tokens, which need introspection alone.
	if err := g.keys.ready(now); err != nil && !(errors.Is(err, errNoKeys) && g.conf.Introspect != nil) {
		return g.unavailable(err)
	}
	if err := g.revoked.ready(now, g.conf.Bound); err != nil {
		return g.unavailable(err)
	}

	return nil
}

// unavailable returns jeton.ErrUnavailable with a reason: the guard cannot decide about a token.
func (g *Guard) unavailable(reason error) error {
	return jeton.WithRetryAfter(fmt.Errorf("%w: %w", jeton.ErrUnavailable, reason), g.pace)
}

// age returns how long ago a time was, by the clock that shows more. The monotonic clock stops
// while a machine sleeps, and the wall clock can be set back.
func age(now, then time.Time) time.Duration {
	return max(now.Sub(then), now.Round(0).Sub(then.Round(0)))
}

// logTransition logs when requests to the issuer begin to fail and when they succeed again, and
// not each failure.
func (g *Guard) logTransition(what string, before, now error) {
	switch {
	case before == nil && now != nil:
		g.conf.Log.Warn("cannot fetch "+what, "issuer", g.conf.Issuer, "error", now)
	case before != nil && now == nil:
		g.conf.Log.Info("fetching "+what+" works again", "issuer", g.conf.Issuer)
	}
}

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
)

// Bounds of a configuration.
const (
	defaultBound = 10 * time.Second
	minBound     = time.Second
	maxBound     = time.Hour
	maxLeeway    = 5 * time.Second
)

// Config says whose tokens are accepted, and for what.
type Config struct {
	// Issuer is the identifier of the authorization server, as in its configuration and in
	// the claim iss: https://, host and port, nothing behind. It is compared byte by byte.
	Issuer string
	// Audience is what a token must say that it is for (aud): by default the server
	// writes the name of the service there.
	Audience string
	// Bound is how long after its revocation was answered a token may still be accepted:
	// 1s to 1h. 0 is 10s. The issuer is asked three times within it.
	Bound time.Duration
	// Leeway is how far the clock may be off that of the issuer, at most 5s. 0 is none.
	Leeway time.Duration
	// Introspect proves this service to the issuer. Counted and opaque tokens are taken
	// only with it. The client needs the service in its list of those it introspects for.
	Introspect *Credentials
	// CACert is one or more CA certificates in PEM form. They alone are trusted for the
	// issuer. Empty trusts those of the system.
	CACert []byte
	// Client asks the issuer. Nil makes one with timeouts that uses no proxy. Its Jar is not
	// used and redirects are not followed. It goes without CACert.
	Client *http.Client
	// PlainHTTP permits an issuer at http://. Whoever is on the way can then hand out other
	// keys, and let in whom they like.
	PlainHTTP bool
	// Now tells the time. Nil is time.Now.
	Now func() time.Time
	// Log hears of refusals (level info) and of trouble with the issuer (warn). No token
	// is ever in it. Nil logs nothing.
	Log *slog.Logger
}

// Credentials are the name and the secret of a client (RFC 6749, section 2.3.1).
type Credentials struct {
	ClientID string
	Secret   jeton.Secret
}

// Guard checks tokens. It is safe for concurrent use. Until [Guard.Run] has heard from the
// issuer, it lets nobody in.
type Guard struct {
	conf    Config
	own     bool // the client was made here
	pace    time.Duration
	running atomic.Bool
	keys    keyring
	feed    feed
	proofs  proofs
	asking  chan struct{} // introspections under way
}

// New returns a guard for a configuration, or jeton.ErrInvalid for one that cannot be
// right. It asks nobody and starts nothing: that is for Run.
func New(c Config) (*Guard, error) {
	if err := c.check(); err != nil {
		return nil, fmt.Errorf("guard: %w", err)
	}

	g := &Guard{conf: c, own: c.Client == nil, asking: make(chan struct{}, maxAsking)}
	if g.conf.Bound == 0 {
		g.conf.Bound = defaultBound
	}

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

	g.conf.Client = client

	return g, nil
}

func (c *Config) check() error {
	u, err := url.Parse(c.Issuer)
	switch {
	case err != nil || u.Host == "" || u.Path != "" || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" ||
		u.User != nil ||
		u.Scheme+"://"+u.Host != c.Issuer:
		return jeton.WithDetail(jeton.ErrInvalid, "Issuer is https:// and a host, with nothing behind")
	case u.Scheme != "https" && (u.Scheme != "http" || !c.PlainHTTP):
		return jeton.WithDetail(jeton.ErrInvalid, "Issuer is not https://; PlainHTTP permits http://")
	case c.Audience == "":
		return jeton.WithDetail(jeton.ErrInvalid, "Audience is missing: whom the tokens are for")
	case c.Bound != 0 && (c.Bound < minBound || c.Bound > maxBound):
		return jeton.WithDetail(jeton.ErrInvalid, fmt.Sprintf("Bound is %v to %v", minBound, maxBound))
	case c.Leeway < 0 || c.Leeway > maxLeeway:
		return jeton.WithDetail(jeton.ErrInvalid, fmt.Sprintf("Leeway is 0 to %v", maxLeeway))
	case c.Introspect != nil && (c.Introspect.ClientID == "" || c.Introspect.Secret.IsZero()):
		return jeton.WithDetail(jeton.ErrInvalid, "Introspect lacks the name or the secret of the client")
	case c.Client != nil && len(c.CACert) > 0:
		return jeton.WithDetail(jeton.ErrInvalid, "CACert goes without Client: trust the certificates in its transport")
	}

	return nil
}

// client returns who asks the issuer.
func (c *Config) client(pace time.Duration) (*http.Client, error) {
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	if c.Client != nil {
		given := *c.Client
		given.CheckRedirect, given.Jar = stay, nil
		return &given, nil
	}

	var roots *x509.CertPool
	if len(c.CACert) > 0 {
		roots = x509.NewCertPool()
		if !roots.AppendCertsFromPEM(c.CACert) {
			return nil, jeton.WithDetail(jeton.ErrInvalid, "CACert has no certificate in PEM form")
		}
	}

	dialer := net.Dialer{Timeout: patience}
	return &http.Client{CheckRedirect: stay, Transport: &http.Transport{
		DialContext:            dialer.DialContext,
		TLSClientConfig:        &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12, Time: c.Now},
		TLSHandshakeTimeout:    patience,
		ResponseHeaderTimeout:  patience,
		MaxResponseHeaderBytes: maxAnswer,
		MaxIdleConnsPerHost:    maxAsking,
		IdleConnTimeout:        time.Minute,
		DisableCompression:     true, // what is bounded is then what is sent
		ForceAttemptHTTP2:      true,
		// A connection that has silently died would otherwise swallow every question.
		HTTP2: &http.HTTP2Config{SendPingTimeout: pace, PingTimeout: min(pace, patience)},
	}}, nil
}

// Run asks the issuer for its keys and for what is void, until ctx ends. Then it returns nil.
// It is an error to call it while it runs.
func (g *Guard) Run(ctx context.Context) error {
	if !g.running.CompareAndSwap(false, true) {
		return errors.New("guard: it is running already")
	}
	defer g.running.Store(false)

	if g.own {
		defer g.conf.Client.CloseIdleConnections()
	}

	var wg sync.WaitGroup

	published := make(chan struct{}) // the issuer has said where its list is
	// The two do not wait for each other: keys that are slow to come must not make the guard
	// deaf to revocations.
	wg.Go(func() {
		var once sync.Once
		g.every(ctx, func() {
			if g.keepKeys(ctx) == nil {
				once.Do(func() { close(published) })
			}
		})
	})

	wg.Go(func() {
		select {
		case <-ctx.Done():
		case <-published:
			g.every(ctx, func() { _ = g.listen(ctx) }) // it is logged, and Ready tells it
		}
	})

	wg.Wait()

	return nil
}

// every does something now, and again at the guard's pace.
func (g *Guard) every(ctx context.Context, do func()) {
	tick := time.NewTicker(g.pace)
	defer tick.Stop()

	for ctx.Err() == nil {
		do()
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
}

// Ready returns nil while tokens can be judged, and otherwise jeton.ErrUnavailable with the
// reason, for the operator's eyes: nothing, or too long nothing, was heard from the issuer.
func (g *Guard) Ready() error {
	now := g.conf.Now()
	if err := g.keys.ready(now); err != nil && !(errors.Is(err, errNoKeys) && g.conf.Introspect != nil) {
		return g.unavailable(err)
	}
	if err := g.feed.ready(now, g.conf.Bound); err != nil {
		return g.unavailable(err)
	}

	return nil
}

// unavailable is the outcome where nothing can be said about a token.
func (g *Guard) unavailable(why error) error {
	return jeton.WithRetryAfter(fmt.Errorf("%w: %w", jeton.ErrUnavailable, why), g.pace)
}

// age returns how long ago a time was. A machine that sleeps stops the monotonic clock, and
// a clock that is set back stops the other one.
func age(now, then time.Time) time.Duration {
	return max(now.Sub(then), now.Round(0).Sub(then.Round(0)))
}

// trouble tells the operator when talking to the issuer begins to fail, and when it works
// again: not each time.
func (g *Guard) trouble(what string, before, now error) {
	switch {
	case before == nil && now != nil:
		g.conf.Log.Warn("the issuer does not give "+what, "issuer", g.conf.Issuer, "error", now)
	case before != nil && now == nil:
		g.conf.Log.Info("the issuer gives "+what+" again", "issuer", g.conf.Issuer)
	}
}

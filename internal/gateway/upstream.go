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
	"github.com/jeton-auth/jeton/internal/config"
	"github.com/jeton-auth/jeton/internal/gate"
	"github.com/jeton-auth/jeton/internal/web"
)

// upstream builds the handler that hands requests on.
func (g *Gateway) upstream(c config.Upstream, dataDir string) (web.Handler, error) {
	target, err := url.Parse(c.URL)
	if err != nil {
		return nil, fmt.Errorf("upstream.url: %w", err)
	}

	to, err := transport(c, dataDir)
	if err != nil {
		return nil, err
	}

	ours := g.cookieNames()
	proxy := &httputil.ReverseProxy{
		Transport: finalOnly{to},
		Rewrite:   func(pr *httputil.ProxyRequest) { g.rewrite(pr, c, target, ours) },
		ModifyResponse: func(r *http.Response) error {
			clean(r, ours)
			return nil
		},
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) { g.failed(w, r, err) },
		ErrorLog:     slog.NewLogLogger(g.log.Handler(), slog.LevelDebug),
	}

	return func(w *web.Reply, r *http.Request) error {
		if gate.From(w).Free() {
			// A HEAD that took no use gets nothing that a use pays for.
			w.WriteHeader(http.StatusOK)
			return nil
		}

		proxy.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), replyKey{}, &asked{w, r.Context()})))
		return nil
	}, nil
}

// asked is what the proxy's hooks find of a request under replyKey.
type asked struct {
	reply *web.Reply
	ctx   context.Context
}

type replyKey struct{}

// finalOnly keeps early answers (1xx) of an upstream from the client: they carry headers
// that nobody has cleaned, and the proxy forgets ours after each. It listens for them
// by the context that it gives the request; the one of before does not.
type finalOnly struct{ to http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (f finalOnly) RoundTrip(r *http.Request) (*http.Response, error) {
	if a, ok := r.Context().Value(replyKey{}).(*asked); ok {
		r = r.WithContext(a.ctx)
	}
	return f.to.RoundTrip(r)
}

func (g *Gateway) rewrite(pr *httputil.ProxyRequest, c config.Upstream, target *url.URL, ours []string) {
	if c.StripPrefix != "" {
		pr.Out.URL.Path = strip(pr.Out.URL.Path, c.StripPrefix)
		pr.Out.URL.RawPath = ""
	}

	pr.SetURL(target)
	if c.PassHost {
		pr.Out.Host = pr.In.Host
	}

	for name := range pr.Out.Header {
		if hides(name) {
			delete(pr.Out.Header, name)
		}
	}

	dropCookies(pr.Out.Header, ours)
	pr.SetXForwarded()
	pr.Out.Trailer = nil // it could name what the head may not
	a, ok := pr.In.Context().Value(replyKey{}).(*asked)
	if !ok {
		return
	}

	w := a.reply
	who := gate.From(w).Principal()
	h := pr.Out.Header
	h.Set(headerUser, who.Name)
	h.Set(headerName, who.Name)

	h.Set(headerGroups, strings.Join(who.Groups, ","))
	h.Set(headerEmail, "")
	h.Set(jeton.HeaderRequestID, w.ID)

	if w.Source.IsValid() {
		h.Set("X-Forwarded-For", w.Source.String())
	} else {
		h.Del("X-Forwarded-For")
	}
}

// strip takes a prefix of whole segments off a path: /app off /app/x, and not off /apple.
func strip(path, prefix string) string {
	rest, ok := strings.CutPrefix(path, strings.TrimSuffix(prefix, "/"))
	switch {
	case !ok || rest != "" && rest[0] != '/':
		return path
	case rest == "":
		return "/"
	}

	return rest
}

// failed answers when an upstream did not. A use that was taken stays taken: whether the
// upstream acted is not known.
func (g *Gateway) failed(w http.ResponseWriter, r *http.Request, err error) {
	reply, ok := w.(*web.Reply)
	if !ok {
		w.WriteHeader(http.StatusBadGateway)
		return
	}

	if errors.Is(err, context.Canceled) && r.Context().Err() != nil {
		return // the client has gone
	}

	err = fmt.Errorf("%w: %w", jeton.ErrUpstream, err)
	web.Log(reply, g.log, r, err)
	web.Fail(reply, r, err)
}

func transport(c config.Upstream, dataDir string) (http.RoundTripper, error) {
	t := &http.Transport{
		DialContext:            (&net.Dialer{Timeout: 5 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		TLSHandshakeTimeout:    5 * time.Second,
		ResponseHeaderTimeout:  c.Timeout.Std(),
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
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("upstream.ca: %s holds no PEM certificate", path)
	}

	t.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}

	return t, nil
}

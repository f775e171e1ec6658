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
	"slices"
	"strings"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/config"
	"github.com/jeton-auth/jeton/internal/gate"
	"github.com/jeton-auth/jeton/internal/web"
)

// The headers by which an upstream hears who asks. All of them are always set, so
// that none can come from the client: empty where there is nothing to say.
const (
	headerUser   = "Remote-User"
	headerGroups = "Remote-Groups" // separated by commas
	headerName   = "Remote-Name"
	headerEmail  = "Remote-Email"
)

// identity are the headers, in lower case with dashes, that upstreams of this and other
// gateways read an identity, an original address or the name of a request from. None of
// them passes.
var identity = []string{
	"remote-user", "remote-groups", "remote-name", "remote-email", "remote-sub",
	"x-remote-user", "x-remote-groups", "x-remote-name", "x-remote-email", "x-remote-group",
	"x-forwarded-user", "x-forwarded-groups", "x-forwarded-email", "x-forwarded-preferred-username", "x-forwarded-access-token",
	"x-webauth-user", "x-webauth-groups", "x-webauth-email", "x-webauth-name",
	"x-authenticated-user", "x-authenticated-userid", "x-user", "x-username", "x-real-ip", "x-client-ip", "client-ip", "true-client-ip", "cf-connecting-ip", "fastly-client-ip", "x-cluster-client-ip",
	"x-original-url", "x-original-uri", "x-original-method", "x-rewrite-url", "x-http-method-override", "x-http-method", "x-method-override",
	"forwarded", "authorization", "proxy-authorization", "x-request-id",
}

var identityPrefixes = []string{
	"x-auth-request-",
	"x-authentik-",
	"x-authelia-",
	"x-pomerium-",
	"x-jeton-",
	"jeton-",
	"x-forwarded-",
	"x-remote-extra-",
	"x-ssl-",
	"ssl-client-",
}

// hides reports whether a client's header must not reach an upstream. Whatever is neither
// letter nor digit counts as a dash: many servers make one of the other.
func hides(name string) bool {
	name = strings.Map(func(r rune) rune {
		if 'a' <= r && r <= 'z' || '0' <= r && r <= '9' {
			return r
		}
		return '-'
	}, strings.ToLower(name))
	if slices.Contains(identity, name) {
		return true
	}

	return slices.ContainsFunc(identityPrefixes, func(p string) bool { return strings.HasPrefix(name, p) })
}

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

// dropCookies takes our cookies out of a request and leaves the others as they were.
func dropCookies(h http.Header, ours []string) {
	var kept []string
	for _, line := range h["Cookie"] {
		for pair := range strings.SplitSeq(line, ";") {
			pair = strings.Trim(pair, " \t")
			name, _, _ := strings.Cut(pair, "=")
			if pair != "" && !slices.Contains(ours, strings.TrimSpace(name)) {
				kept = append(kept, pair)
			}
		}
	}

	if len(kept) == 0 {
		h.Del("Cookie")
		return
	}

	h["Cookie"] = []string{strings.Join(kept, "; ")}
}

// clean takes out of an upstream's answer what only we may say.
func clean(r *http.Response, ours []string) {
	for name := range r.Header {
		n := strings.ToLower(name)
		if strings.HasPrefix(n, "jeton-") || n == "x-request-id" {
			delete(r.Header, name)
		}
	}

	set := r.Header["Set-Cookie"]
	kept := slices.DeleteFunc(slices.Clone(set), func(line string) bool {
		// A cookie without a name comes back as its value alone, and that may look like
		// one of ours: "=name=value" is sent as "name=value".
		name, _, _ := strings.Cut(strings.TrimLeft(line, "= \t"), "=")
		return slices.Contains(ours, strings.TrimSpace(name))
	})
	if len(kept) == 0 {
		r.Header.Del("Set-Cookie")
	} else {
		r.Header["Set-Cookie"] = kept
	}
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

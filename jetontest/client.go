package jetontest

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/jeton-auth/jeton/internal/server"
)

// ClientOption is an option of Client.
type ClientOption func(*clientSettings)

type clientSettings struct{ jar, http1 bool }

// Jar makes a client keep cookies, as a browser does.
func Jar() ClientOption { return func(c *clientSettings) { c.jar = true } }

// HTTP1 makes a client speak HTTP/1.1. The others speak HTTP/2 where there is TLS.
func HTTP1() ClientOption { return func(c *clientSettings) { c.http1 = true } }

// Client returns a client that trusts the certificates of the server and nothing else,
// finds its services whatever their host names, and follows no redirect.
func (s *Server) Client(options ...ClientOption) *http.Client {
	s.t.Helper()
	var set clientSettings
	for _, o := range options {
		o(&set)
	}

	t := &http.Transport{
		TLSClientConfig:   s.TLS(),
		ForceAttemptHTTP2: !set.http1,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			var d net.Dialer
			// Host names of services need not resolve: the connection goes to where the server listens.
			return d.DialContext(ctx, network, s.bound(address))
		},
	}

	c := &http.Client{
		Transport: t, Timeout: patience,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	if set.jar {
		c.Jar, _ = cookiejar.New(nil) // it has no way to fail
	}

	s.t.Cleanup(t.CloseIdleConnections)

	return c
}

// TLS returns what a client needs to trust the server.
func (s *Server) TLS() *tls.Config {
	s.t.Helper()
	pool := x509.NewCertPool()
	for _, a := range s.addresses() {
		if a.Cert == "" {
			continue
		}

		pem, err := os.ReadFile(a.Cert)
		if err != nil {
			s.t.Fatal(err)
		}

		pool.AppendCertsFromPEM(pem)
	}

	// By the server's clock, which signed the certificate: with Clock, ours may be years away.
	return &tls.Config{RootCAs: pool, Time: s.now}
}

// addresses returns where the services and the authorization server listen.
func (s *Server) addresses() []server.Address {
	return append(slices.Clone(s.started.Services), s.started.Issuer)
}

// bound returns the address behind the host and port of a service or of the authorization server, and
// any other address as it is.
func (s *Server) bound(address string) string {
	for _, a := range s.addresses() {
		if u, err := url.Parse(a.URL); err == nil && strings.EqualFold(u.Host, address) {
			return a.Listen
		}
	}

	return address
}

// Login logs in at a service whose login path is /login and whose fields have their
// default names, and fails the test if that does not work. The client needs a Jar to
// stay logged in; the cookies are in the response, too.
func (s *Server) Login(c *http.Client, service, name, password string) *http.Response {
	s.t.Helper()
	resp, err := c.PostForm(s.URL(service)+"/login", url.Values{"username": {name}, "password": {password}})
	if err != nil {
		s.t.Fatal(err)
	}

	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		s.t.Fatalf("log in as %s at %s: %s, Jeton-Error %q", name, service, resp.Status, resp.Header.Get("Jeton-Error"))
	}

	return resp
}

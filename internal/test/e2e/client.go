package e2e

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"testing"
)

// Client sends requests to a service over TLS, trusting its certificate alone. It keeps no
// cookies. It is safe for concurrent use.
type Client struct {
	url  string
	http *http.Client
}

// Client returns a client of the server's first service.
func (s *Server) Client(tb testing.TB) *Client {
	tb.Helper()
	pem, err := os.ReadFile(s.Cert)
	if err != nil {
		tb.Fatal(err)
	}

	trust := x509.NewCertPool()
	if !trust.AppendCertsFromPEM(pem) {
		tb.Fatalf("%s has no certificate, want one", s.Cert)
	}

	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: trust}, MaxIdleConnsPerHost: 128}
	tb.Cleanup(transport.CloseIdleConnections)
	refuse := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

	return &Client{s.URL, &http.Client{Transport: transport, Timeout: Patience, CheckRedirect: refuse}}
}

// Answer is the response of a service.
type Answer struct {
	Status int
	Header http.Header
	Body   string
}

// String formats an answer for a failure message.
func (a Answer) String() string {
	return fmt.Sprintf("%d %s %q", a.Status, a.Header.Get("Jeton-Error"), a.Body)
}

// Left returns how many uses the answer says are left, or -1.
func (a Answer) Left() int {
	n, err := strconv.Atoi(a.Header.Get("Jeton-Uses-Remaining"))
	if err != nil {
		return -1
	}
	return n
}

// Do requests a path with cookies ("" for none). An error means that no response came:
// whether the request had an effect is unknown.
func (c *Client) Do(method, path, cookies string) (Answer, error) {
	return c.send(method, path, cookies, "")
}

// send sends a request with cookies and, if it is not empty, a form.
func (c *Client) send(method, path, cookies, form string) (Answer, error) {
	r, err := http.NewRequest(method, c.url+path, strings.NewReader(form))
	if err != nil {
		return Answer{}, err
	}
	if cookies != "" {
		r.Header.Set("Cookie", cookies)
	}

	if form != "" {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}

	return c.Send(r)
}

// Send sends a request of the caller's own making to a path of the server.
func (c *Client) Send(r *http.Request) (Answer, error) {
	answer, err := c.http.Do(r)
	if err != nil {
		return Answer{}, err
	}
	defer answer.Body.Close()

	body, err := io.ReadAll(answer.Body)
	return Answer{answer.StatusCode, answer.Header, string(body)}, err
}

// Login logs in and returns the cookies of the session; they are "" on a refusal.
func (c *Client) Login(name, password string) (cookies string, a Answer, err error) {
	a, err = c.send(http.MethodPost, "/login", "", url.Values{"username": {name}, "password": {password}}.Encode())
	if err != nil || a.Status != http.StatusOK {
		return "", a, err
	}

	var pairs []string
	for _, line := range a.Header.Values("Set-Cookie") {
		pair, _, _ := strings.Cut(line, ";")
		pairs = append(pairs, pair)
	}

	return strings.Join(pairs, "; "), a, nil
}

// MustDo is Do, and fails the test when no response comes.
func (c *Client) MustDo(tb testing.TB, method, path, cookies string) Answer {
	tb.Helper()
	a, err := c.Do(method, path, cookies)
	if err != nil {
		tb.Fatalf("%s %s: %v", method, path, err)
	}

	return a
}

// MustLogin is Login, and fails the test on a refusal.
func (c *Client) MustLogin(tb testing.TB, name, password string) string {
	tb.Helper()
	cookies, a, err := c.Login(name, password)
	if err != nil || a.Status != http.StatusOK {
		tb.Fatalf("log in as %s = %v, %v; want 200", name, a, err)
	}

	return cookies
}

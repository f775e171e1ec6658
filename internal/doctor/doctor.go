// Package doctor tests a proxy that asks Jeton before it passes requests on.
//
// Run listens in the place of the application, sends probes through the running proxy, and compares what arrives with
// what may. Each finding names the line of the proxy's configuration to change. A proxy with the configuration that
// Jeton prints has none.
//
// The configuration itself is printed by package forward; the credential of the probes is made by the caller.
package doctor

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/jeton-auth/jeton"
)

// Config is what Run needs.
type Config struct {
	URL   *url.URL     // that browsers use; its path is one that the token opens, and no open route
	Token jeton.Secret // of a user
	Echo  net.Listener // address to which the proxy passes requests of the service on
	// Dial opens a connection to the proxy, with TLS if URL is https.
	Dial func(ctx context.Context) (net.Conn, error)
}

// Finding is a fault of the proxy's configuration, or of an installation.
type Finding struct {
	Name string `json:"name"`
	Seen string `json:"seen"` // what is wrong
	Fix  string `json:"fix"`  // what to change
	// Note is set if nothing is wrong as far as was seen: Fix says how to see the rest.
	Note bool `json:"note,omitempty"`
}

// examination is one run.
type examination struct {
	Config
	echo     *echo
	proxy    string // nginx, caddy or "": by the header Server
	findings []Finding
}

// Run tests a proxy and returns what is wrong with it. The error says that it could not be tested.
func Run(ctx context.Context, c Config) ([]Finding, error) {
	if c.URL.Path == "" {
		c.URL.Path = "/"
	}

	e := &examination{Config: c, echo: newEcho(c.Echo)}
	defer e.echo.end()

	admitted, err := e.reaches(ctx)
	if err != nil || !admitted {
		return e.findings, err
	}

	for _, examine := range []func(context.Context) error{
		e.strangers,
		e.browsers,
		e.identity,
		e.headers,
		e.connection,
		e.upgrades,
		e.hosts,
		e.methods,
		e.body,
		e.paths,
		e.signIn,
	} {
		if err := examine(ctx); err != nil {
			return e.findings, err
		}
	}

	return e.findings, nil
}

// found adds a finding. Only the first of a name is kept: one line is changed at a time.
func (e *examination) found(name, seen string) {
	for _, f := range e.findings {
		if f.Name == name {
			return
		}
	}
	e.findings = append(e.findings, Finding{Name: name, Seen: seen, Fix: fixFor(e.proxy, name)})
}

// probe is a request, byte for byte, beside what every probe has.
type probe struct {
	method string // "": GET
	target string // "": that of the URL
	host   string // "": that of the URL
	bare   bool   // without the token
	header []string
	body   string
}

// send sends a probe. It returns the response, and what arrived in the place of the application.
func (e *examination) send(ctx context.Context, p probe) (*http.Response, []arrived, error) {
	// A proxy may drop one of the headers.
	nonce := rand.Text()
	lines := []string{
		fmt.Sprintf("%s %s HTTP/1.1", either(p.method, "GET"), either(p.target, e.URL.RequestURI())),
		"Host: " + either(p.host, e.URL.Host),
		"User-Agent: jeton-doctor/" + nonce,
		"Doctor-Probe: " + nonce,
	}
	if !p.bare {
		lines = append(lines, "Authorization: Bearer "+e.Token.Reveal())
	}
	if p.body != "" {
		lines = append(lines, fmt.Sprintf("Content-Length: %d", len(p.body)))
	}
	lines = append(lines, p.header...)

	conn, err := e.Dial(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("connect to the proxy: %w", err)
	}
	defer func() { _ = conn.Close() }()
	// A proxy that hangs must not hold up who interrupts the test.
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()

	e.echo.expect(nonce)
	resp, err := exchange(conn, either(p.method, "GET"), strings.Join(lines, "\r\n")+"\r\n\r\n"+p.body)
	if err != nil && ctx.Err() != nil {
		return nil, nil, ctx.Err()
	}
	if err != nil {
		resp = &http.Response{Header: http.Header{}} // such as a proxy that closes the connection
	}

	return resp, e.echo.taken(), nil
}

// reaches checks that a request with the token reaches the application, without which nothing else can be tested.
func (e *examination) reaches(ctx context.Context) (bool, error) {
	resp, got, err := e.send(ctx, probe{})
	if err != nil {
		return false, err
	}

	server := strings.ToLower(resp.Header.Get("Server"))
	for _, name := range []string{"nginx", "caddy"} {
		if strings.Contains(server, name) {
			e.proxy = name
		}
	}

	switch {
	case len(got) > 0:
		return true, nil
	case resp.StatusCode == 0:
		return false, errors.New("the proxy does not answer; check the address")
	case resp.StatusCode < http.StatusMultipleChoices:
		e.found(nameSite, fmt.Sprintf("the proxy itself answers %d", resp.StatusCode))
		return false, nil
	}

	// A client could send what the configuration forgot.
	_, own, err := e.send(ctx, probe{header: []string{
		"X-Original-URL: " + e.URL.Scheme + "://" + e.URL.Host + e.URL.RequestURI(),
		"X-Original-Method: GET",
	}})
	if err != nil {
		return false, err
	}
	if len(own) > 0 {
		e.found(nameOriginal, "a request passes if the client sends X-Original-URL, and is judged by that")
		return false, nil
	}

	e.found(nameAsk, fmt.Sprintf("a request with a token that Jeton accepts gets %d; 'jeton audit' has the reason",
		resp.StatusCode))

	return false, nil
}

// either returns the first of two texts that is not empty.
func either(text, other string) string {
	if text != "" {
		return text
	}
	return other
}

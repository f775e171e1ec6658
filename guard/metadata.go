package guard

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	// requestTimeout limits a request to the issuer, whatever the caller's deadline.
	requestTimeout = 5 * time.Second
	// maxBody limits what is read of a response, in bytes. A page of the list has 46 KB.
	maxBody = 64 << 10
)

// metadata is what is read of the discovery document (RFC 8414, section 2).
type metadata struct {
	Issuer        string `json:"issuer"`
	JWKS          string `json:"jwks_uri"`
	Introspection string `json:"introspection_endpoint"`
	Revocations   string `json:"jeton_revocations_endpoint"`
}

// discover fetches the addresses of the endpoints. The document must name the issuer itself
// (RFC 8414, section 3.3) and only endpoints at the issuer's origin, so that a line injected
// into it cannot send the guard elsewhere.
func (g *Guard) discover(ctx context.Context) (metadata, error) {
	resp, err := g.get(ctx, g.conf.Issuer+"/.well-known/oauth-authorization-server", requestTimeout)
	if err != nil {
		return metadata{}, err
	}

	var m metadata
	if err := decode(resp.body, &m); err != nil {
		return metadata{}, err
	}
	if m.Issuer != g.conf.Issuer {
		return metadata{}, fmt.Errorf("issuer is %.200q, want %q", m.Issuer, g.conf.Issuer)
	}

	for _, endpoint := range []struct{ name, address string }{
		{"jwks_uri", m.JWKS},
		{"jeton_revocations_endpoint", m.Revocations},
		{"introspection_endpoint", m.Introspection},
	} {
		if err := g.checkOrigin(endpoint.address); err != nil {
			return metadata{}, fmt.Errorf("%s: %w", endpoint.name, err)
		}
	}

	return m, nil
}

// checkOrigin returns nil for an address at the origin of the issuer.
func (g *Guard) checkOrigin(address string) error {
	u, err := url.Parse(address)
	if err != nil || u.Scheme+"://"+u.Host != g.conf.Issuer || u.User != nil || u.Fragment != "" || u.RawQuery != "" {
		return errors.New("not an address at the issuer")
	}

	return nil
}

// response is a response with status 200.
type response struct {
	header http.Header
	body   []byte
}

// get fetches a document from the issuer.
func (g *Guard) get(ctx context.Context, address string, timeout time.Duration) (response, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()

	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return response{}, err
	}

	r.Header.Set("Accept", "application/json, application/jwk-set+json")
	r.Header.Set("Cache-Control", "no-cache") // a cache on the way would serve an old copy

	return g.do(r)
}

// post sends a form to the issuer, as the configured client (RFC 6749, section 2.3.1).
func (g *Guard) post(ctx context.Context, address string, form url.Values) (response, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()

	r, err := http.NewRequestWithContext(ctx, http.MethodPost, address, strings.NewReader(form.Encode()))
	if err != nil {
		return response{}, err
	}

	r.GetBody = nil // forbids a retry: the first attempt may have taken a use
	r.Header.Set("Accept", "application/json")
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.SetBasicAuth(url.QueryEscape(g.conf.Introspect.ClientID), url.QueryEscape(g.conf.Introspect.Secret.Reveal()))

	return g.do(r)
}

// do sends a request and reads the response. Any status but 200 is an error.
func (g *Guard) do(r *http.Request) (response, error) {
	resp, err := g.conf.Client.Do(r)
	if err != nil {
		return response{}, err
	}
	defer resp.Body.Close()

	if resp.StatusCode != http.StatusOK {
		return response{}, fmt.Errorf("%s %s: status %d, want 200", r.Method, r.URL.Path, resp.StatusCode)
	}

	// One byte more than permitted distinguishes a long body from one that just fits.
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	if err != nil {
		return response{}, fmt.Errorf("%s %s: read response: %w", r.Method, r.URL.Path, err)
	}
	if len(body) > maxBody {
		return response{}, fmt.Errorf("%s %s: response is longer than %d bytes", r.Method, r.URL.Path, maxBody)
	}

	return response{resp.Header, body}, nil
}

// decode reads a JSON document and ignores unknown fields: a newer server may send more.
func decode(body []byte, into any) error {
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("invalid response: %w", err)
	}

	return nil
}

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
	// patience is how long the issuer may take for an answer, whatever the caller's deadline.
	patience = 5 * time.Second
	// maxAnswer bounds what is read of an answer, in bytes. A page of the list has 46 KB.
	maxAnswer = 64 << 10
)

// get asks the issuer for a document.
func (g *Guard) get(ctx context.Context, address string, within time.Duration) ([]byte, http.Header, error) {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()

	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, nil, err
	}

	r.Header.Set("Accept", "application/json, application/jwk-set+json")
	r.Header.Set("Cache-Control", "no-cache") // what lies between would answer with what was

	return g.answer(r)
}

// post sends a form to the issuer, as the configured client (RFC 6749, section 2.3.1).
func (g *Guard) post(ctx context.Context, address string, form url.Values) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()

	r, err := http.NewRequestWithContext(ctx, http.MethodPost, address, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, err
	}

	r.GetBody = nil // a use that was perhaps taken is not asked for again
	r.Header.Set("Accept", "application/json")
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.SetBasicAuth(url.QueryEscape(g.conf.Introspect.ClientID), url.QueryEscape(g.conf.Introspect.Secret.Reveal()))
	body, _, err := g.answer(r)

	return body, err
}

// answer sends a request and reads the answer, which is 200 or an error.
func (g *Guard) answer(r *http.Request) ([]byte, http.Header, error) {
	resp, err := g.conf.Client.Do(r)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()

	if resp.StatusCode != http.StatusOK {
		return nil, nil, fmt.Errorf("%s %s: the answer is %d", r.Method, r.URL.Path, resp.StatusCode)
	}

	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	switch {
	case err != nil:
		return nil, nil, fmt.Errorf("%s %s: read the answer: %w", r.Method, r.URL.Path, err)
	case len(body) > maxAnswer:
		return nil, nil, fmt.Errorf("%s %s: the answer is over %d bytes", r.Method, r.URL.Path, maxAnswer)
	}

	return body, resp.Header, nil
}

// decode reads a JSON document. What is not in the type is passed over: servers grow.
func decode(body []byte, into any) error {
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("the answer is not what was asked for: %w", err)
	}
	return nil
}

// metadata is what is read of the discovery document (RFC 8414, section 2).
type metadata struct {
	Issuer        string `json:"issuer"`
	JWKS          string `json:"jwks_uri"`
	Introspection string `json:"introspection_endpoint"`
	Void          string `json:"jeton_revocations_endpoint"`
}

// discover asks where things are. The document is believed only if it is the issuer's own
// (RFC 8414, section 3.3), and only about its own origin: whoever can write a line into
// it must not send the guard elsewhere.
func (g *Guard) discover(ctx context.Context) (metadata, error) {
	body, _, err := g.get(ctx, g.conf.Issuer+"/.well-known/oauth-authorization-server", patience)
	if err != nil {
		return metadata{}, err
	}

	var m metadata
	if err := decode(body, &m); err != nil {
		return metadata{}, err
	}
	if m.Issuer != g.conf.Issuer {
		return metadata{}, fmt.Errorf("the issuer says that it is %.200q", m.Issuer)
	}

	for _, at := range []struct{ name, address string }{
		{"jwks_uri", m.JWKS}, {"jeton_revocations_endpoint", m.Void}, {"introspection_endpoint", m.Introspection},
	} {
		if err := g.within(at.address); err != nil {
			return metadata{}, fmt.Errorf("%s: %w", at.name, err)
		}
	}

	return m, nil
}

// within returns nil for an address at the origin of the issuer.
func (g *Guard) within(address string) error {
	u, err := url.Parse(address)
	if err != nil || u.Scheme+"://"+u.Host != g.conf.Issuer || u.User != nil || u.Fragment != "" || u.RawQuery != "" {
		return errors.New("not an address at the issuer")
	}
	return nil
}

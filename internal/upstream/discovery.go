package upstream

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/jeton-auth/jeton/internal/outbound"
)

const (
	// metadataAge is how long the addresses of a provider are used without asking again.
	metadataAge = time.Hour
	// retryAfter is the time between a failure and the next request: strangers cause them.
	retryAfter = 10 * time.Second
)

// metadata is what a provider says of itself (OpenID Connect Discovery 1.0, section 3; RFC 9207, section 3).
type metadata struct {
	Issuer        string   `json:"issuer"`
	Authorization string   `json:"authorization_endpoint"`
	Token         string   `json:"token_endpoint"`
	Userinfo      string   `json:"userinfo_endpoint"`
	Keys          string   `json:"jwks_uri"`
	AuthMethods   []string `json:"token_endpoint_auth_methods_supported"`
	SendsIssuer   bool     `json:"authorization_response_iss_parameter_supported"`
}

// discovery is the cached metadata of a provider.
type discovery struct {
	lock  chan struct{} // held by the one who reads the rest, or asks
	found *metadata
	at    time.Time // of found
	asked time.Time // of the last request
}

func newDiscovery() discovery { return discovery{lock: make(chan struct{}, 1)} }

// errRecently is a request that failed a moment ago.
var errRecently = errors.New("its discovery document could not be read a moment ago")

// metadata returns the metadata of the provider. Callers that need it at the same time share one request. When the
// provider does not answer any more, the last metadata stays in use.
func (p *Provider) metadata(ctx context.Context) (*metadata, error) {
	if p.GitHub {
		return p.gitHub(), nil
	}

	d := &p.discovery
	select {
	case d.lock <- struct{}{}:
		defer func() { <-d.lock }()
	case <-ctx.Done():
		return nil, p.down("discovery", ctx.Err())
	}

	now := p.Now()
	fresh := d.found != nil && within(metadataAge, d.at, now)
	if fresh || d.found != nil && within(retryAfter, d.asked, now) {
		return d.found, nil
	}
	if within(retryAfter, d.asked, now) {
		return nil, p.down("discovery", errRecently)
	}

	d.asked = now
	// Not the context of the caller: others wait for the same answer.
	found, err := p.discover(context.WithoutCancel(ctx))
	if err != nil {
		if d.found == nil {
			return nil, p.down("discovery", err)
		}
		p.Log.Warn("the addresses of another provider are not renewed", "upstream", p.Name, "error", err)

		return d.found, nil
	}
	d.found, d.at = found, now

	return found, nil
}

// within reports whether now is less than d after t, or a little before it: callers read the clock before they get
// here.
func within(d time.Duration, t, now time.Time) bool {
	age := now.Sub(t)
	return age > -time.Minute && age < d
}

// discover reads the discovery document.
func (p *Provider) discover(ctx context.Context) (*metadata, error) {
	var m metadata
	address := strings.TrimSuffix(p.Issuer, "/") + "/.well-known/openid-configuration"
	if err := p.get(ctx, address, "", &m); err != nil {
		return nil, err
	}

	// OpenID Connect Discovery 1.0, section 4.3: another issuer would sign for this one.
	if m.Issuer != p.Issuer {
		return nil, fmt.Errorf("its issuer is %.200q, and the configuration has %q", m.Issuer, p.Issuer)
	}

	for _, f := range []struct {
		name, address string
		optional      bool
	}{
		{"authorization_endpoint", m.Authorization, false},
		{"token_endpoint", m.Token, false},
		{"jwks_uri", m.Keys, false},
		{"userinfo_endpoint", m.Userinfo, true},
	} {
		if f.address == "" && f.optional {
			continue
		}
		if err := p.checkEndpoint(f.address); err != nil {
			return nil, fmt.Errorf("its %s is %.200q: %w", f.name, f.address, err)
		}
	}

	return &m, nil
}

// checkEndpoint checks an address of a provider.
func (p *Provider) checkEndpoint(address string) error {
	u, err := url.Parse(address)
	switch {
	case err != nil || u.Host == "" || u.User != nil || u.Fragment != "":
		return errors.New("want a whole URL, https://host/path")
	case u.Scheme == "https":
		return nil
	case u.Scheme == "http" && p.Target.Private && outbound.Loopback(u.Hostname()):
		return nil
	}

	return errors.New("want https://")
}

// basic reports whether the secret goes into the header Authorization, which every provider supports unless it lists
// other methods only (OpenID Connect Discovery 1.0, section 3).
func (m *metadata) basic() bool {
	return len(m.AuthMethods) == 0 || slices.Contains(m.AuthMethods, "client_secret_basic") ||
		!slices.Contains(m.AuthMethods, "client_secret_post")
}

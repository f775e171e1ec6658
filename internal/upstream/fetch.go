package upstream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"strings"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/outbound"
)

const (
	fetchTimeout  = 5 * time.Second  // for one request
	redeemTimeout = 15 * time.Second // for all requests of a sign-in
	maxBody       = 256 << 10        // bytes of a response; users may have many groups
)

// Reason is why an answer of a provider is refused. It is for the operator only.
type Reason string

// refused is jeton.ErrBadCredential with its reason.
type refused struct{ reason Reason }

func (r *refused) Error() string { return jeton.ErrBadCredential.Error() }
func (r *refused) Unwrap() error { return jeton.ErrBadCredential }

// ReasonOf returns why an answer was refused, or "".
func ReasonOf(err error) Reason {
	var r *refused
	if errors.As(err, &r) {
		return r.reason
	}

	return ""
}

// refuse returns the refusal of an answer.
func refuse(format string, args ...any) error { return &refused{Reason(fmt.Sprintf(format, args...))} }

// answer is a response of a provider.
type answer struct {
	status int
	json   []byte // the body
}

// do sends a request and reads its answer, which has to be JSON.
func (p *Provider) do(ctx context.Context, r *http.Request) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()

	if r.Header.Get("Accept") == "" {
		r.Header.Set("Accept", "application/json")
	}
	r.Header.Set("User-Agent", "jeton")

	c, err := p.Target.Client(r.URL.Scheme)
	if err != nil {
		return answer{}, err
	}

	resp, err := c.Do(r.WithContext(ctx))
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()

	body, err := outbound.ReadBody(resp, maxBody)
	if err != nil {
		return answer{}, err
	}

	kind, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if err != nil || kind != "application/json" && !strings.HasSuffix(kind, "+json") {
		return answer{}, fmt.Errorf("status %s with content type %q, want JSON", resp.Status, kind)
	}

	return answer{resp.StatusCode, body}, nil
}

// get reads a resource into out.
func (p *Provider) get(ctx context.Context, address, token string, out any) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	if p.GitHub {
		r.Header.Set("Accept", "application/vnd.github+json")
	}

	a, err := p.do(ctx, r)
	if err != nil {
		return err
	}
	if a.status != http.StatusOK {
		return fmt.Errorf("status %d, want 200", a.status)
	}

	return json.Unmarshal(a.json, out)
}

// down logs why a provider could not be used, and returns what the caller may know of it.
func (p *Provider) down(what string, err error) error {
	p.Log.Warn(
		"another provider cannot be used for a sign-in",
		"upstream", p.Name, "request", what, "error", err,
	)

	return fmt.Errorf("%w: %s of %s", jeton.ErrUpstream, what, p.Name)
}

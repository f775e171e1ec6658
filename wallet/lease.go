package wallet

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
	"unicode"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/secret"
)

// The paths at which a Jeton service makes, renews and ends leases.
const (
	leasePath      = "/.jeton/leases"
	leaseRenewPath = "/.jeton/leases/renew"
	tokenEndPath   = "/.jeton/token/end"
)

// maxLease bounds the answer about a lease, in bytes.
const maxLease = 64 << 10

// Lease is a token for one job, at one service. It derives from an identity, or from another
// lease, and is never wider. It ends when End is called; else with what it derives from, or when it
// is not renewed in time. Its methods are safe for concurrent use.
type Lease struct {
	at     endpoint
	secret jeton.Secret
	terms  jeton.Lease // without the secret
}

// endpoint is a service of the requests about tokens, and the credential that they are made with.
type endpoint struct {
	origin Origin
	caCert string            // "": the certificates of the system
	maker  http.RoundTripper // sends requests with the credential
	plain  http.RoundTripper // sends them without any
	now    func() time.Time
}

// Lease makes a token for one job at the service of the identity, which has to be a Jeton service
// that accepts tokens. It returns jeton.ErrForbidden or jeton.ErrScope if it would be wider than
// the identity, jeton.ErrNotFound if the service makes none, and the errors of RoundTrip.
func (id *Identity) Lease(ctx context.Context, in jeton.LeaseRequest) (*Lease, error) {
	at, err := id.endpoint()
	if err != nil {
		return nil, err
	}

	return makeLease(ctx, in, at)
}

// endpoint returns the service of the identity.
func (id *Identity) endpoint() (endpoint, error) {
	caCert := id.view().e.CACert
	plain, err := id.w.transportFor(caCert)

	return endpoint{
		origin: id.origin,
		caCert: caCert,
		maker:  id,
		plain:  plain,
		now:    id.w.now,
	}, err
}

// LeaseOf is Lease for the token of another lease, as a job has it. caCert is the certificate to
// trust, in PEM; "": those of the system.
func (w *Wallet) LeaseOf(
	ctx context.Context,
	rawURL string,
	parent jeton.Secret,
	caCert string,
	in jeton.LeaseRequest,
) (*Lease, error) {
	at, err := w.endpointWith(rawURL, parent, caCert)
	if err != nil {
		return nil, err
	}

	return makeLease(ctx, in, at)
}

// endpointWith returns the service of a URL with a token for it.
func (w *Wallet) endpointWith(rawURL string, token jeton.Secret, caCert string) (endpoint, error) {
	origin, err := ParseOrigin(rawURL)
	if err == nil {
		err = origin.allow(w.allowHTTP)
	}
	if err == nil {
		err = checkToken(token.Reveal())
	}
	if err != nil {
		return endpoint{}, err
	}

	plain, err := w.transportFor(caCert)

	return endpoint{
		origin: origin,
		caCert: caCert,
		maker:  bearer{token, plain},
		plain:  plain,
		now:    w.now,
	}, err
}

// bearer sends requests with a token.
type bearer struct {
	token jeton.Secret
	next  http.RoundTripper
}

// RoundTrip implements http.RoundTripper.
func (b bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	c := r.Clone(r.Context())
	c.Header.Set("Authorization", "Bearer "+b.token.Reveal())

	resp, err := b.next.RoundTrip(c)
	if err != nil {
		return nil, err
	}
	resp.Request = r // the copy holds the credential

	return resp, nil
}

func makeLease(ctx context.Context, in jeton.LeaseRequest, at endpoint) (*Lease, error) {
	var made jeton.Lease
	err := at.post(ctx, at.maker, leasePath, in, &made)
	switch {
	case errors.Is(err, jeton.ErrNotFound), errors.Is(err, jeton.ErrMethod):
		return nil, jeton.WithDetail(
			jeton.ErrNotFound,
			fmt.Sprintf("%s makes no tokens for jobs; a Jeton service does that accepts tokens (tokens)", at.origin),
		)
	case err != nil:
		return nil, fmt.Errorf("make a token at %s: %w", at.origin, err)
	case checkToken(made.Secret) != nil || made.Accessor == "":
		return nil, jeton.WithDetail(jeton.ErrInvalid, string(at.origin)+" answered with an invalid token")
	}

	secret := jeton.NewSecret(made.Secret)
	made.Secret = ""

	return &Lease{at, secret, made}, nil
}

// Origin returns the service that accepts the token.
func (l *Lease) Origin() Origin { return l.at.origin }

// CACert returns the certificate that the service is trusted by, in PEM; "": those of the system.
func (l *Lease) CACert() string { return l.at.caCert }

// Secret returns the token.
func (l *Lease) Secret() jeton.Secret { return l.secret }

// Terms returns the terms of the token as it was made.
func (l *Lease) Terms() jeton.Lease { return l.terms }

// RoundTrip sends a request to the service with the token as Bearer, and without other
// credentials. A request to another origin is not sent: it returns jeton.ErrInvalid.
func (l *Lease) RoundTrip(r *http.Request) (*http.Response, error) {
	origin, err := originOf(r.URL)
	if err == nil && origin != l.at.origin {
		err = jeton.WithDetail(jeton.ErrInvalid, "the request is not for "+string(l.at.origin))
	}
	if err != nil {
		if r.Body != nil {
			_ = r.Body.Close()
		}
		return nil, err
	}

	return bearer{l.secret, l.at.plain}.RoundTrip(r)
}

// Renew lets the token end after length from now, in whole seconds, and returns after how long it
// ends: with the credential that it derives from, if that is earlier. It returns jeton.ErrNotFound
// if it has ended.
func (l *Lease) Renew(ctx context.Context, length time.Duration) (time.Duration, error) {
	var renewed jeton.Lease
	in := jeton.LeaseRenewal{Accessor: l.terms.Accessor, Seconds: int64(length / time.Second)}
	if err := l.at.post(ctx, l.at.maker, leaseRenewPath, in, &renewed); err != nil {
		return 0, fmt.Errorf("renew the token at %s: %w", l.at.origin, err)
	}

	return time.Duration(renewed.Seconds) * time.Second, nil
}

// End revokes the token, with itself as the credential, and returns what was done with it. A token
// that has ended is no error. refused counts the refused requests, for which the service looks into
// its audit log.
func (l *Lease) End(ctx context.Context, refused bool) (jeton.TokenEnd, error) {
	path := tokenEndPath
	if refused {
		path += "?refused=true"
	}

	var end jeton.TokenEnd
	if err := l.at.post(ctx, bearer{l.secret, l.at.plain}, path, struct{}{}, &end); err != nil {
		return end, fmt.Errorf("revoke the token at %s: %w", l.at.origin, err)
	}

	return end, nil
}

// post sends a document to the service and reads the answer into out.
func (e endpoint) post(ctx context.Context, by http.RoundTripper, path string, in, out any) error {
	ctx, cancel := context.WithTimeout(ctx, loginWait)
	defer cancel()

	body, err := json.Marshal(in)
	if err != nil {
		return err
	}

	r, err := http.NewRequestWithContext(ctx, http.MethodPost, string(e.origin)+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json")
	r.Header.Set("User-Agent", "jeton-wallet")

	resp, err := by.RoundTrip(r)
	if err != nil {
		return err
	}
	defer drain(resp.Body)

	text, err := io.ReadAll(io.LimitReader(resp.Body, maxLease))
	if err != nil {
		return err
	}
	if err := refusal(resp, e.now()); err != nil {
		return explained(err, text)
	}
	if resp.StatusCode >= 300 || json.Unmarshal(text, out) != nil {
		return jeton.WithDetail(jeton.ErrNotFound, fmt.Sprintf("got status %d and no document", resp.StatusCode))
	}

	return nil
}

// explained adds the detail of a problem document (RFC 9457) to the outcome that it is about. Secrets in it are masked:
// a server may echo what was sent. Control characters, which could move the cursor of a terminal, become spaces.
func explained(err error, problem []byte) error {
	var p struct {
		Detail string `json:"detail"`
	}
	if jeton.Outcome(err) == nil || json.Unmarshal(problem, &p) != nil || p.Detail == "" || len(p.Detail) > maxDetail {
		return err
	}

	return jeton.WithDetail(err, printable(p.Detail))
}

// maxDetail bounds a text of a server that an error shows, in bytes.
const maxDetail = 500

// printable returns a text of a server as an error may show it.
func printable(text string) string {
	return secret.Mask(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, text))
}

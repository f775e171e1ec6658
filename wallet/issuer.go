package wallet

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

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/jose"
)

const (
	wellKnownIssuer = "/.well-known/oauth-authorization-server"
	pathKeys        = "/oauth2/keys" // of a Jeton server; there is no standard path

	assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

	// maxAnswer bounds a response of the authorization server, in bytes.
	maxAnswer = 64 << 10
	// maxLife bounds the lifetime of a token; it keeps sums in range.
	maxLife = 400 * 24 * time.Hour
)

// issuerOrigin returns the origin of an issuer identifier, which has neither query nor
// fragment (RFC 8414, section 2).
func issuerOrigin(issuer string) (Origin, error) {
	u, err := url.Parse(issuer)
	// The length keeps a hostile document from filling the wallet.
	if err != nil || len(issuer) > 1024 || strings.ContainsAny(issuer, "?#") {
		return "", jeton.WithDetail(jeton.ErrInvalid, "invalid issuer: want a URL without query and fragment")
	}
	return originOf(u)
}

// metadataURL returns the URL of an issuer's metadata: the well-known part comes before the
// issuer's path (RFC 8414, section 3.1).
func metadataURL(issuer string) (string, error) {
	o, err := issuerOrigin(issuer)
	if err != nil {
		return "", err
	}

	u, err := url.Parse(issuer)
	if err != nil {
		return "", jeton.WithDetail(jeton.ErrInvalid, "invalid issuer: want a URL without query and fragment")
	}

	return string(o) + wellKnownIssuer + strings.TrimSuffix(u.EscapedPath(), "/"), nil
}

// checkEndpoint refuses an endpoint outside of the issuer's origin: assertions for the issuer
// are sent nowhere else, whatever its metadata says.
func checkEndpoint(o Origin, endpoint string) error {
	u, err := url.Parse(endpoint)
	if err != nil || len(endpoint) > 1024 || strings.Contains(endpoint, "#") {
		return jeton.WithDetail(
			jeton.ErrInvalid,
			"invalid endpoint of the authorization server: want a URL without a fragment",
		)
	}

	at, err := originOf(u)
	if err != nil {
		return fmt.Errorf("endpoint of the authorization server: %w", err)
	}
	if at != o {
		return jeton.WithDetail(
			jeton.ErrInvalid,
			fmt.Sprintf("an endpoint of the authorization server %s is at another origin, %s", o, at),
		)
	}

	return nil
}

// metadata is what the wallet uses of the document of RFC 8414, section 2.
type metadata struct{ token, revoke string }

// parseMetadata parses the metadata of issuer. The document must name the same issuer, byte
// by byte (RFC 8414, section 3.3).
func parseMetadata(text []byte, issuer string) (metadata, error) {
	var answer struct {
		Issuer string `json:"issuer"`
		Token  string `json:"token_endpoint"`
		Revoke string `json:"revocation_endpoint"`
	}

	if len(text) > maxAnswer {
		return metadata{}, jeton.WithDetail(
			jeton.ErrTooLarge,
			"the metadata of the authorization server is over 64 KiB",
		)
	}
	if json.Unmarshal(text, &answer) != nil {
		return metadata{}, jeton.WithDetail(jeton.ErrInvalid,
			"the metadata of the authorization server cannot be parsed")
	}

	o, err := issuerOrigin(issuer)
	if err != nil {
		return metadata{}, err
	}
	// Otherwise a server could impersonate another one (RFC 8414, section 6.2).
	if answer.Issuer != issuer {
		return metadata{}, jeton.WithDetail(
			jeton.ErrInvalid,
			fmt.Sprintf("the metadata of the authorization server %s names another issuer", o),
		)
	}

	if err := checkEndpoint(o, answer.Token); err != nil {
		return metadata{}, err
	}

	if answer.Revoke != "" {
		if err := checkEndpoint(o, answer.Revoke); err != nil {
			return metadata{}, err
		}
	}

	return metadata{answer.Token, answer.Revoke}, nil
}

// findIssuer fills in the issuer of the tokens of e, from the service, and its endpoints,
// from the issuer's metadata. It sends nothing to an issuer that is not confirmed.
func (w *Wallet) findIssuer(ctx context.Context, e *entry, d *document, in Login) error {
	service, err := w.wellKnown(ctx, e)
	if err != nil {
		return err
	}
	if service.Issuer == "" {
		return jeton.WithDetail(
			jeton.ErrNotFound,
			"the service accepts no tokens: it names no issuer at /.well-known/jeton",
		)
	}

	o, err := issuerOrigin(service.Issuer)
	if err != nil {
		return err
	}
	// Assertions and tokens are sent there: it must be as protected as the service.
	if err := o.allow(w.allowHTTP || e.AllowHTTP); err != nil {
		return err
	}

	where, err := metadataURL(service.Issuer)
	if err != nil {
		return err
	}

	pairing, err := d.pairing(e.Origin, service)
	if err != nil {
		return err
	}
	if err := w.confirm(ctx, d, in, pairing); err != nil {
		return err
	}

	ctx, cancel := context.WithTimeout(ctx, loginWait)
	defer cancel()

	resp, err := w.read(ctx, e, http.MethodGet, where, nil)
	if err != nil {
		return fmt.Errorf("read the metadata of the authorization server %s: %w", o, err)
	}
	if resp.StatusCode != http.StatusOK {
		return jeton.WithDetail(
			jeton.ErrNotFound,
			fmt.Sprintf("the authorization server %s has no metadata: status %d", o, resp.StatusCode),
		)
	}

	m, err := parseMetadata(resp.text, service.Issuer)
	if err != nil {
		return err
	}

	e.Service = service.Service

	return e.setIssuer(pairing, m)
}

// setIssuer stores who issues the tokens of e, and where.
func (e *entry) setIssuer(p Pairing, m metadata) error {
	s := *e.Key
	s.Issuer = p.Issuer
	s.Audience = p.Audience
	s.TokenURL = m.token
	s.RevokeURL = m.revoke
	e.Key = &s

	return e.check()
}

// response is a response with its body, which has at most one byte more than maxAnswer.
type response struct {
	*http.Response
	text []byte
}

// read sends one request and reads the response.
func (w *Wallet) read(
	ctx context.Context,
	e *entry,
	method, address string,
	form url.Values,
) (response, error) {
	resp, err := w.exchange(ctx, e, method, address, form, nil)
	if err != nil {
		return response{}, err
	}
	defer drain(resp.Body)

	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return response{}, fmt.Errorf("read the response: %w", err)
	}

	return response{resp, text}, nil
}

// postForm posts a form to the authorization server, with a new assertion signed by k.
func (w *Wallet) postForm(
	ctx context.Context, e *entry, k *jose.Signer, address string, form url.Values,
) ([]byte, error) {
	proof, err := w.assertion(k, typAuthentication, e.Username, e.Key.Issuer)
	if err != nil {
		return nil, err
	}

	form.Set("client_assertion_type", assertionType)
	form.Set("client_assertion", proof)
	ctx, cancel := context.WithTimeout(ctx, loginWait)
	defer cancel()

	resp, err := w.read(ctx, e, http.MethodPost, address, form)
	if err != nil {
		return nil, err
	}

	return resp.text, issuerRefusal(resp.Response, resp.text, w.now())
}

// issuerRefusal returns the error that a response of the authorization server means, or nil.
// Of its text it repeats only the codes of RFC 6749, section 5.2: a server may echo what was
// sent.
func issuerRefusal(resp *http.Response, text []byte, now time.Time) error {
	if resp.StatusCode == http.StatusOK || resp.StatusCode == http.StatusCreated {
		return nil
	}
	// A redirect is not followed: the assertion is for this address only.
	if resp.StatusCode < 400 {
		return fmt.Errorf("got status %d from the authorization server", resp.StatusCode)
	}

	var answer struct {
		Code string `json:"error"`
	}
	if json.Unmarshal(text, &answer) == nil {
		err := oauthError(answer.Code)
		// The header of our servers is more exact, but for a device that has to ask again.
		again := errors.Is(err, errPending) || errors.Is(err, errSlowDown)
		if err != nil && (again || resp.Header.Get(jeton.HeaderError) == "") {
			return jeton.WithDetail(err, "the authorization server returned "+answer.Code)
		}
	}

	if resp.StatusCode == http.StatusNotFound {
		return jeton.WithDetail(jeton.ErrNotFound, "the authorization server has no endpoint at this path")
	}

	return refusal(resp, now)
}

// oauthError returns the outcome that an error code of RFC 6749, section 5.2, or RFC 8707
// means, or nil.
func oauthError(code string) error {
	switch code {
	case "invalid_client", "invalid_grant":
		return jeton.ErrBadCredential
	case "unauthorized_client", "invalid_target":
		return jeton.ErrForbidden
	case "invalid_scope":
		return jeton.ErrScope
	// RFC 8628, section 3.5.
	case "authorization_pending":
		return errPending
	case "slow_down":
		return errSlowDown
	case "access_denied":
		return jeton.ErrForbidden
	case "expired_token":
		return jeton.ErrExpired
	case "temporarily_unavailable":
		return jeton.ErrBusy
	}

	return nil
}

// granted is a token as the issuer returned it.
type granted struct {
	text  string
	at    time.Time // when it was requested: not later than it was issued
	opens time.Time // zero: at once
	ends  time.Time // zero: unknown
	uses  *int64
}

// tokenForm returns a request for a token for the service, still without what proves the client.
func (s *software) tokenForm(grant string) url.Values {
	form := url.Values{"grant_type": {grant}}
	if s.Audience != "" {
		form.Set("audience", s.Audience)
	}
	if len(s.Scope) > 0 {
		form.Set("scope", strings.Join(s.Scope, " "))
	}

	return form
}

// requestToken requests a token for the service of e (RFC 6749, section 4.4; RFC 7523,
// section 2.2).
func (w *Wallet) requestToken(ctx context.Context, e *entry, k *jose.Signer) (granted, error) {
	form := e.Key.tokenForm("client_credentials")

	// Before the request: a token then expires for the wallet earlier than for the issuer.
	at := w.now()
	text, err := w.postForm(ctx, e, k, e.Key.TokenURL, form)
	if err != nil {
		return granted{}, err
	}

	return parseToken(text, at)
}

// parseToken parses the response of a token endpoint (RFC 6749, section 5.1), with the
// members nbf and max_uses of a Jeton server. Its errors do not repeat the response.
func parseToken(text []byte, at time.Time) (granted, error) {
	var answer struct {
		Token   string `json:"access_token"`
		Type    string `json:"token_type"`
		Life    *int64 `json:"expires_in"`
		Opens   int64  `json:"nbf"`
		MaxUses *int64 `json:"max_uses"`
	}
	if len(text) > maxAnswer || json.Unmarshal(text, &answer) != nil {
		return granted{}, jeton.WithDetail(jeton.ErrInvalid,
			"the response of the authorization server cannot be parsed")
	}
	// token_type is compared without case (RFC 6749, section 5.1); of an unknown type, the
	// client must not use the token (section 7.1).
	if !strings.EqualFold(answer.Type, "Bearer") || !isToken(answer.Token) {
		return granted{}, jeton.WithDetail(jeton.ErrInvalid, "the authorization server returned no Bearer token")
	}

	got := granted{text: answer.Token, at: at}
	if answer.Life != nil {
		if *answer.Life <= 0 {
			return granted{}, jeton.WithDetail(jeton.ErrInvalid, "the authorization server returned an expired token")
		}
		got.ends = at.Add(time.Duration(min(*answer.Life, int64(maxLife/time.Second))) * time.Second)
	}

	opens := time.Unix(answer.Opens, 0).UTC()
	if answer.Opens > 0 && opens.After(at) {
		got.opens = opens
		if opens.After(at.Add(maxLife)) {
			got.opens = at.Add(maxLife)
		}
	}

	if answer.MaxUses != nil && *answer.MaxUses > 0 {
		got.uses = answer.MaxUses
	}

	return got, nil
}

// revoke revokes the token of e at the issuer (RFC 7009).
func (w *Wallet) revoke(ctx context.Context, e *entry) error {
	if e.Key.RevokeURL == "" {
		return jeton.WithDetail(jeton.ErrNotFound, "the authorization server has no revocation endpoint")
	}

	k, err := e.Key.signer()
	if err != nil {
		return err
	}

	form := url.Values{"token": {e.Key.Token}, "token_type_hint": {"access_token"}}
	_, err = w.postForm(ctx, e, k, e.Key.RevokeURL, form)
	return err
}

// registerKey registers the public key of next for the client of e at a Jeton server. The old
// key authenticates the client; a JWT signed by next proves possession of it.
func (w *Wallet) registerKey(ctx context.Context, e *entry, old, next *jose.Signer) error {
	// The proof shows that the client holds the new key: a key of another must not be
	// registered.
	held, err := w.assertion(next, typPossession, e.Username, e.Key.Issuer)
	if err != nil {
		return err
	}

	k := next.Key()
	_, err = w.postForm(ctx, e, old, strings.TrimSuffix(e.Key.Issuer, "/")+pathKeys, url.Values{
		"key":   {string(k.PEM())},
		"alg":   {string(k.Alg)},
		"kid":   {k.ID},
		"proof": {held},
	})

	return err
}

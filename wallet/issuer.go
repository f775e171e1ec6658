package wallet

import (
	"context"
	"encoding/json"
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
	pathKeys        = "/oauth2/keys" // of a Jeton server; no standard names one

	assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

	// maxAnswer bounds what is read of an authorization server, in bytes.
	maxAnswer = 64 << 10
	// maxLife bounds how long a token is believed to be good; it keeps sums in range.
	maxLife = 400 * 24 * time.Hour
)

// issuerOrigin returns the origin of the identifier of an authorization server, which has
// neither query nor fragment (RFC 8414, section 2).
func issuerOrigin(issuer string) (Origin, error) {
	u, err := url.Parse(issuer)
	if err != nil || len(issuer) > 1024 || strings.ContainsAny(issuer, "?#") {
		return "", jeton.WithDetail(jeton.ErrInvalid, "not the identifier of an authorization server")
	}
	return originOf(u)
}

// metadataURL is where an issuer describes itself: the well-known part comes before its
// path (RFC 8414, section 3.1).
func metadataURL(issuer string) (string, error) {
	o, err := issuerOrigin(issuer)
	if err != nil {
		return "", err
	}

	u, err := url.Parse(issuer)
	if err != nil {
		return "", jeton.WithDetail(jeton.ErrInvalid, "not the identifier of an authorization server")
	}

	return string(o) + wellKnownIssuer + strings.TrimSuffix(u.EscapedPath(), "/"), nil
}

// checkEndpoint refuses an address outside of the issuer's origin: what is signed for the
// issuer goes to nobody else, whatever its metadata says.
func checkEndpoint(o Origin, endpoint string) error {
	u, err := url.Parse(endpoint)
	if err != nil || len(endpoint) > 1024 || strings.Contains(endpoint, "#") {
		return jeton.WithDetail(
			jeton.ErrInvalid,
			"an endpoint of the authorization server is not a URL without a fragment",
		)
	}

	at, err := originOf(u)
	if err != nil {
		return fmt.Errorf("endpoint of the authorization server: %w", err)
	}
	if at != o {
		return jeton.WithDetail(
			jeton.ErrInvalid,
			fmt.Sprintf("an endpoint of the authorization server %s is at %s, where nothing is sent", o, at),
		)
	}

	return nil
}

// metadata is what is believed of the document of RFC 8414, section 2.
type metadata struct{ token, revoke string }

// parseMetadata reads the metadata of the issuer that was asked. A document that names
// another one, byte by byte, is not believed (RFC 8414, section 3.3).
func parseMetadata(text []byte, issuer string) (metadata, error) {
	var said struct {
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
	if json.Unmarshal(text, &said) != nil {
		return metadata{}, jeton.WithDetail(jeton.ErrInvalid, "the metadata of the authorization server cannot be read")
	}

	o, err := issuerOrigin(issuer)
	if err != nil {
		return metadata{}, err
	}
	if said.Issuer != issuer {
		return metadata{}, jeton.WithDetail(
			jeton.ErrInvalid,
			fmt.Sprintf("the metadata found for the authorization server %s are another one's", o),
		)
	}

	if err := checkEndpoint(o, said.Token); err != nil {
		return metadata{}, err
	}

	if said.Revoke != "" {
		if err := checkEndpoint(o, said.Revoke); err != nil {
			return metadata{}, err
		}
	}

	return metadata{said.Token, said.Revoke}, nil
}

// findIssuer fills in who issues the tokens of the service of e, and where: what the
// service tells, and then what that issuer tells.
func (w *Wallet) findIssuer(ctx context.Context, e *entry) error {
	told, err := w.wellKnown(ctx, e)
	if err != nil {
		return err
	}
	if told.Issuer == "" {
		return jeton.WithDetail(
			jeton.ErrNotFound,
			"the service takes no tokens: it names no issuer at /.well-known/jeton",
		)
	}

	o, err := issuerOrigin(told.Issuer)
	if err != nil {
		return err
	}
	if err := o.allow(w.allowHTTP || e.AllowHTTP); err != nil {
		return err
	}

	where, err := metadataURL(told.Issuer)
	if err != nil {
		return err
	}

	ctx, cancel := context.WithTimeout(ctx, loginWait)
	defer cancel()

	status, text, err := w.read(ctx, e, http.MethodGet, where, nil)
	if err != nil {
		return fmt.Errorf("ask the authorization server %s: %w", o, err)
	}
	if status.StatusCode != http.StatusOK {
		return jeton.WithDetail(
			jeton.ErrNotFound,
			fmt.Sprintf("the authorization server %s has no metadata: status %d", o, status.StatusCode),
		)
	}

	m, err := parseMetadata(text, told.Issuer)
	if err != nil {
		return err
	}

	s := *e.Key
	s.Issuer = told.Issuer
	s.Audience = told.Audience
	s.TokenURL = m.token
	s.RevokeURL = m.revoke

	e.Service, e.Key = told.Service, &s

	return e.check()
}

// read sends one request and returns the answer with its body, of which it reads one byte
// more than maxAnswer at most.
func (w *Wallet) read(
	ctx context.Context,
	e *entry,
	method, address string,
	form url.Values,
) (*http.Response, []byte, error) {
	resp, err := w.exchange(ctx, e, method, address, form, nil)
	if err != nil {
		return nil, nil, err
	}
	defer drain(resp.Body)

	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return nil, nil, fmt.Errorf("read the answer: %w", err)
	}

	return resp, text, nil
}

// tell posts a form to the authorization server, proved by a fresh assertion of k.
func (w *Wallet) tell(ctx context.Context, e *entry, k *jose.Signer, address string, form url.Values) ([]byte, error) {
	proof, err := w.assertion(k, typAuthentication, e.Username, e.Key.Issuer)
	if err != nil {
		return nil, err
	}

	form.Set("client_assertion_type", assertionType)
	form.Set("client_assertion", proof)
	ctx, cancel := context.WithTimeout(ctx, loginWait)
	defer cancel()

	resp, text, err := w.read(ctx, e, http.MethodPost, address, form)
	if err != nil {
		return nil, err
	}

	return text, refusedBy(resp, text, w.now())
}

// refusedBy returns the outcome that an answer of an authorization server is, or nil. Of
// its text only the codes of RFC 6749, section 5.2, are repeated: it may echo what was
// sent to it.
func refusedBy(resp *http.Response, text []byte, now time.Time) error {
	if resp.StatusCode == http.StatusOK || resp.StatusCode == http.StatusCreated {
		return nil
	}
	if resp.StatusCode < 400 {
		return fmt.Errorf("the authorization server answered with status %d", resp.StatusCode)
	}

	var said struct {
		Code string `json:"error"`
	}
	if resp.Header.Get(jeton.HeaderError) == "" && json.Unmarshal(text, &said) == nil {
		for _, c := range []struct {
			code string
			err  error
		}{
			{
				"invalid_client",
				jeton.ErrBadCredential,
			}, {"invalid_grant", jeton.ErrBadCredential}, {"unauthorized_client", jeton.ErrForbidden},
			{
				"invalid_target",
				jeton.ErrForbidden,
			}, {"invalid_scope", jeton.ErrScope}, {"temporarily_unavailable", jeton.ErrBusy},
		} {
			if said.Code == c.code {
				return jeton.WithDetail(c.err, "the authorization server says "+c.code)
			}
		}
	}

	if resp.StatusCode == http.StatusNotFound {
		return jeton.WithDetail(jeton.ErrNotFound, "the authorization server has no such endpoint")
	}

	return refusal(resp, now)
}

// granted is a token as it was got.
type granted struct {
	text  string
	at    time.Time // when it was asked for: no later than it was made
	opens time.Time // zero: at once
	ends  time.Time // zero: the issuer does not say
	uses  *int64
}

// requestToken asks for a token for the service of e (RFC 6749, section 4.4; RFC 7523,
// section 2.2).
func (w *Wallet) requestToken(ctx context.Context, e *entry, k *jose.Signer) (granted, error) {
	form := url.Values{"grant_type": {"client_credentials"}}
	if e.Key.Audience != "" {
		form.Set("audience", e.Key.Audience)
	}
	if len(e.Key.Scope) > 0 {
		form.Set("scope", strings.Join(e.Key.Scope, " "))
	}

	at := w.now()
	text, err := w.tell(ctx, e, k, e.Key.TokenURL, form)
	if err != nil {
		return granted{}, err
	}

	return parseToken(text, at)
}

// parseToken reads the answer of a token endpoint (RFC 6749, section 5.1), with the members
// nbf and max_uses of a Jeton server. Its errors repeat nothing of it.
func parseToken(text []byte, at time.Time) (granted, error) {
	var said struct {
		Token   string `json:"access_token"`
		Type    string `json:"token_type"`
		Life    *int64 `json:"expires_in"`
		Opens   int64  `json:"nbf"`
		MaxUses *int64 `json:"max_uses"`
	}
	if len(text) > maxAnswer || json.Unmarshal(text, &said) != nil {
		return granted{}, jeton.WithDetail(jeton.ErrInvalid, "the answer of the authorization server cannot be read")
	}
	if !strings.EqualFold(said.Type, "Bearer") || !isToken(said.Token) {
		return granted{}, jeton.WithDetail(jeton.ErrInvalid, "the authorization server gave no Bearer token")
	}

	got := granted{text: said.Token, at: at}
	if said.Life != nil {
		if *said.Life <= 0 {
			return granted{}, jeton.WithDetail(jeton.ErrInvalid, "the authorization server gave a token that has ended")
		}
		got.ends = at.Add(time.Duration(min(*said.Life, int64(maxLife/time.Second))) * time.Second)
	}

	opens := time.Unix(said.Opens, 0).UTC()
	if said.Opens > 0 && opens.After(at) {
		got.opens = opens
		if opens.After(at.Add(maxLife)) {
			got.opens = at.Add(maxLife)
		}
	}

	if said.MaxUses != nil && *said.MaxUses > 0 {
		got.uses = said.MaxUses
	}

	return got, nil
}

// revoke ends the token of e at the issuer (RFC 7009).
func (w *Wallet) revoke(ctx context.Context, e *entry) error {
	if e.Key.RevokeURL == "" {
		return jeton.WithDetail(jeton.ErrNotFound, "its authorization server has no way to revoke a token")
	}

	k, err := e.Key.signer()
	if err != nil {
		return err
	}

	_, err = w.tell(ctx, e, k, e.Key.RevokeURL, url.Values{"token": {e.Key.Token}, "token_type_hint": {"access_token"}})
	return err
}

// registerKey registers the public key of next for the client of e, as a Jeton server takes
// it: old proves the client, and a JWT that next has signed proves that it is held here.
func (w *Wallet) registerKey(ctx context.Context, e *entry, old, next *jose.Signer) error {
	held, err := w.assertion(next, typPossession, e.Username, e.Key.Issuer)
	if err != nil {
		return err
	}

	k := next.Key()
	_, err = w.tell(ctx, e, old, strings.TrimSuffix(e.Key.Issuer, "/")+pathKeys, url.Values{
		"key":   {string(k.PEM())},
		"alg":   {string(k.Alg)},
		"kid":   {k.ID},
		"proof": {held},
	})

	return err
}

package wallet

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jeton-auth/jeton"
)

// The names of RFC 8693.
const (
	grantExchange   = "urn:ietf:params:oauth:grant-type:token-exchange"
	typeAccessToken = "urn:ietf:params:oauth:token-type:access_token"
)

// ExchangeConfig is a service that exchanges the tokens of its callers for tokens of the next service.
type ExchangeConfig struct {
	Issuer string       // of the tokens, as https://auth.example
	Client string       // name of the client that the service is
	Key    string       // file of its private key, PEM or JWK, read at each exchange
	Secret jeton.Secret // in place of a key

	CACert    string            // certificate to trust, in PEM; "": those of the system
	AllowHTTP bool              // accepts plain http to another machine
	Transport http.RoundTripper // see Config.Transport
	Now       func() time.Time  // by default time.Now
}

// Exchange is what a new token is for. It is never more than the token that is exchanged and the rule of the client
// allow. The zero value of each member asks for all of that.
type Exchange struct {
	For        string        // name or audience of the next service; required
	Scope      []string      // each has to be allowed
	MaxUses    int64         // at most
	SharedUses bool          // a use is one of the exchanged token, too, if that is counted
	Lifetime   time.Duration // at most, in whole seconds
}

// Exchanged is a token of the next service.
type Exchanged struct {
	Token
	Scope   []string
	MaxUses int64 // 0: not counted
}

// Exchanger exchanges tokens (RFC 8693). It needs no wallet and stores nothing. Its methods are safe for concurrent
// use.
type Exchanger struct {
	conf ExchangeConfig
	w    *Wallet // sends the requests; has no file
	e    *entry  // what they need to know

	mu       sync.Mutex
	endpoint string // of the issuer; "": its metadata have not been read
}

// NewExchanger returns jeton.ErrInvalid for a config that is not complete. It sends nothing.
func NewExchanger(c ExchangeConfig) (*Exchanger, error) {
	switch {
	case c.Client == "":
		return nil, jeton.WithDetail(jeton.ErrInvalid, "client is missing: want the name of the client that exchanges")
	case (c.Key == "") == c.Secret.IsZero():
		return nil, jeton.WithDetail(jeton.ErrInvalid, "client "+c.Client+" needs a key or a secret, and not both")
	}

	o, err := issuerOrigin(c.Issuer)
	if err == nil {
		err = o.allow(c.AllowHTTP)
	}
	if err != nil {
		return nil, fmt.Errorf("issuer: %w", err)
	}

	if c.Transport == nil {
		c.Transport = defaultTransport()
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	w := &Wallet{
		transport: c.Transport,
		now:       func() time.Time { return c.Now().UTC().Round(0) },
		trusts:    map[string]*http.Transport{},
	}
	if _, err := w.transportFor(c.CACert); err != nil {
		return nil, err
	}

	return &Exchanger{conf: c, w: w, e: &entry{CACert: c.CACert}}, nil
}

// Exchange returns a token for the next service, with which the client acts for the owner of a token that it received.
//
// It returns jeton.ErrForbidden without a rule for both services or for an owner who may not use the next one,
// jeton.ErrScope, and for the token that is exchanged ErrBadCredential, ErrExpired or ErrSpent. ErrBadCredential is
// also the refusal of the client; the text says which. No error has a token or a secret.
func (x *Exchanger) Exchange(ctx context.Context, token jeton.Secret, in Exchange) (Exchanged, error) {
	form, err := in.form(token)
	if err != nil {
		return Exchanged{}, err
	}

	ctx, cancel := context.WithTimeout(ctx, loginWait)
	defer cancel()

	out, err := x.send(ctx, token, form)
	if err != nil {
		return Exchanged{}, fmt.Errorf("exchange a token for %s at %s: %w", in.For, x.conf.Issuer, err)
	}

	return out, nil
}

// form returns the request, still without what proves the client.
func (in Exchange) form(token jeton.Secret) (url.Values, error) {
	if in.For == "" || in.MaxUses < 0 || in.Lifetime < 0 || in.Lifetime%time.Second != 0 {
		return nil, jeton.WithDetail(
			jeton.ErrInvalid, "invalid exchange: want a service, and a number of uses and whole seconds of at least 1",
		)
	}
	if err := checkToken(token.Reveal()); err != nil {
		return nil, fmt.Errorf("token to exchange: %w", err)
	}

	form := url.Values{
		"grant_type":         {grantExchange},
		"subject_token":      {token.Reveal()},
		"subject_token_type": {typeAccessToken},
		"audience":           {in.For},
	}
	if len(in.Scope) > 0 {
		form.Set("scope", strings.Join(in.Scope, " "))
	}
	if in.MaxUses > 0 {
		form.Set("max_uses", strconv.FormatInt(in.MaxUses, 10))
	}
	if in.SharedUses {
		form.Set("shared_uses", "true")
	}
	if in.Lifetime > 0 {
		form.Set("expires_in", strconv.FormatInt(int64(in.Lifetime/time.Second), 10))
	}

	return form, nil
}

// send sends the request and reads the answer.
func (x *Exchanger) send(ctx context.Context, token jeton.Secret, form url.Values) (Exchanged, error) {
	endpoint, err := x.findEndpoint(ctx)
	if err != nil {
		return Exchanged{}, err
	}
	if err := x.prove(form); err != nil {
		return Exchanged{}, err
	}

	// Before the request: the token then expires here earlier than at the issuer.
	at := x.w.now()
	resp, err := x.w.read(ctx, x.e, http.MethodPost, endpoint, form)
	if err != nil {
		return Exchanged{}, err
	}
	if err := issuerRefusal(resp.Response, resp.text, x.w.now()); err != nil {
		return Exchanged{}, exchangeRefusal(err, resp.text, token, x.conf.Secret)
	}

	got, err := parseToken(resp.text, at)
	if err != nil {
		return Exchanged{}, err
	}
	var rest struct{ Scope string }
	_ = json.Unmarshal(resp.text, &rest) // parseToken has read the same text

	out := Exchanged{Token: Token{jeton.NewSecret(got.text), got.opens, got.ends}, Scope: strings.Fields(rest.Scope)}
	if got.uses != nil {
		out.MaxUses = *got.uses
	}

	return out, nil
}

// prove adds what proves the client.
func (x *Exchanger) prove(form url.Values) error {
	if x.conf.Key == "" {
		form.Set("client_id", x.conf.Client)
		form.Set("client_secret", x.conf.Secret.Reveal())

		return nil
	}

	// Read at each use: the key may have been replaced in its file.
	k, err := readSigner(x.conf.Key, "", "")
	if err != nil {
		return err
	}
	proof, err := x.w.assertion(k, typAuthentication, x.conf.Client, x.conf.Issuer)
	if err != nil {
		return err
	}
	form.Set("client_assertion_type", assertionType)
	form.Set("client_assertion", proof)

	return nil
}

// findEndpoint returns the token endpoint of the issuer, whose metadata are read once.
func (x *Exchanger) findEndpoint(ctx context.Context) (string, error) {
	x.mu.Lock()
	known := x.endpoint
	x.mu.Unlock()
	if known != "" {
		return known, nil
	}

	// Not under the lock: a slow issuer delays each caller by its own request alone.
	where, err := metadataURL(x.conf.Issuer)
	if err != nil {
		return "", err
	}
	resp, err := x.w.read(ctx, x.e, http.MethodGet, where, nil)
	if err != nil {
		return "", fmt.Errorf("read the metadata: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		return "", jeton.WithDetail(jeton.ErrNotFound, fmt.Sprintf("there are no metadata: status %d", resp.StatusCode))
	}
	m, err := parseMetadata(resp.text, x.conf.Issuer)
	if err != nil {
		return "", err
	}

	x.mu.Lock()
	defer x.mu.Unlock()
	x.endpoint = m.token

	return m.token, nil
}

// exchangeHints say what a code of the endpoint means here.
var exchangeHints = map[string]string{
	"invalid_request": "the token that is exchanged, or a parameter, is refused",
	"invalid_target": "no rule of the client allows it, or the owner of the token may not use the service; " +
		"the audit log of the issuer says which (jeton audit --action token.exchange)",
	"invalid_scope":          "the rule of the client or the token lacks a scope",
	"invalid_client":         "the key or the secret of the client is refused",
	"unsupported_grant_type": "the issuer exchanges no tokens",
}

// exchangeRefusal adds to a refusal the code of the endpoint, what it means, and the description of the endpoint,
// without the secrets that were sent: a server may echo them.
func exchangeRefusal(err error, text []byte, sent ...jeton.Secret) error {
	var answer struct {
		Code        string `json:"error"`
		Description string `json:"error_description"`
	}
	if json.Unmarshal(text, &answer) != nil || exchangeHints[answer.Code] == "" {
		return err
	}

	detail := answer.Code + ": " + exchangeHints[answer.Code]
	secret := func(s jeton.Secret) bool { return !s.IsZero() && strings.Contains(answer.Description, s.Reveal()) }
	if answer.Description != "" && len(answer.Description) <= maxDetail && !slices.ContainsFunc(sent, secret) {
		detail += ": " + printable(answer.Description)
	}
	if jeton.Outcome(err) == nil {
		return jeton.WithDetail(jeton.ErrInvalid, detail)
	}

	return jeton.WithDetail(err, detail)
}

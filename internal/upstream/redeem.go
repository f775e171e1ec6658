package upstream

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/jeton-auth/jeton"
)

// Redeem returns the identity for a code that the provider gave a browser, with the parameter iss of its answer. It
// returns jeton.ErrBadCredential for a code or an answer that is not for this sign-in (ReasonOf has why),
// jeton.ErrUpstream if the provider does not answer, and jeton.ErrBusy while many others sign in.
func (p *Provider) Redeem(ctx context.Context, in Pending, code, iss string) (Identity, error) {
	select {
	case p.places <- struct{}{}:
		defer func() { <-p.places }()
	default:
		return Identity{}, jeton.ErrBusy
	}

	ctx, cancel := context.WithTimeout(ctx, redeemTimeout)
	defer cancel()

	m, err := p.metadata(ctx)
	if err != nil {
		return Identity{}, err
	}
	if err := p.checkIssuer(m, iss); err != nil {
		return Identity{}, err
	}
	if code == "" {
		return Identity{}, refuse("the answer has no code")
	}

	got, err := p.exchange(ctx, m, in, code)
	if err != nil {
		return Identity{}, err
	}
	if p.GitHub {
		return p.gitHubUser(ctx, got.Access)
	}

	claims, err := p.checkIDToken(ctx, m, in, got.ID)
	if err != nil {
		return Identity{}, err
	}
	if err := p.addUserinfo(ctx, m, claims, got.Access); err != nil {
		return Identity{}, err
	}

	return p.identity(claims)
}

// Redeeming returns Redeem for the answer of a provider, to be called once it may be.
func (p *Provider) Redeeming(in Pending, code, iss string) func(context.Context) (Identity, error) {
	return func(ctx context.Context) (Identity, error) { return p.Redeem(ctx, in, code, iss) }
}

// checkIssuer checks the parameter iss of an answer (RFC 9207, section 2.4): the browser may bring that of another
// provider.
func (p *Provider) checkIssuer(m *metadata, iss string) error {
	switch {
	case iss == "" && m.SendsIssuer:
		return refuse("the answer has no iss, and the provider sends one")
	case iss != "" && iss != p.Issuer:
		return refuse("iss of the answer is %.200q", iss)
	}

	return nil
}

// tokens is what a code is exchanged for. Members of the answer that are not here are ignored.
type tokens struct {
	Access string `json:"access_token"`
	Type   string `json:"token_type"`
	ID     string `json:"id_token"`
	Error  string `json:"error"`
}

// exchange exchanges the code (RFC 6749, section 4.1.3).
func (p *Provider) exchange(ctx context.Context, m *metadata, in Pending, code string) (tokens, error) {
	form := url.Values{
		"grant_type":    {"authorization_code"},
		"code":          {code},
		"redirect_uri":  {p.Redirect},
		"code_verifier": {in.Verifier},
	}

	basic := !p.Secret.IsZero() && m.basic()
	if !basic {
		form.Set("client_id", p.ClientID)
	}
	if !p.Secret.IsZero() && !basic {
		form.Set("client_secret", p.Secret.Reveal())
	}

	r, err := http.NewRequestWithContext(ctx, http.MethodPost, m.Token, strings.NewReader(form.Encode()))
	if err != nil {
		return tokens{}, p.down("token endpoint", err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if basic {
		// RFC 6749, section 2.3.1: both are encoded as in a form.
		r.SetBasicAuth(url.QueryEscape(p.ClientID), url.QueryEscape(p.Secret.Reveal()))
	}

	a, err := p.do(ctx, r)
	if err != nil {
		return tokens{}, p.down("token endpoint", err)
	}

	var got tokens
	err = json.Unmarshal(a.json, &got)
	switch {
	// GitHub calls it bad_verification_code, with status 200.
	case err == nil && (got.Error == "invalid_grant" || got.Error == "bad_verification_code"):
		return tokens{}, refuse("the provider does not accept the code: used, expired, or of another sign-in")
	case err != nil:
		return tokens{}, p.down("token endpoint", err)
	case got.Error != "" || a.status != http.StatusOK:
		// The fault is in the configuration, or the provider's.
		return tokens{}, p.down("token endpoint", errors.New(describe(a.status, got.Error)))
	case got.Access == "" || !strings.EqualFold(got.Type, "Bearer"):
		return tokens{}, p.down("token endpoint", errors.New("no access token of type Bearer"))
	}

	return got, nil
}

package wallet

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/jeton-auth/jeton"
)

// signInWait bounds a sign-in, in which the user may have to find a second factor.
const signInWait = 10 * time.Minute

// bySignIn signs the user of a login in at the issuer, and stores the tokens. The identity has the name that the login
// gives, or else that of the user. No lock is held while the user signs in.
func (w *Wallet) bySignIn(ctx context.Context, o Origin, in Login) (*Identity, error) {
	d, err := w.file.read(ctx)
	if err != nil {
		return nil, err
	}

	e := entry{Origin: o, Name: in.As, Created: w.now()}
	have := d.find(o, in.As)
	if have != nil {
		e = *have
	}
	if err := in.apply(&e); err != nil {
		return nil, err
	}
	if err := o.allow(w.allowHTTP || e.AllowHTTP); err != nil {
		return nil, err
	}

	var id *Identity
	err = w.signInAt(ctx, &e, in, func(idToken string) (err error) {
		id, err = w.keepSignIn(ctx, e, in, idToken)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("sign in for %s: %w", o, err)
	}

	return id, nil
}

// keepSignIn stores the tokens of a sign-in.
func (w *Wallet) keepSignIn(ctx context.Context, e entry, in Login, idToken string) (*Identity, error) {
	e.Username = userOf(idToken, in.As)
	if e.Name == "" {
		e.Name = e.Username
	}
	if err := checkName(e.Name); err != nil {
		return nil, jeton.WithDetail(jeton.ErrInvalid, "the issuer names no user; name the identity (--as)")
	}

	// The sign-in began without a lock: a renewal that ran meanwhile must not replace it.
	id := w.identity(e.Origin, e.Name)
	done, err := id.lock(ctx)
	if err != nil {
		return nil, err
	}
	defer done()

	if in.As == "" {
		if err := w.sameUser(ctx, e); err != nil {
			_ = w.revokeSignIn(ctx, &e) // of no use to anyone
			return nil, err
		}
	}

	e.Auto = e.SignIn.Refresh != "" && in.Relogin == ReloginWhenAsked
	if err := id.install(ctx, e, true); err != nil {
		return nil, fmt.Errorf("keep the tokens of %s: %w", e.Name, err)
	}

	return id, nil
}

// sameUser returns jeton.ErrConflict if an identity has the name that a sign-in chose, and is not the same user of the
// same issuer. Its password, key or token would be lost, and no caller has named it.
func (w *Wallet) sameUser(ctx context.Context, e entry) error {
	d, err := w.file.read(ctx)
	if err != nil {
		return err
	}

	have := d.find(e.Origin, e.Name)
	if have == nil || have.SignIn != nil && have.SignIn.Issuer == e.SignIn.Issuer && have.Username == e.Username {
		return nil
	}

	return jeton.WithDetail(
		jeton.ErrConflict,
		fmt.Sprintf("the wallet has another identity %s there; give this one another name (--as)", e.Name),
	)
}

// signInAt finds the issuer of a service, signs the user in there, and puts the tokens into e. Then it calls keep with
// the ID token.
func (w *Wallet) signInAt(ctx context.Context, e *entry, in Login, keep func(idToken string) error) error {
	ctx, cancel := context.WithTimeout(ctx, signInWait)
	defer cancel()

	service, err := w.wellKnown(ctx, e)
	if err != nil {
		return err
	}
	issuer, audience, err := w.issuerOf(ctx, e, service, in)
	if err != nil {
		return err
	}

	m, err := w.findProvider(ctx, e, issuer)
	if err != nil {
		return err
	}
	// The page at which a code is typed in has no parameter iss: a hostile issuer could send the user to that of
	// another one, and redeem the code there itself.
	byDevice := in.SignIn.Device != nil
	if in.Issuer == "" && (byDevice || !m.binds()) {
		p := Pairing{Service: e.Origin, Issuer: issuer, Audience: cmp.Or(audience, string(e.Origin))}
		if err := w.confirm(ctx, &document{}, in, p); err != nil {
			return err
		}
	}

	s := *e.SignIn
	s.Issuer = issuer
	s.TokenURL = m.Token
	s.RevokeURL = m.Revoke
	s.Audience = audience
	s.Refresh = ""
	e.SignIn = &s
	e.Service = service.Service

	f := signInFlow{
		w:        w,
		e:        e,
		provider: m,
		in:       *in.SignIn,
		user:     in.Username,
	}
	if byDevice {
		return f.byDevice(ctx, keep)
	}

	return f.byBrowser(ctx, keep)
}

// issuerOf returns the issuer at which to sign in for a service, and what to request tokens for: the service as it was
// asked, and not as it names itself. A hostile one could name another, and would get a token that is valid there. An
// issuer that the service does not name may refuse any resource: then it is that of the login, or "".
func (w *Wallet) issuerOf(
	ctx context.Context, e *entry, service wellKnown, in Login,
) (issuer, audience string, err error) {
	if service.Issuer != "" {
		if in.Issuer != "" && service.Issuer != in.Issuer {
			const text = "%w: %s names the issuer %q; the login names another"
			return "", "", fmt.Errorf(text, ErrUnconfirmed, e.Origin, service.Issuer)
		}

		return service.Issuer, cmp.Or(in.Audience, string(e.Origin)), nil
	}

	// Nothing is missing: a service whose metadata cannot be read does not matter.
	if in.Issuer != "" && in.Audience != "" {
		return in.Issuer, in.Audience, nil
	}

	found, err := w.findResource(ctx, e, in.URL)
	if err == nil {
		issuer, err = found.issuer(e.Origin, in.Issuer)
	}
	if err == nil && issuer == "" {
		err = jeton.WithDetail(
			jeton.ErrNotFound, "the service names no issuer of tokens; name it in the login (--issuer)",
		)
	}

	return issuer, cmp.Or(in.Audience, found.URL), err
}

// provider is what a sign-in needs of the metadata of an issuer (RFC 8414; OpenID Connect Discovery 1.0).
type provider struct {
	Issuer    string   `json:"issuer"`
	Authorize string   `json:"authorization_endpoint"`
	Token     string   `json:"token_endpoint"`
	Revoke    string   `json:"revocation_endpoint"`
	Device    string   `json:"device_authorization_endpoint"`
	Scopes    []string `json:"scopes_supported"`
	// NamesItself promises the parameter iss in its answers (RFC 9207).
	NamesItself bool `json:"authorization_response_iss_parameter_supported"`
	// Revocations is in the metadata of a Jeton server alone, which refuses a resource that it does not know.
	Revocations string `json:"jeton_revocations_endpoint"`
}

// binds reports whether a service may name the issuer without being confirmed. Another issuer could ignore the resource
// (RFC 8707 has nothing that promises more), so that its tokens are valid at other services. A hostile one that sends
// the browser on to such an issuer is found out by the parameter iss (RFC 9700, section 4.4).
func (p provider) binds() bool { return p.Revocations != "" && p.NamesItself }

// findProvider reads the metadata of an issuer, at one of the addresses that the two standards name.
func (w *Wallet) findProvider(ctx context.Context, e *entry, issuer string) (provider, error) {
	o, err := issuerOrigin(issuer)
	if err != nil {
		return provider{}, err
	}
	if err := o.allow(w.allowHTTP || e.AllowHTTP); err != nil {
		return provider{}, err
	}

	first, err := metadataURL(issuer)
	if err != nil {
		return provider{}, err
	}

	status := 0
	for _, address := range []string{first, strings.TrimSuffix(issuer, "/") + "/.well-known/openid-configuration"} {
		resp, err := w.read(ctx, e, http.MethodGet, address, nil)
		if err != nil {
			return provider{}, fmt.Errorf("read the metadata of the issuer %s: %w", o, err)
		}
		if resp.StatusCode == http.StatusOK {
			return w.parseProvider(resp.text, issuer, w.allowHTTP || e.AllowHTTP)
		}
		status = resp.StatusCode
	}

	return provider{}, jeton.WithDetail(
		jeton.ErrNotFound, fmt.Sprintf("the issuer %s has no metadata: status %d", o, status),
	)
}

// parseProvider parses the metadata of issuer, which must name the same issuer byte by byte (RFC 8414, section 3.3).
func (w *Wallet) parseProvider(text []byte, issuer string, plain bool) (provider, error) {
	var p provider
	if len(text) > maxAnswer || json.Unmarshal(text, &p) != nil {
		return p, jeton.WithDetail(jeton.ErrInvalid, "the metadata of the issuer cannot be parsed, or is over 64 KiB")
	}
	if p.Issuer != issuer {
		return p, jeton.WithDetail(jeton.ErrInvalid, "the metadata of the issuer "+issuer+" names another issuer")
	}

	for _, one := range []struct {
		name, address string
		required      bool
	}{
		{"authorization_endpoint", p.Authorize, true},
		{"token_endpoint", p.Token, true},
		{"revocation_endpoint", p.Revoke, false},
		{"device_authorization_endpoint", p.Device, false},
	} {
		if one.address == "" && !one.required {
			continue
		}

		o, err := endpointOrigin(one.address)
		if err == nil {
			err = o.allow(plain)
		}
		if err != nil {
			return p, fmt.Errorf("%s of the issuer: %w", one.name, err)
		}
	}

	return p, nil
}

// signInFlow is one sign-in at an issuer.
type signInFlow struct {
	w        *Wallet
	e        *entry
	provider provider
	in       SignIn
	user     string // name at the issuer, to fill in; "": unknown
}

// scope returns the scope to request: what the login names, and what gets the name of the user and a refresh token.
func (f *signInFlow) scope() string {
	list := []string{"openid"}
	for _, scope := range []string{"profile", "offline_access"} {
		if f.provider.Scopes == nil || slices.Contains(f.provider.Scopes, scope) {
			list = append(list, scope)
		}
	}
	for _, scope := range f.e.SignIn.Scope {
		if !slices.Contains(list, scope) {
			list = append(list, scope)
		}
	}

	return strings.Join(list, " ")
}

// addResource adds the audience to a request (RFC 8707).
func (f *signInFlow) addResource(form url.Values) {
	if f.e.SignIn.Audience != "" {
		form.Set("resource", f.e.SignIn.Audience)
	}
}

// idClaims are what the wallet reads of an ID token.
type idClaims struct {
	Issuer   string   `json:"iss"`
	Audience audience `json:"aud"`
	Nonce    string   `json:"nonce"`
	Subject  string   `json:"sub"`
	Name     string   `json:"preferred_username"`
	Email    string   `json:"email"`
}

// audience is one audience or a list (RFC 7519, section 4.1.3).
type audience []string

// UnmarshalJSON reads both forms.
func (a *audience) UnmarshalJSON(text []byte) error {
	var one string
	if json.Unmarshal(text, &one) == nil {
		*a = audience{one}
		return nil
	}

	return json.Unmarshal(text, (*[]string)(a))
}

// readID returns the claims of an ID token. It came from the token endpoint over TLS, which stands for its signature
// (OpenID Connect Core 1.0, section 3.1.3.7).
func readID(text string) (idClaims, error) {
	var c idClaims
	parts := strings.Split(text, ".")
	if len(parts) != 3 {
		return c, errors.New("not a JWT")
	}

	b, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err == nil {
		err = json.Unmarshal(b, &c)
	}

	return c, err
}

// checkID returns jeton.ErrInvalid for an ID token of another issuer, client or sign-in. A provider that knows only
// OAuth sends none.
func (f *signInFlow) checkID(text, nonce string) error {
	if text == "" {
		return nil
	}

	c, err := readID(text)
	if err != nil || c.Issuer != f.provider.Issuer || c.Nonce != nonce ||
		!slices.Contains(c.Audience, f.e.SignIn.ClientID) {
		return jeton.WithDetail(jeton.ErrInvalid, "the ID token of the issuer is not one for this sign-in")
	}

	return nil
}

// userOf returns the name of the user of an ID token that has been checked, or a name to use without one.
func userOf(text, otherwise string) string {
	c, err := readID(text)
	if err != nil {
		return otherwise
	}
	for _, name := range []string{c.Name, c.Email, otherwise, c.Subject} {
		if name != "" {
			return name
		}
	}

	return ""
}

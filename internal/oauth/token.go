package oauth

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/client"
	"github.com/jeton-auth/jeton/internal/gate"
	"github.com/jeton-auth/jeton/internal/jose"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/signin"
	"github.com/jeton-auth/jeton/internal/token"
	"github.com/jeton-auth/jeton/internal/web"
)

// The grants that there are.
const (
	grantClient    = "client_credentials"
	grantAssertion = "urn:ietf:params:oauth:grant-type:jwt-bearer"
)

// errGrant means that a request asks for a grant that there is not.
var errGrant = jeton.WithDetail(jeton.ErrInvalid, "grant_type is "+grantClient+" or "+grantAssertion)

// grantRefused marks the refusal of what was shown as a grant, which is another code than
// the refusal of a client (RFC 6749, section 5.2).
type grantRefused struct{ err error }

func (g *grantRefused) Error() string { return g.err.Error() }
func (g *grantRefused) Unwrap() error { return g.err }

// token answers POST /oauth2/token: a client proves itself and gets a token.
func (d *Door) token(w *web.Reply, r *http.Request) error {
	b, err := web.Body(w, r, "the request", maxForm)
	if err != nil {
		return err
	}

	form, err := parse(r.Header, b)
	if err != nil {
		return err
	}

	p, err := d.proof(r.Header, form)
	if errors.Is(err, jeton.ErrBadCredential) { // of what cannot be read, the caller is told more
		d.audit.Record(jeton.Event{
			Time:    w.Start,
			Request: w.ID,
			Actor:   "client:?",
			Action:  audit.TokenIssue,
			Service: Name,
			Outcome: jeton.Code(err),
			Reason:  err.Error(),
			Source:  web.AddressText(w.Source),
			Checks:  []jeton.Check{{Name: "given", Value: err.Error(), Result: "fail"}},
		})
	}

	if err != nil {
		return err
	}

	grant := form.Get("grant_type")
	switch {
	case grant == "":
		return jeton.WithDetail(jeton.ErrInvalid, "grant_type is missing")
	case grant == grantAssertion && (p.Assertion != "" || !p.Secret.IsZero()):
		return jeton.WithDetail(jeton.ErrInvalid, "the assertion is the proof; no other is needed next to it")
	case grant == grantAssertion && !form.Has("assertion"):
		return jeton.WithDetail(jeton.ErrInvalid, "assertion is missing")
	case grant == grantAssertion:
		p.Assertion, p.Purpose = form.Get("assertion"), signin.Grant
	case grant != grantClient:
		return errGrant
	}

	m, err := d.logins.Token(r.Context(), signin.TokenRequest{
		Credential: p,
		Audience:   asked(form),
		Scopes:     scopes(form),
		Targets:    d.targets,
		Source:     w.Source,
		Request:    w.ID,
	})
	if err != nil {
		if grant == grantAssertion {
			return &grantRefused{err}
		}
		return err
	}

	answer(w, m, w.Start)

	return nil
}

// asked returns what a token is asked for: audience and resource name services.
func asked(form url.Values) []string {
	list := slices.Concat(form["audience"], form["resource"])
	slices.Sort(list)
	return slices.Compact(list)
}

func scopes(form url.Values) []string {
	list := strings.Fields(form.Get("scope"))
	slices.Sort(list)
	return slices.Compact(list)
}

var (
	typeJSON = []string{"application/json"}
	noStore  = []string{"no-store"}
)

// answer writes a token (RFC 6749, section 5.1), and when it is good where it is not yet.
func answer(w *web.Reply, m token.Minted, now time.Time) {
	b := make([]byte, 0, 1024)
	b = append(append(b, `{"access_token":"`...), m.Text.Reveal()...) // base64url and dots: nothing to escape
	b = append(b, `","token_type":"Bearer","expires_in":`...)
	b = strconv.AppendInt(b, int64(max(m.Window.Closes.Sub(now), 0).Seconds()), 10)
	if len(m.Scopes) > 0 {
		b = append(append(append(b, `,"scope":"`...), strings.Join(m.Scopes, " ")...), '"')
	}

	if m.Window.Opens.After(now) {
		b = strconv.AppendInt(append(b, `,"nbf":`...), m.Window.Opens.Unix(), 10)
	}
	if m.MaxUses != policy.Unlimited {
		b = strconv.AppendInt(append(b, `,"max_uses":`...), m.MaxUses, 10)
	}

	b = append(b, "}\n"...)
	h := w.Header()
	h["Content-Type"], h["Cache-Control"] = typeJSON, noStore
	h["Content-Length"] = []string{strconv.Itoa(len(b))}
	_, _ = w.Write(b)
}

// refuseToken phrases a refusal of the token endpoint.
func (d *Door) refuseToken(w *web.Reply, r *http.Request, err error) {
	var grant *grantRefused

	bad := errors.Is(err, jeton.ErrBadCredential) || errors.Is(err, jeton.ErrNoCredential)
	if bad && errors.As(err, &grant) {
		refuse(w, err, http.StatusBadRequest, "invalid_grant")
		return
	}

	d.refuse(w, r, err)
}

// codes maps outcomes to the codes of RFC 6749, section 5.2, and RFC 8707, section 2.
var codes = []struct {
	err    error
	status int
	code   string
}{
	{errGrant, http.StatusBadRequest, "unsupported_grant_type"},
	{jeton.ErrNoCredential, http.StatusUnauthorized, "invalid_client"},
	{jeton.ErrBadCredential, http.StatusUnauthorized, "invalid_client"},
	{jeton.ErrForbidden, http.StatusBadRequest, "invalid_target"},
	{jeton.ErrScope, http.StatusBadRequest, "invalid_scope"},
	{jeton.ErrTooLarge, http.StatusRequestEntityTooLarge, "invalid_request"},
	{jeton.ErrConflict, http.StatusConflict, "invalid_request"},
	{jeton.ErrDeclared, http.StatusConflict, "invalid_request"},
	{jeton.ErrInvalid, http.StatusBadRequest, "invalid_request"},
	{jeton.ErrBusy, http.StatusServiceUnavailable, "temporarily_unavailable"},
	{jeton.ErrUnavailable, http.StatusServiceUnavailable, "temporarily_unavailable"},
}

// refuse phrases a refusal as RFC 6749 does: a code, and a text only where the request
// itself could not be read.
func (d *Door) refuse(w *web.Reply, r *http.Request, err error) {
	for _, c := range codes {
		if !errors.Is(err, c.err) {
			continue
		}
		if c.status == http.StatusUnauthorized && r.Header.Get("Authorization") != "" {
			w.Header().Set("WWW-Authenticate", web.BasicChallenge(Name))
		}

		refuse(w, err, c.status, c.code)
		return
	}

	refuse(w, err, http.StatusInternalServerError, "server_error")
}

func refuse(w *web.Reply, err error, status int, code string) {
	web.Mark(w, err)
	out := struct {
		Error       string `json:"error"`
		Description string `json:"error_description,omitempty"`
	}{code, jeton.Detail(err)}

	b, merr := json.Marshal(out)
	if merr != nil {
		b = []byte(`{"error":"server_error"}`)
	}

	w.Header()["Content-Type"] = typeJSON
	w.WriteHeader(status)
	_, _ = w.Write(append(b, '\n'))
}

// introspect answers POST /oauth2/introspect (RFC 7662): is this token good now for a
// service of the caller's. Looking costs no use; consume=true takes one.
func (d *Door) introspect(w *web.Reply, r *http.Request) error {
	c, form, err := called(w)
	if err != nil {
		return err
	}

	text := form.Get("token")
	if text == "" {
		return jeton.WithDetail(jeton.ErrInvalid, "token is missing")
	}

	may := func(l *token.Live) bool { return d.mayLookUp(c, l, asked(form)) }
	seen, err := d.tokens.Inspect(r.Context(), text, may, form.Get("consume") == "true", w.Start)
	outcome := jeton.Outcome(err)
	switch {
	case err == nil:
		return web.JSON(w, http.StatusOK, d.active(seen))
	case outcome == nil || errors.Is(err, jeton.ErrUnavailable) || errors.Is(err, jeton.ErrBusy):
		return err
	}

	// One answer for all that is not good: which of them it is would help who scans.
	d.audit.Record(d.event(w, audit.TokenInspect, c, err))
	h := w.Header()
	h["Content-Type"], h["Cache-Control"] = typeJSON, noStore
	_, _ = w.Write([]byte("{\"active\":false}\n"))

	return nil
}

// called returns who asks and what, once.
func called(w *web.Reply) (*proved, url.Values, error) {
	c, err := caller(w)
	if err != nil {
		return nil, nil, err
	}

	form := c.form
	c.form = nil // it holds secrets

	return c, form, nil
}

// mayLookUp reports whether a token is for a service whose tokens the caller may look up,
// and where its owner may log in; one of those that are asked about, where some are.
func (d *Door) mayLookUp(c *proved, l *token.Live, about []string) bool {
	return slices.ContainsFunc(d.targets, func(t signin.Target) bool {
		switch {
		case !slices.Contains(c.client.Introspects, t.Service) || !slices.Contains(l.Audience, t.Terms.Audience):
			return false
		case len(about) > 0 && !slices.Contains(about, t.Service) && !slices.Contains(about, t.Terms.Audience):
			return false
		}

		return l.Owner.Kind != jeton.KindUser || t.Allow == nil || t.Allow.Check(l.Principal()) == nil
	})
}

// active is what is told of a token that is good (RFC 7662, section 2.2).
type active struct {
	Active    bool     `json:"active"`
	Issuer    string   `json:"iss"`
	Subject   string   `json:"sub"`
	ClientID  string   `json:"client_id,omitempty"` // of a client's token alone
	Audience  []string `json:"aud"`
	Scope     string   `json:"scope,omitempty"`
	TokenType string   `json:"token_type"`
	Issued    int64    `json:"iat"`
	NotBefore int64    `json:"nbf"`
	Expires   int64    `json:"exp"`
	ID        string   `json:"jti"`
	MaxUses   int64    `json:"max_uses,omitempty"`
	Left      *int64   `json:"uses_remaining,omitempty"`
}

func (d *Door) active(s token.Seen) active {
	out := active{
		Active:    true,
		Issuer:    d.conf.URL,
		Subject:   s.Owner.Name,
		Audience:  s.Audience,
		Scope:     strings.Join(s.Scopes, " "),
		TokenType: "Bearer",
		Issued:    s.Created.Unix(),
		NotBefore: s.Window.Opens.Unix(),
		Expires:   s.Window.Closes.Unix(),
		ID:        s.Accessor,
	}
	if s.Owner.Kind == jeton.KindClient {
		out.ClientID = s.Owner.Name
	}
	if s.Counted {
		out.MaxUses, out.Left = s.MaxUses, &s.Left
	}

	return out
}

// revoke answers POST /oauth2/revoke (RFC 7009). What is no token, or another client's, is
// left alone and answered alike.
func (d *Door) revoke(w *web.Reply, r *http.Request) error {
	c, form, err := called(w)
	if err != nil {
		return err
	}

	text := form.Get("token")
	if text == "" {
		return jeton.WithDetail(jeton.ErrInvalid, "token is missing")
	}
	if err := d.tokens.Revoke(
		r.Context(),
		text,
		token.ClientOwner(c.client),
		d.event(w, audit.TokenRevoke, c, nil),
	); err != nil {
		return err
	}

	w.Header()["Cache-Control"] = noStore
	w.WriteHeader(http.StatusOK)

	return nil
}

// addKey answers POST /oauth2/keys: a client registers another public key of its own. It
// has proved itself with an older key, and shows that it holds the new one by a JWT that
// the new one has signed.
func (d *Door) addKey(w *web.Reply, r *http.Request) error {
	c, form, err := called(w)
	if err != nil {
		return err
	}
	if !c.byKey {
		return jeton.WithDetail(
			jeton.ErrInvalid,
			"prove the client by an assertion that an older key has signed; a secret does not do",
		)
	}

	k, err := jose.ParseKey([]byte(form.Get("key")), jose.Alg(form.Get("alg")), form.Get("kid"))
	if err != nil {
		return jeton.WithDetail(jeton.ErrInvalid, "key is no public key that is taken here, PEM or JWK")
	}

	proof := signin.ClientCredential{
		ClientID:  c.client.Name,
		Assertion: form.Get("proof"),
		Purpose:   signin.Possession,
		Issuer:    d.conf.URL,
	}
	if err := d.logins.AddKey(r.Context(), c.client, k, proof, d.event(w, audit.ClientKeyAdd, c, nil)); err != nil {
		return err
	}

	return web.JSON(w, http.StatusCreated, map[string]string{"kid": k.ID})
}

func (d *Door) event(w *web.Reply, action string, c *proved, err error) jeton.Event {
	e := jeton.Event{
		Time:    w.Start,
		Request: w.ID,
		Actor:   gate.Actor(c.Principal()),
		Action:  action,
		Service: Name,
		Outcome: audit.OK,
		Source:  web.AddressText(w.Source),
	}
	if err != nil {
		e.Outcome, e.Reason = jeton.Code(err), err.Error()
	}
	return e
}

// newest puts the keys that a client added last first.
func newest(c client.Client, list []jose.Key) []jose.Key {
	at := map[string]time.Time{}
	for _, k := range c.Keys {
		at[k.ID] = k.Created
	}

	list = slices.Clone(list)
	slices.SortStableFunc(list, func(a, b jose.Key) int { return at[b.ID].Compare(at[a.ID]) })

	return list
}

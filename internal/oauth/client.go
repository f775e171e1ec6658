package oauth

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/client"
	"github.com/jeton-auth/jeton/internal/gate"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/signin"
	"github.com/jeton-auth/jeton/internal/web"
)

// maxForm is the maximum size of a request body, in bytes.
const maxForm = 64 << 10

// assertionJWT is the only type of client assertion (RFC 7523, section 2.2).
const assertionJWT = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// repeatable are the parameters that may be repeated (RFC 8707, section 2).
var repeatable = []string{"resource", "audience"}

// parse reads a form. A parameter without a value counts as absent, and a repeated one is
// refused (RFC 6749, section 3.2).
func parse(h http.Header, body []byte) (url.Values, error) {
	if !web.IsForm(h) {
		return nil, jeton.WithDetail(jeton.ErrInvalid, "send application/x-www-form-urlencoded")
	}

	form, err := web.ParseForm(body)
	if err != nil {
		return nil, err
	}

	for name, values := range form {
		values = slices.DeleteFunc(values, func(v string) bool { return v == "" })
		if len(values) > 1 && !slices.Contains(repeatable, name) {
			return nil, jeton.WithDetail(jeton.ErrInvalid, "a parameter is given more than once")
		}

		form[name] = values
		if len(values) == 0 {
			delete(form, name)
		}
	}

	return form, nil
}

// credential reads the credential of a client: exactly one of an assertion, the header
// Authorization and a secret in the form (RFC 6749, section 2.3). It may have none.
func (s *Server) credential(h http.Header, form url.Values) (signin.ClientCredential, error) {
	p := signin.ClientCredential{ClientID: form.Get("client_id"), Issuer: s.conf.URL, Purpose: signin.Authentication}
	ways := 0

	// Has, not Get: an empty assertion is a client that tried one, and must not pass as none.
	if form.Has("client_assertion") || form.Has("client_assertion_type") {
		ways++
		p.Assertion = form.Get("client_assertion")
		if form.Get("client_assertion_type") != assertionJWT || p.Assertion == "" {
			return p, jeton.WithDetail(
				jeton.ErrInvalid,
				"client_assertion goes with client_assertion_type="+assertionJWT,
			)
		}
	}

	text := form.Get("client_secret")
	if text != "" {
		ways++
		p.Secret = jeton.NewSecret(text)
	}

	if len(h["Authorization"]) > 0 {
		ways++
		id, password, ok := basic(h)
		if !ok {
			return p, fmt.Errorf(
				"%w: the header Authorization is not Basic with a client_id and a secret",
				jeton.ErrBadCredential,
			)
		}

		// Which of the two would be logged and limited must not be the caller's choice.
		if p.ClientID != "" && p.ClientID != id {
			return p, fmt.Errorf(
				"%w: client_id and the header Authorization name different clients",
				jeton.ErrBadCredential,
			)
		}

		p.ClientID, p.Secret = id, jeton.NewSecret(password)
	}

	// RFC 6749, section 2.3: a client must not use more than one in a request.
	if ways > 1 {
		return p, jeton.WithDetail(jeton.ErrInvalid, "more than one way to prove a client; use one")
	}

	return p, nil
}

// basic reads the name and secret of a client from the header Authorization. Both are
// form-encoded (RFC 6749, section 2.3.1).
func basic(h http.Header) (id, secret string, ok bool) {
	credentials, found, err := web.Authorization(h, "Basic")
	if err != nil || !found {
		return "", "", false
	}

	id, secret, err = web.ParseBasic(credentials)
	if err != nil {
		return "", "", false
	}

	id, err = url.QueryUnescape(id)
	if err != nil {
		return "", "", false
	}

	secret, err = url.QueryUnescape(secret)

	return id, secret, err == nil && id != "" && secret != ""
}

// reader authenticates clients for the gate.
type reader struct{ server *Server }

// Kinds implements gate.Reader.
func (reader) Kinds() policy.Kinds { return policy.ByClient }

// Read implements gate.Reader.
func (c reader) Read(ctx context.Context, q *gate.Request) (gate.Credential, error) {
	b, err := q.Body()
	if err != nil {
		return nil, err
	}

	// Faults of the form come before the credential, so a bad request uses no assertion up.
	form, err := parse(q.Header, b)
	if err != nil {
		return nil, err
	}

	p, err := c.server.credential(q.Header, form)
	switch {
	case err != nil:
		return nil, err
	case p.Assertion == "" && p.Secret.IsZero() && (q.Path != pathRevoke || p.ClientID == ""):
		return nil, gate.ErrNotMine
	}

	// RFC 7009, section 2.1: a public client revokes its own tokens by its name, and by them.
	p.Public = q.Path == pathRevoke

	// An assertion is used up here: it does not serve a second request, whatever this one becomes.
	found, err := c.server.logins.Client(ctx, p)
	if err != nil {
		return nil, err
	}

	return &authenticated{
		client: found,
		byKey:  p.Assertion != "",
		public: p.Assertion == "" && p.Secret.IsZero(),
		at:     q.Now,
		form:   form,
	}, nil
}

// authenticated is a client that has authenticated, for this one request.
type authenticated struct {
	gate.PerRequest
	client client.Client
	byKey  bool
	public bool // it has shown only its name
	at     time.Time
	form   url.Values // the request; the handler takes it, as the gate keeps the credential for a while
}

// Principal implements gate.Credential.
func (p *authenticated) Principal() jeton.Principal {
	return jeton.Principal{Kind: jeton.KindClient, Name: p.client.Name, Since: p.at}
}

// Describe implements gate.Credential.
func (p *authenticated) Describe() (which, window string) {
	by := ", by its secret"
	switch {
	case p.byKey:
		by = ", by an assertion"
	case p.public:
		by = ", which is public"
	}

	return "client " + p.client.Name + by, "good for this request"
}

// caller returns the client that sent a request, and its form.
func caller(w *web.Reply) (*authenticated, url.Values, error) {
	// The route admits only clients, so this fails only if the route table is wrong.
	c, ok := gate.From(w).Credential().(*authenticated)
	if !ok {
		return nil, nil, jeton.ErrNoCredential
	}

	form := c.form
	c.form = nil // it holds secrets

	return c, form, nil
}

// event returns the audit event of a request of a client.
func (s *Server) event(w *web.Reply, action string, c *authenticated, err error) jeton.Event {
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

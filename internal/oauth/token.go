package oauth

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/signin"
	"github.com/jeton-auth/jeton/internal/token"
	"github.com/jeton-auth/jeton/internal/web"
)

// The supported grants.
const (
	grantClient    = "client_credentials"
	grantAssertion = "urn:ietf:params:oauth:grant-type:jwt-bearer"
	grantCode      = "authorization_code"
	grantRefresh   = "refresh_token"
	grantDevice    = "urn:ietf:params:oauth:grant-type:device_code"
	grantExchange  = "urn:ietf:params:oauth:grant-type:token-exchange"
)

// errGrant is a request for an unsupported grant.
var errGrant = jeton.WithDetail(
	jeton.ErrInvalid, "unknown grant_type; grant_types_supported in the metadata has them",
)

// token answers POST /oauth2/token: a client authenticates and gets a token.
func (s *Server) token(w *web.Reply, r *http.Request) error {
	// Before grant_type is judged: an unreadable credential is in the audit log whatever the grant.
	form, credential, err := s.readClient(w, r, audit.TokenIssue)
	if err != nil {
		return err
	}

	grant := form.Get("grant_type")
	switch grant {
	case grantClient:
	case grantAssertion:
		err = s.useGrant(&credential, form, "assertion")
		if err != nil {
			return err
		}
	case grantExchange:
		return s.exchange(w, r, credential, form)
	case grantCode, grantRefresh, grantDevice:
		if !s.conf.Pages {
			return errGrant
		}

		return s.relyingToken(w, r, credential, form)
	case "":
		return jeton.WithDetail(jeton.ErrInvalid, "grant_type is missing")
	default:
		return errGrant
	}

	minted, err := s.logins.Token(r.Context(), s.tokenRequest(w, credential, form))
	// RFC 6749, section 5.2: a refused assertion is invalid_grant here, and not invalid_client.
	if err != nil && grant == grantAssertion {
		return &grantRefused{err, codeGrant}
	}
	if err != nil {
		return err
	}

	writeToken(w, minted, "")

	return nil
}

// tokenRequest returns the request of a client for a token.
func (s *Server) tokenRequest(w *web.Reply, credential signin.ClientCredential, form url.Values) signin.TokenRequest {
	return signin.TokenRequest{
		Credential: credential,
		Audience:   audience(form),
		Scopes:     scopes(form),
		Targets:    s.targets,
		Source:     w.Source,
		Request:    w.ID,
	}
}

// readClient reads the form of a client with the credential in it or in the headers.
func (s *Server) readClient(
	w *web.Reply,
	r *http.Request,
	action string,
) (form url.Values, credential signin.ClientCredential, err error) {
	b, err := web.Body(w, r, "the request", maxForm)
	if err != nil {
		return nil, credential, err
	}

	form, err = parse(r.Header, b)
	if err != nil {
		return nil, credential, err
	}

	credential, err = s.credential(r.Header, form)
	if errors.Is(err, jeton.ErrBadCredential) {
		s.auditUnreadable(w, action, err)
	}

	return form, credential, err
}

// auditUnreadable records a credential that could not be read, so that no client is known.
func (s *Server) auditUnreadable(w *web.Reply, action string, err error) {
	s.audit.Record(jeton.Event{
		Time:    w.Start,
		Request: w.ID,
		Actor:   "client:?",
		Action:  action,
		Service: Name,
		Outcome: jeton.Code(err),
		Reason:  err.Error(),
		Source:  web.AddressText(w.Source),
		Checks:  []jeton.Check{{Name: "given", Value: err.Error(), Result: "fail"}},
	})
}

// useGrant makes the JWT in a parameter the credential: the assertion of a JWT bearer grant (RFC 7523, section 2.1), or
// the token that is exchanged.
func (s *Server) useGrant(c *signin.ClientCredential, form url.Values, parameter string) error {
	// Two proofs could be of two clients, and the token would belong to one of them.
	if c.Assertion != "" || !c.Secret.IsZero() {
		return jeton.WithDetail(jeton.ErrInvalid, "the "+parameter+" is the proof; no other is needed next to it")
	}
	if !form.Has(parameter) {
		return jeton.WithDetail(jeton.ErrInvalid, parameter+" is missing")
	}

	c.Assertion = form.Get(parameter)
	c.Purpose = signin.Grant
	c.Workloads = s.workloads

	return nil
}

// audience returns the services that the parameters audience and resource name.
func audience(form url.Values) []string {
	list := slices.Concat(form["audience"], form["resource"])
	slices.Sort(list)

	return slices.Compact(list)
}

// scopes returns the requested scopes, sorted and each once: their order means nothing (RFC
// 6749, section 3.3).
func scopes(form url.Values) []string {
	list := strings.Fields(form.Get("scope"))
	slices.Sort(list)

	return slices.Compact(list)
}

// writeToken writes a token (RFC 6749, section 5.1), with nbf when it is not valid yet, and with the type of an
// exchanged one (RFC 8693, section 2.2.1).
func writeToken(w *web.Reply, m token.Minted, exchanged string) {
	now := w.Start
	b := make([]byte, 0, 1024)
	b = append(append(b, `{"access_token":"`...), m.Text.Reveal()...) // base64url and dots: nothing to escape
	b = append(b, `","token_type":"Bearer","expires_in":`...)
	b = strconv.AppendInt(b, int64(max(m.Window.Closes.Sub(now), 0).Seconds()), 10)
	if exchanged != "" {
		b = append(append(append(b, `,"issued_token_type":"`...), exchanged...), '"')
	}
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

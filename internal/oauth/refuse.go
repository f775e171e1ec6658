package oauth

import (
	"encoding/json"
	"errors"
	"net/http"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/signin"
	"github.com/jeton-auth/jeton/internal/web"
)

// grantRefused is the refusal of a grant, whose code is another one than that of a refused
// client (RFC 6749, section 5.2).
type grantRefused struct {
	err  error
	code string
}

// codeGrant is the code of a grant that is not valid.
const codeGrant = "invalid_grant"

func (g *grantRefused) Error() string { return g.err.Error() }

func (g *grantRefused) Unwrap() error { return g.err }

var (
	typeJSON = []string{"application/json"}
	noStore  = []string{"no-store"}
)

// refuseToken writes a refusal of the token endpoint.
func (s *Server) refuseToken(w *web.Reply, r *http.Request, err error) {
	var grant *grantRefused

	for _, c := range deviceCodes {
		if errors.Is(err, c.err) {
			refuse(w, err, http.StatusBadRequest, c.code)
			return
		}
	}

	// In this grant the assertion is the grant as well as the proof of the client, so a refused
	// one is invalid_grant, 400, and not invalid_client (RFC 7521, section 4.1.1).
	bad := errors.Is(err, jeton.ErrBadCredential) || errors.Is(err, jeton.ErrNoCredential)

	// A user who may not sign in at a relying party any more has no valid grant there.
	var relied *signin.GrantError
	var subject *signin.SubjectError
	switch {
	case errors.As(err, &subject):
		refuse(w, err, http.StatusBadRequest, codeInvalid) // RFC 8693, section 2.2.2
		return
	case bad && errors.As(err, &grant):
		refuse(w, err, http.StatusBadRequest, grant.code)
		return
	case errors.As(err, &relied):
		refuse(w, err, http.StatusBadRequest, codeGrant)
		return
	}

	s.refuse(w, r, err)
}

// deviceCodes maps why a device gets no tokens to the codes of RFC 8628, section 3.5.
var deviceCodes = []struct {
	err  error
	code string
}{
	{signin.ErrDevicePending, "authorization_pending"},
	{signin.ErrDeviceSlow, "slow_down"},
	{signin.ErrDeviceDenied, codeDenied},
	{signin.ErrDeviceExpired, "expired_token"},
}

// codes maps outcomes to the codes of RFC 6749, section 5.2, and RFC 8707, section 2.
var codes = []struct {
	err    error
	status int
	code   string
}{
	{errGrant, http.StatusBadRequest, "unsupported_grant_type"},
	{signin.ErrDeviceClient, http.StatusBadRequest, "unauthorized_client"},
	{jeton.ErrNoCredential, http.StatusUnauthorized, "invalid_client"},
	{jeton.ErrBadCredential, http.StatusUnauthorized, "invalid_client"},
	{jeton.ErrForbidden, http.StatusBadRequest, "invalid_target"},
	{jeton.ErrScope, http.StatusBadRequest, "invalid_scope"},
	{jeton.ErrTooLarge, http.StatusRequestEntityTooLarge, "invalid_request"},
	{jeton.ErrConflict, http.StatusConflict, "invalid_request"},
	{jeton.ErrDeclared, http.StatusConflict, "invalid_request"},
	{jeton.ErrInvalid, http.StatusBadRequest, "invalid_request"},
	{jeton.ErrTooMany, http.StatusTooManyRequests, "temporarily_unavailable"},
	{jeton.ErrBusy, http.StatusServiceUnavailable, "temporarily_unavailable"},
	{jeton.ErrUnavailable, http.StatusServiceUnavailable, "temporarily_unavailable"},
}

// refuse writes a refusal as in RFC 6749: a code, and a description only of an invalid
// request.
func (s *Server) refuse(w *web.Reply, r *http.Request, err error) {
	for _, c := range codes {
		if !errors.Is(err, c.err) {
			continue
		}

		// RFC 6749, section 5.2: the challenge answers a client that tried the header.
		if c.status == http.StatusUnauthorized && r.Header.Get("Authorization") != "" {
			w.Header().Set("WWW-Authenticate", web.BasicChallenge(Name))
		}

		refuse(w, err, c.status, c.code)
		return
	}

	refuse(w, err, http.StatusInternalServerError, "server_error")
}

// refuse writes an error of RFC 6749, section 5.2. The outcome goes to metrics and the log
// as everywhere.
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

package oauth

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/account"
	"github.com/jeton-auth/jeton/internal/client"
	"github.com/jeton-auth/jeton/internal/config"
	"github.com/jeton-auth/jeton/internal/openid"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/signin"
	"github.com/jeton-auth/jeton/internal/token"
	"github.com/jeton-auth/jeton/internal/web"
)

// verifierForm is a code_verifier (RFC 7636, section 4.1). A shorter one could be guessed.
var verifierForm = regexp.MustCompile(`^[A-Za-z0-9._~-]{43,128}$`)

// relyingToken answers a token request of a relying party: with a code (RFC 6749, section 4.1.3), a refresh token
// (section 6) or a device code (RFC 8628, section 3.4).
func (s *Server) relyingToken(w *web.Reply, r *http.Request, cred signin.ClientCredential, form url.Values) error {
	// Before anything is refused: the script reads why.
	if err := s.readable(w, r, cred.ClientID); err != nil {
		return err
	}

	req := signin.RelyingRequest{
		Credential: cred,
		Scopes:     scopes(form),
		Resources:  audience(form),
		Targets:    s.targets,
		Source:     w.Source,
		Request:    w.ID,
	}

	if err := readGrant(&req, form); err != nil {
		return err
	}

	got, err := s.logins.Relying(r.Context(), req)
	var refused *signin.GrantError
	if errors.As(err, &refused) {
		return &grantRefused{err, codeGrant}
	}
	if err != nil {
		return err
	}

	return s.writeRelied(w, r, got)
}

// readGrant reads what a relying party shows for its tokens.
func readGrant(req *signin.RelyingRequest, form url.Values) error {
	wrong := ""
	switch form.Get("grant_type") {
	case grantCode:
		req.Code = form.Get("code")
		req.Verifier = form.Get("code_verifier")
		req.Redirect = form.Get("redirect_uri")
		if req.Code == "" || req.Redirect == "" {
			wrong = "code and redirect_uri are required"
		} else if req.Verifier != "" && !verifierForm.MatchString(req.Verifier) {
			wrong = "code_verifier: want 43 to 128 letters, digits and -._~"
		}
	case grantDevice:
		req.Device = form.Get("device_code")
		if req.Device == "" {
			wrong = "device_code is missing"
		}
	default:
		req.Refresh = form.Get("refresh_token")
		if req.Refresh == "" {
			wrong = "refresh_token is missing"
		}
	}
	if wrong != "" {
		return jeton.WithDetail(jeton.ErrInvalid, wrong)
	}

	return nil
}

// reliedAnswer is the answer of the token endpoint (OpenID Connect Core 1.0, section 3.1.3.3).
type reliedAnswer struct {
	Access  string `json:"access_token"`
	Type    string `json:"token_type"`
	Expires int64  `json:"expires_in"`
	Scope   string `json:"scope"`
	Refresh string `json:"refresh_token,omitempty"`
	ID      string `json:"id_token,omitempty"` // with scope openid
	// Ours: terms of the access token, as in the answer to a client.
	NotBefore int64 `json:"nbf,omitempty"`
	MaxUses   int64 `json:"max_uses,omitempty"`
}

// writeRelied writes the answer.
func (s *Server) writeRelied(w *web.Reply, r *http.Request, got signin.Relied) error {
	text := ""
	if slices.Contains(got.Access.Scopes, openid.ScopeOpenID) {
		var err error
		text, err = s.idToken(w, r, got)
		if err != nil {
			return err
		}
	}

	w.Header()["Cache-Control"] = noStore

	out := reliedAnswer{
		Access:  got.Access.Text.Reveal(),
		Type:    "Bearer",
		Expires: int64(got.Access.Window.Closes.Sub(w.Start) / time.Second),
		Scope:   strings.Join(got.Access.Scopes, " "),
		Refresh: got.Refresh.Reveal(),
		ID:      text,
	}
	if got.Access.Window.Opens.After(w.Start) {
		out.NotBefore = got.Access.Window.Opens.Unix()
	}
	if got.Access.MaxUses != policy.Unlimited {
		out.MaxUses = got.Access.MaxUses
	}

	return web.JSON(w, http.StatusOK, out)
}

// idToken signs the ID token of an answer.
func (s *Server) idToken(w *web.Reply, r *http.Request, got signin.Relied) (string, error) {
	party := got.Client.OpenID

	id := openid.IDToken{
		Issuer:     s.conf.URL,
		Audience:   got.Client.Name,
		Issued:     w.Start.Unix(),
		Expires:    w.Start.Add(openid.Lifetime).Unix(),
		SignedIn:   got.SignedIn.Unix(),
		Nonce:      got.Nonce,
		AccessHash: openid.AccessHash(got.Access.Text),
		Session:    got.Session,
		Methods:    got.Methods,
		Level:      got.Level,
		Claims:     openid.IDTokenClaims(party, got.Subject, got.User, got.Access.Scopes),
	}

	return id.Sign(r.Context(), s.ring, client.IDTokenAlg(party))
}

// userinfo answers GET and POST /oauth2/userinfo (OpenID Connect Core 1.0, section 5.3) with the claims of the user of
// an access token.
func (s *Server) userinfo(w *web.Reply, r *http.Request) error {
	text, found, err := web.Authorization(r.Header, "Bearer")
	if err != nil || !found {
		return jeton.ErrNoCredential
	}

	live, err := s.tokens.Find(r.Context(), text, s.conf.URL)
	if err != nil {
		return err
	}
	if err := s.readable(w, r, live.Name); err != nil {
		return err
	}
	if err := live.Check(w.Start); err != nil {
		return err
	}

	c, acct, err := s.relyingUser(r, live)
	if err != nil {
		return err
	}
	subject, err := s.subjects.Of(r.Context(), c, acct.UUID)
	if err != nil {
		return err
	}

	w.Header()["Cache-Control"] = noStore

	return web.JSON(w, http.StatusOK, openid.ClaimsOf(subject, acct, live.Scopes))
}

// refuseUserinfo writes a refusal (RFC 6750, section 3).
func (s *Server) refuseUserinfo(w *web.Reply, r *http.Request, err error) {
	status, challenge := 0, ""
	switch jeton.Outcome(err) {
	case jeton.ErrNoCredential:
		status, challenge = http.StatusUnauthorized, `Bearer realm="issuer"`
	case jeton.ErrBadCredential, jeton.ErrExpired, jeton.ErrTooEarly, jeton.ErrForbidden:
		status, challenge = http.StatusUnauthorized, `Bearer realm="issuer", error="invalid_token"`
	default:
		web.Fail(w, r, err)
		return
	}

	web.Mark(w, err)
	w.Header().Set("WWW-Authenticate", challenge)
	w.Header()["Content-Type"] = typeJSON
	w.WriteHeader(status)

	b, _ := json.Marshal(map[string]string{"error": "invalid_token"}) // has no way to fail
	_, _ = w.Write(append(b, '\n'))
}

// relyingUser returns the relying party of an access token, and its user, who may still sign in there.
func (s *Server) relyingUser(r *http.Request, live *token.Live) (c client.Client, acct account.Account, err error) {
	// Only the tokens of grants are made for this: they have a parent.
	if live.Kind != token.Access || live.Parent == 0 {
		return c, acct, jeton.ErrBadCredential
	}

	c, err = s.clients.FindForLogin(r.Context(), live.Name)
	if err != nil {
		return c, acct, err
	}
	if c.Disabled || c.OpenID == nil {
		return c, acct, jeton.ErrBadCredential
	}

	acct, err = s.accounts.FindCached(r.Context(), live.Owner.Name)
	if err != nil {
		return c, acct, err
	}
	// By the current groups, not those of the sign-in.
	who := live.Principal()
	who.Groups = acct.Groups
	if client.Allowed(c.OpenID).CheckLogin(who) != nil || acct.ID != live.Owner.ID || !acct.ValidAt(config.IssuerName) {
		return c, acct, jeton.ErrBadCredential
	}

	return c, acct, nil
}

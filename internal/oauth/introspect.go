package oauth

import (
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/signin"
	"github.com/jeton-auth/jeton/internal/token"
	"github.com/jeton-auth/jeton/internal/web"
)

// introspect answers POST /oauth2/introspect (RFC 7662): whether a token is valid now for a
// service of the caller. It spends no use of the token; consume=true spends one.
func (s *Server) introspect(w *web.Reply, r *http.Request) error {
	c, form, err := caller(w)
	if err != nil {
		return err
	}

	text := form.Get("token")
	if text == "" {
		return jeton.WithDetail(jeton.ErrInvalid, "token is missing")
	}

	// It is asked before a use is taken: consume=true by a client that may not look costs no use.
	named := audience(form)
	var services []signin.Target
	allowed := func(l *token.Live) bool {
		services = s.introspectable(c, l, named)
		return len(services) > 0
	}

	seen, err := s.tokens.Inspect(r.Context(), text, allowed, form.Get("consume") == "true")
	outcome := jeton.Outcome(err)
	switch {
	case err == nil:
		return web.JSON(w, http.StatusOK, s.active(seen, services))
	// Nothing is known about the token, and "inactive" would make services refuse a valid one.
	case outcome == nil || errors.Is(err, jeton.ErrUnavailable) || errors.Is(err, jeton.ErrBusy):
		return err
	}

	// One response for every token that is not valid: the reason would help a scanner.
	// The operator gets the reason that the response withholds.
	s.audit.Record(s.event(w, audit.TokenInspect, c, err))
	h := w.Header()
	h["Content-Type"], h["Cache-Control"] = typeJSON, noStore
	_, _ = w.Write([]byte("{\"active\":false}\n"))

	return nil
}

// introspectable returns the services that a token is for, whose tokens the caller may introspect
// and where its owner may log in. When the request names services, it returns only these.
func (s *Server) introspectable(c *authenticated, l *token.Live, named []string) []signin.Target {
	var list []signin.Target
	for _, t := range s.targets {
		switch {
		// A service learns nothing of a token that is only for other services.
		case !slices.Contains(c.client.Introspects, t.Service) || !slices.Contains(l.Audience, t.Terms.Audience):
		case len(named) > 0 && !slices.Contains(named, t.Service) && !slices.Contains(named, t.Terms.Audience):
		case !l.Owner.ValidAt(t.Service) || t.Allow.CheckLogin(l.Principal()) != nil:
		default:
			list = append(list, t)
		}
	}

	return list
}

// active is the response for a valid token (RFC 7662, section 2.2).
type active struct {
	Active    bool     `json:"active"`
	Issuer    string   `json:"iss"`
	Subject   string   `json:"sub"`
	ClientID  string   `json:"client_id,omitempty"` // only of a client's token
	Audience  []string `json:"aud"`
	Scope     string   `json:"scope,omitempty"`
	TokenType string   `json:"token_type"`
	Issued    int64    `json:"iat"`
	NotBefore int64    `json:"nbf"`
	Expires   int64    `json:"exp"`
	ID        string   `json:"jti"`
	MaxUses   int64    `json:"max_uses,omitempty"`
	Left      *int64   `json:"uses_remaining,omitempty"`

	Act *jeton.Actor `json:"act,omitempty"` // of an exchanged token
}

// active returns the response for a valid token (RFC 7662, section 2.2) to a caller that looks it
// up for the services. Of a user's token it has the scopes that the user has at each of them:
// what is granted at one is not shown to another.
func (s *Server) active(seen token.Inspection, services []signin.Target) active {
	scopes := seen.Scopes
	for _, t := range services {
		scopes = t.Grants.Limit(seen.Principal(), scopes)
	}

	out := active{
		Active:    true,
		Issuer:    s.conf.URL,
		Subject:   seen.Owner.Name,
		Audience:  seen.Audience,
		Scope:     strings.Join(scopes, " "),
		TokenType: "Bearer",
		Issued:    seen.Created.Unix(),
		NotBefore: seen.Window.Opens.Unix(),
		Expires:   seen.Window.Closes.Unix(),
		ID:        seen.Accessor,
		Act:       jeton.NewActor(seen.Principal().Actors),
	}

	// A user's token was issued to no client, and client_id would claim one; but an exchanged one was, to the client
	// that acts (RFC 8693, section 4.3). A client's own name shows that it is no user.
	switch {
	case seen.Owner.Kind == jeton.KindClient:
		out.ClientID = seen.Owner.Name
	case out.Act != nil:
		out.ClientID = out.Act.Subject
	}
	if seen.Counted {
		out.MaxUses, out.Left = seen.MaxUses, &seen.Left
	}

	return out
}

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

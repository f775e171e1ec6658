package guard

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"math"
	"net/http"
	"strconv"
	"strings"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/secret"
)

// contextKey is the key of an admitted in the context of a request.
type contextKey struct{}

// admitted is the token in the context of a request, and the guard that accepted it.
type admitted struct {
	guard *Guard
	token Token
}

// From returns the token of a request that Require has accepted.
func From(ctx context.Context) (Token, bool) {
	p, ok := ctx.Value(contextKey{}).(*admitted)
	if !ok {
		return Token{}, false
	}
	return p.token, true
}

// Require returns middleware that accepts requests whose token is valid and has all of the
// scopes. It reads the token only from the header Authorization (RFC 6750, section 2.1):
// a query ends up in logs, and a browser sends cookies with requests of other sites, too. The
// handler gets the token by From.
//
// A request that has passed a Require of the same guard takes no second use. An outer
// Require for all routes can be combined with inner ones for scopes.
//
// Refusals are problem details (RFC 9457) with the header Jeton-Error and a challenge
// (RFC 6750, section 3). Require panics if a scope is not valid (RFC 6749, section 3.3), so
// that the mistake shows when the program starts.
func (g *Guard) Require(scopes ...string) func(http.Handler) http.Handler {
	for _, s := range scopes {
		if s == "" || strings.ContainsFunc(s, notInScope) {
			panic("guard: invalid scope: " + strconv.Quote(s))
		}
	}

	// A copy: the caller may change its slice while requests are checked.
	scopes = append([]string(nil), scopes...)
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			ctx, err := g.admit(r, scopes)
			if err != nil {
				g.refuse(w, r, err, scopes)
				return
			}

			tok, _ := From(ctx)
			if tok.UsesRemaining != nil {
				w.Header().Set(jeton.HeaderUsesRemaining, strconv.FormatInt(*tok.UsesRemaining, 10))
			}

			next.ServeHTTP(w, r.WithContext(ctx))
		})
	}
}

// notInScope reports whether a character cannot be in a scope.
func notInScope(r rune) bool { return r <= ' ' || r > '~' || r == '"' || r == '\\' }

// admit returns the context of an accepted request, with its token.
func (g *Guard) admit(r *http.Request, scopes []string) (context.Context, error) {
	ctx := r.Context()
	// Of this guard only: another one may be for another issuer or audience.
	if a, ok := ctx.Value(contextKey{}).(*admitted); ok && a.guard == g {
		return ctx, checkScopes(a.token.Scopes, scopes)
	}

	text, err := bearer(r.Header)
	if err != nil {
		return nil, err
	}

	tok, err := g.check(ctx, text, scopes)
	if err != nil {
		return nil, err
	}

	return context.WithValue(ctx, contextKey{}, &admitted{g, tok}), nil
}

// bearer reads the token. The scheme is case-insensitive (RFC 9110, section 11.1).
func bearer(h http.Header) (string, error) {
	lines := h["Authorization"]
	if len(lines) == 0 {
		return "", jeton.ErrNoCredential
	}

	// A proxy in front may have judged the other one.
	if len(lines) > 1 {
		return "", jeton.WithDetail(jeton.ErrAmbiguous, "more than one header Authorization")
	}

	scheme, text, _ := strings.Cut(lines[0], " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return "", jeton.ErrNoCredential
	}

	return strings.Trim(text, " "), nil
}

// outcomes maps errors to a status and a title, equal to those of internal/web, and to the code of
// RFC 6750, section 3.1.
var outcomes = []struct {
	err    error
	status int
	title  string
	code   string
}{
	{jeton.ErrNoCredential, http.StatusUnauthorized, "Authentication required", ""},
	{jeton.ErrBadCredential, http.StatusUnauthorized, "The credential is not valid", "invalid_token"},
	{jeton.ErrExpired, http.StatusUnauthorized, "The credential has expired", "invalid_token"},
	{jeton.ErrTooEarly, http.StatusUnauthorized, "The credential is not valid yet", "invalid_token"},
	{jeton.ErrForbidden, http.StatusForbidden, "Not allowed", ""},
	{jeton.ErrScope, http.StatusForbidden, "The scopes of the token are not enough", "insufficient_scope"},
	{jeton.ErrAmbiguous, http.StatusBadRequest, "More than one credential", "invalid_request"},
	{jeton.ErrBusy, http.StatusServiceUnavailable, "Busy", ""},
	{jeton.ErrUnavailable, http.StatusServiceUnavailable, "Unavailable", ""},
}

// refuse writes the response for a refused request and logs the reason for the operator.
func (g *Guard) refuse(w http.ResponseWriter, r *http.Request, err error, scopes []string) {
	p, code := problem(err)
	g.logRefusal(r, p, err)

	h := w.Header()
	switch {
	// No credential of the client helps a request that Jeton has not admitted.
	case errors.Is(err, jeton.ErrForbidden):
	// Also on a 403, whose challenge names the scope that is missing (RFC 6750, section 3.1).
	case p.Status < 500:
		// As RFC 9110, section 11.6.1, spells it: Set would send "Www-Authenticate".
		h["WWW-Authenticate"] = []string{g.challenge(code, scopes)}
	case p.Status == http.StatusServiceUnavailable:
		wait, ok := jeton.RetryAfter(err)
		if !ok {
			wait = g.pace
		}
		h.Set("Retry-After", strconv.Itoa(max(int(math.Ceil(wait.Seconds())), 1)))
	}

	h.Set("Content-Type", "application/problem+json")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set(jeton.HeaderError, p.Code)

	body, err := json.Marshal(p)
	if err != nil {
		body = []byte("{}") // a Problem always encodes
	}

	w.WriteHeader(p.Status)
	_, _ = w.Write(append(body, '\n'))
}

// problem returns the problem details of an error, and its code for the challenge.
func problem(err error) (p jeton.Problem, code string) {
	p = jeton.Problem{
		Type:   "about:blank",
		Title:  "Internal error",
		Status: http.StatusInternalServerError,
		Code:   jeton.CodeInternal,
	}

	for _, o := range outcomes {
		if errors.Is(err, o.err) {
			p.Title = o.title
			p.Status = o.status
			p.Code = jeton.Code(o.err)
			p.Detail = jeton.Detail(err)

			return p, o.code
		}
	}

	return p, ""
}

// logRefusal logs why a request was refused. The path is cut off before anything that looks
// like a secret.
func (g *Guard) logRefusal(r *http.Request, p jeton.Problem, err error) {
	level := slog.LevelInfo
	// Only these are for the operator to mend; a client can cause any other as often as it likes.
	if errors.Is(err, errNoIntrospection) || p.Status == http.StatusInternalServerError {
		level = slog.LevelWarn
	}

	g.conf.Log.LogAttrs(r.Context(), level, "request refused",
		slog.String("method", r.Method),
		slog.String("path", secret.RedactPath(r.URL.Path)),
		slog.String("code", p.Code),
		slog.Any("error", err),
	)
}

// challenge returns the header WWW-Authenticate (RFC 6750, section 3).
func (g *Guard) challenge(code string, scopes []string) string {
	escaped := strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(g.conf.Audience)
	value := `Bearer realm="` + escaped + `"`
	if code != "" {
		value += `, error="` + code + `"`
	}

	if code == "insufficient_scope" {
		value += `, scope="` + strings.Join(scopes, " ") + `"`
	}
	if g.metadata != "" {
		value += `, resource_metadata="` + g.metadata + `"`
	}

	return value
}

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

type contextKey struct{}

// passed is a token in the context of a request, and who let it through.
type passed struct {
	guard *Guard
	token Token
}

// From returns the token that a request was let through with.
func From(ctx context.Context) (Token, bool) {
	p, ok := ctx.Value(contextKey{}).(*passed)
	if !ok {
		return Token{}, false
	}
	return p.token, true
}

// Require returns middleware that lets requests through whose token is good and has all of
// the scopes. The token is read from the header Authorization (RFC 6750, section 2.1) and
// from nowhere else: a query ends up in logs, and a cookie is sent by whoever makes a browser
// ask. The handler finds it with From.
//
// A request that has passed a Require of the same guard already takes no second use: an
// outer one for all routes and inner ones for their scopes go together.
//
// Refusals are problem details (RFC 9457) with the header Jeton-Error, and a challenge as
// in RFC 6750, section 3. Require panics at what is not the name of a scope (RFC 6749,
// section 3.3): that is a mistake of the program, and it is seen when it starts.
func (g *Guard) Require(scopes ...string) func(http.Handler) http.Handler {
	for _, s := range scopes {
		if s == "" || strings.ContainsFunc(s, func(r rune) bool {
			return r <= ' ' || r > '~' || r == '"' || r == '\\'
		}) {
			panic("guard: not the name of a scope: " + strconv.Quote(s))
		}
	}

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

// admit returns the context of a request that may pass.
func (g *Guard) admit(r *http.Request, scopes []string) (context.Context, error) {
	ctx := r.Context()
	if p, ok := ctx.Value(contextKey{}).(*passed); ok && p.guard == g {
		return ctx, scoped(p.token.Scopes, scopes)
	}

	text, err := bearer(r.Header)
	if err != nil {
		return nil, err
	}

	tok, err := g.check(ctx, text, scopes)
	if err != nil {
		return nil, err
	}

	return context.WithValue(ctx, contextKey{}, &passed{g, tok}), nil
}

// bearer reads the token. The name of the scheme has no case (RFC 9110, section 11.1).
func bearer(h http.Header) (string, error) {
	lines := h["Authorization"]
	if len(lines) == 0 {
		return "", jeton.ErrNoCredential
	}
	if len(lines) > 1 {
		return "", jeton.WithDetail(jeton.ErrAmbiguous, "more than one header Authorization")
	}

	scheme, text, _ := strings.Cut(lines[0], " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return "", jeton.ErrNoCredential
	}

	return strings.Trim(text, " "), nil
}

// outcomes maps the outcomes of a guard to their status and title, which are those of the server
// (internal/web), and to the code of RFC 6750, section 3.1.
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
	{jeton.ErrScope, http.StatusForbidden, "The scopes of the token are not enough", "insufficient_scope"},
	{jeton.ErrAmbiguous, http.StatusBadRequest, "More than one credential", "invalid_request"},
	{jeton.ErrBusy, http.StatusServiceUnavailable, "Busy", ""},
	{jeton.ErrUnavailable, http.StatusServiceUnavailable, "Unavailable", ""},
}

// refuse answers a request that may not pass, and tells the operator why.
func (g *Guard) refuse(w http.ResponseWriter, r *http.Request, err error, scopes []string) {
	p := jeton.Problem{
		Type:   "about:blank",
		Title:  "Internal error",
		Status: http.StatusInternalServerError,
		Code:   jeton.CodeInternal,
	}

	code := ""
	for _, row := range outcomes {
		if errors.Is(err, row.err) {
			p.Title = row.title
			p.Status = row.status
			p.Code = jeton.Code(row.err)
			p.Detail = jeton.Detail(err)
			code = row.code

			break
		}
	}

	level := slog.LevelInfo
	if errors.Is(err, errBlind) || p.Status == http.StatusInternalServerError {
		level = slog.LevelWarn
	}

	g.conf.Log.Log(
		r.Context(),
		level,
		"request refused",
		"method",
		r.Method,
		"path",
		redactPath(r.URL.Path),
		"code",
		p.Code,
		"error",
		err,
	)

	h := w.Header()

	if p.Status < 500 {
		h.Set("WWW-Authenticate", g.challenge(code, scopes))
	} else if p.Status == http.StatusServiceUnavailable {
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
	b, merr := json.Marshal(p)
	if merr != nil {
		b = []byte("{}") // a Problem always encodes
	}

	w.WriteHeader(p.Status)
	_, _ = w.Write(append(b, '\n'))
}

// challenge says how to prove oneself, and what was wrong where something was shown.
func (g *Guard) challenge(code string, scopes []string) string {
	escaped := strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(g.conf.Audience)
	value := `Bearer realm="` + escaped + `"`
	if code != "" {
		value += `, error="` + code + `"`
	}

	if code == "insufficient_scope" {
		value += `, scope="` + strings.Join(scopes, " ") + `"`
	}

	return value
}

// maxPath bounds the path of a request in the log, in bytes.
const maxPath = 200

// redactPath returns a path as the log may show it: bounded, and without a token that a client
// put into it. It is the server's internal/web.RedactPath.
func redactPath(path string) string {
	before, _, found := strings.Cut(path, secret.Prefix)
	if len(before) > maxPath {
		return strings.ToValidUTF8(before[:maxPath], "") + "…"
	}
	if found {
		return before + "…"
	}

	return path
}

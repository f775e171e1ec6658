package guard

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/jose"
)

// HeaderAssertion has the JWT with which Jeton, as a gateway or asked by another proxy, proves to a
// service that it admitted a request, and whose the request is.
const HeaderAssertion = "Jeton-Assertion"

// maxAssertion bounds the lifetime of an assertion.
const maxAssertion = time.Minute

// Caller is whose request it is, as an assertion says.
type Caller struct {
	Principal jeton.Principal // kind, name, groups and scopes; zero on a route that is open to all
	Name      string          // of a user, first and last; "" if it is not known
	Email     string          // "" if it is not known
	Expires   time.Time       // of the assertion

	// AMR has the methods by which the user was proved (RFC 8176), such as pwd, otp or hwk, link for a sign-in with
	// a link, and upstream:NAME for one at another provider. It is nil for a token, a client and a password that comes
	// with each request.
	AMR []string
	// ACR is the highest level that AMR reaches: https://refeds.org/profile/mfa for two factors, phr for two factors
	// of which one is a passkey; "" below that. A service that accepts the first accepts phr, too.
	ACR string
	// AuthTime is when the user was last proved, in whole seconds. It is zero without AMR, and for a sign-in that
	// proved nothing, such as one by a link.
	AuthTime time.Time
}

// callerKey is the key of a Caller in the context of a request.
type callerKey struct{}

// CallerFrom returns the caller of a request that RequireAssertion has accepted.
func CallerFrom(ctx context.Context) (Caller, bool) {
	c, ok := ctx.Value(callerKey{}).(Caller)
	return c, ok
}

// RequireAssertion returns middleware that accepts only requests that Jeton has admitted, as CheckAssertion does. It is
// for a service behind the gateway of Jeton or another proxy: a request that reaches it past them is refused with 403.
// The handler gets the caller by CallerFrom.
func (g *Guard) RequireAssertion(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := g.CheckAssertion(r)
		if err != nil {
			g.refuse(w, r, err, nil)
			return
		}

		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), callerKey{}, c)))
	})
}

// CheckAssertion verifies the header Jeton-Assertion of a request: that the issuer has signed it for this service and
// for the method and the path of this request, at most a minute ago. The headers Remote-User, -Groups, -Name and
// -Email must agree with it, so that a handler may read them, too.
//
// It returns jeton.ErrForbidden without a valid assertion, and jeton.ErrUnavailable if the guard cannot decide. It
// needs no introspection, and no revocations: whether the credential is revoked was checked when the assertion was
// given.
func (g *Guard) CheckAssertion(r *http.Request) (Caller, error) {
	lines := r.Header[HeaderAssertion]
	if len(lines) != 1 {
		return Caller{}, notAsserted("%s is sent %d times, and must be once", HeaderAssertion, len(lines))
	}
	if len(lines[0]) > jose.MaxToken {
		return Caller{}, notAsserted("%d bytes are more than an assertion can have", len(lines[0]))
	}

	// Without keys nothing is read of it.
	if err := g.keys.ready(g.conf.Now()); err != nil {
		return Caller{}, g.unavailable(err)
	}

	a, err := g.verifyAssertion(r.Context(), lines[0])
	if err != nil {
		return Caller{}, err
	}
	if err := a.check(r, g.conf.Now(), g.conf.Leeway); err != nil {
		return Caller{}, err
	}

	return a.caller(), nil
}

// notAsserted returns jeton.ErrForbidden with a reason for the operator. The client is not sent the reason.
func notAsserted(format string, args ...any) error {
	return fmt.Errorf("%w: %s", jeton.ErrForbidden, fmt.Sprintf(format, args...))
}

// assertion is the claims of an assertion whose signature is valid.
type assertion struct {
	jose.Claims `json:"-"`

	Request string     `json:"req"`
	Kind    jeton.Kind `json:"kind"`
	Groups  []string   `json:"groups"`
	Name    string     `json:"name"`
	Email   string     `json:"email"`

	AMR      []string `json:"amr"`
	ACR      string   `json:"acr"`
	AuthTime int64    `json:"auth_time"`

	Act *jeton.Actor `json:"act"`
}

// verifyAssertion checks the signature, and the claims that say by whom and for whom it is.
func (g *Guard) verifyAssertion(ctx context.Context, text string) (assertion, error) {
	signed, err := jose.Parse(text)
	if err != nil {
		return assertion{}, notAsserted("%v", err)
	}

	h := signed.Header
	switch {
	case !h.Typ("jeton-assertion+jwt"): // a token of the same issuer proves nothing of a request
		return assertion{}, notAsserted("type %.40q, want jeton-assertion+jwt", h.Type)
	case h.KeyID == "":
		return assertion{}, notAsserted("kid is missing")
	case len(h.Foreign) > 0:
		return assertion{}, notAsserted("the header contains a key (%s)", strings.Join(h.Foreign, ", "))
	}

	var a assertion
	a.Claims, err = jose.ParseClaims(signed.Payload)
	if err == nil {
		err = json.Unmarshal(signed.Payload, &a)
	}
	switch {
	case err != nil:
		return assertion{}, notAsserted("%v", err)
	case a.Issuer != g.conf.Issuer:
		return assertion{}, notAsserted("issuer is %.100q, want %q", a.Issuer, g.conf.Issuer)
	case !slices.Contains(a.Audience, g.conf.Audience):
		return assertion{}, notAsserted("audience is %.200q, want %q", a.Audience, g.conf.Audience)
	}

	key, err := g.key(ctx, h.KeyID, a.IssuedAt)
	if err != nil {
		return assertion{}, asForbidden(err)
	}
	if err := signed.Verify(key.Key); err != nil {
		return assertion{}, notAsserted("%v (key %s)", err, key.ID)
	}

	return a, nil
}

// asForbidden makes the refusal of a key one of an assertion.
func asForbidden(err error) error {
	if jeton.Outcome(err) == jeton.ErrBadCredential {
		return notAsserted("%v", err)
	}
	return err
}

// check returns nil for an assertion of this request that is valid now.
func (a assertion) check(r *http.Request, now time.Time, leeway time.Duration) error {
	switch {
	case a.Expires.IsZero() || a.IssuedAt.IsZero() || a.Expires.Sub(a.IssuedAt) > maxAssertion:
		return notAsserted("exp or iat is missing, or they are more than %v apart", maxAssertion)
	case now.Add(leeway).Before(a.IssuedAt):
		return notAsserted("issued at %s, in the future", a.IssuedAt.Format(time.RFC3339))
	case !now.Add(-leeway).Before(a.Expires):
		return notAsserted("valid until %s", a.Expires.Format(time.RFC3339))
	case (a.Subject == "") != (a.Kind == ""):
		return notAsserted("sub and kind are not both there")
	case a.Request != requestHash(r.Method, sentPath(r)):
		return notAsserted("it is for another method or path than %s %.200q", r.Method, sentPath(r))
	}

	return a.checkHeaders(r.Header)
}

// requestHash returns the hash of a method and a path, as the claim req has it.
func requestHash(method, path string) string {
	sum := sha256.Sum256([]byte(method + " " + path))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// sentPath returns the path of a request as it was sent. A router may have changed r.URL.
func sentPath(r *http.Request) string {
	path, _, _ := strings.Cut(r.RequestURI, "?")
	if !strings.HasPrefix(path, "/") {
		return r.URL.EscapedPath()
	}

	return path
}

// checkHeaders checks that the headers with the identity, in every spelling that some server takes for it (CGI), say
// what the assertion says.
func (a assertion) checkHeaders(h http.Header) error {
	want := map[string]string{
		"remote-user":   a.Subject,
		"remote-groups": strings.Join(a.Groups, ","),
		"remote-name":   a.Name,
		"remote-email":  a.Email,
	}

	for name, values := range h {
		value, ok := want[strings.Map(foldName, name)]
		if ok && (len(values) != 1 || values[0] != value) {
			return notAsserted("the header %s does not agree with the assertion", name)
		}
	}

	return nil
}

// foldName maps the characters of a header's name so that names are equal of which a server makes one variable.
func foldName(r rune) rune {
	switch {
	case 'a' <= r && r <= 'z' || '0' <= r && r <= '9':
		return r
	case 'A' <= r && r <= 'Z':
		return r + 'a' - 'A'
	}
	return '-'
}

// caller returns whose request it is.
func (a assertion) caller() Caller {
	scopes := strings.Fields(a.Scope)
	slices.Sort(scopes)

	c := Caller{
		Principal: jeton.Principal{
			Kind:   a.Kind,
			Name:   a.Subject,
			Groups: a.Groups,
			Scopes: scopes,
			Actors: a.Act.Names(),
		},
		Name:    a.Name,
		Email:   a.Email,
		Expires: a.Expires,

		AMR: a.AMR,
		ACR: a.ACR,
	}
	if a.AuthTime != 0 {
		c.AuthTime = time.Unix(a.AuthTime, 0)
	}

	return c
}

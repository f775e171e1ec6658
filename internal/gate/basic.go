package gate

import (
	"context"
	"encoding/base64"
	"errors"
	"strings"
	"unicode/utf8"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/signin"
	"github.com/jeton-auth/jeton/internal/token"
)

// Basic reads the header Authorization as RFC 7617 has it: a name and a password; or a
// token in the place of the password, whatever the name; or a token in the place of the
// name, whatever the password. What it reads beside tokens is what the route accepts.
type Basic struct {
	Tokens   *token.Tokens // nil: the service takes none
	Audience string        // of tokens that are for this service
	Logins   *signin.Logins
	Allow    *policy.Allow // which people may log in at the service; nil: all
	ByEmail  bool          // the name is an e-mail address
}

// Kinds implements Reader.
func (b Basic) Kinds() policy.Kinds { return policy.ByPassword | policy.ByToken }

// Read implements Reader.
func (b Basic) Read(ctx context.Context, q *Request) (Credential, error) {
	lines := q.Header["Authorization"]
	if len(lines) == 0 {
		return nil, ErrNotMine
	}
	if len(lines) > 1 {
		return nil, jeton.WithDetail(jeton.ErrAmbiguous, "more than one header Authorization")
	}

	const scheme = "basic "
	if len(lines[0]) < len(scheme) || !strings.EqualFold(lines[0][:len(scheme)], scheme) {
		return nil, ErrNotMine
	}

	name, password, err := ParseBasic(lines[0][len(scheme):])
	if err != nil {
		return nil, err
	}

	byToken := b.Tokens != nil && q.Access.Accept&policy.ByToken != 0
	switch {
	case byToken && isToken(name):
		return admitted(b.Allow)(b.Tokens.Find(ctx, name, b.Audience, q.Now))
	case byToken && isToken(password):
		return admitted(b.Allow)(b.Tokens.Find(ctx, password, b.Audience, q.Now))
	case isToken(name) || isToken(password):
		return nil, jeton.ErrBadCredential
	case q.Access.Accept&policy.ByPassword == 0:
		return nil, ErrNotMine // for whoever is behind the gateway, perhaps
	}

	v, err := b.Logins.Basic(ctx, signin.Attempt{
		Name:     name,
		ByEmail:  b.ByEmail,
		Password: jeton.NewSecret(password),
		Service:  q.Service.Name,
		Allow:    b.Allow,
		Source:   q.Source,
		Request:  q.RequestID,
	})
	if err != nil {
		return nil, err
	}

	return v, nil
}

// isToken reports whether a text has the place of a name or a password and the form of a
// token: a secret of ours, or a signed token, whose header is a JSON object. No name
// begins like the one or is as long as the other.
func isToken(text string) bool {
	return strings.HasPrefix(
		text,
		"jtn_",
	) || len(text) > 128 && strings.HasPrefix(text, "eyJ") && strings.Count(text, ".") == 2
}

var errBasic = errors.New("not Basic credentials (RFC 7617)")

// ParseBasic reads the credentials of RFC 7617: base64 with padding, in the one spelling
// that it has, of a name, a colon and a password, in UTF-8 and without control characters.
func ParseBasic(text string) (name, password string, err error) {
	const most = 16 << 10

	bad := jeton.WithDetail(jeton.ErrBadCredential, errBasic.Error())
	text = strings.TrimSpace(text)
	if len(text) > most || strings.ContainsAny(text, "\r\n") {
		return "", "", bad
	}

	raw, derr := base64.StdEncoding.Strict().DecodeString(text)
	if derr != nil || !utf8.Valid(raw) {
		return "", "", bad
	}

	pair := string(raw)
	name, password, ok := strings.Cut(pair, ":")
	if !ok || strings.ContainsFunc(pair, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return "", "", bad
	}

	return name, password, nil
}

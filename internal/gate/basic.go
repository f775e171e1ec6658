package gate

import (
	"context"
	"strings"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/secret"
	"github.com/jeton-auth/jeton/internal/signin"
	"github.com/jeton-auth/jeton/internal/token"
	"github.com/jeton-auth/jeton/internal/web"
)

// Basic reads the header Authorization as in RFC 7617: a name and a password. A token may
// stand in place of either, and then the other is ignored.
type Basic struct {
	Tokens   *token.Tokens // nil: the service takes none
	Audience string        // of the service
	Logins   *signin.Logins
	ByEmail  bool // the name is an e-mail address
}

// Kinds implements Reader.
func (b Basic) Kinds() policy.Kinds { return policy.ByPassword | policy.ByToken }

// Read implements Reader.
func (b Basic) Read(ctx context.Context, req *Request) (Credential, error) {
	value, err := authorization(req.Header, "Basic")
	if err != nil {
		return nil, err
	}

	name, password, err := web.ParseBasic(value)
	if err != nil {
		return nil, err
	}

	// Tools such as git send a token as the name or as the password, with any text beside it.
	if isToken(name) {
		return b.readToken(ctx, req, name)
	}

	if isToken(password) {
		return b.readToken(ctx, req, password)
	}

	if req.Access.Accept&policy.ByPassword == 0 {
		return nil, ErrNotMine // it may be meant for the upstream
	}

	v, err := b.Logins.Basic(ctx, signin.PasswordRequest{
		Name:     name,
		ByEmail:  b.ByEmail,
		Password: jeton.NewSecret(password),
		Service:  req.Service.Name,
		Source:   req.Source,
		Request:  req.RequestID,
	})
	if err != nil {
		return nil, err
	}

	return passwordCredential{Verified: v, logins: b.Logins}, nil
}

// readToken reads a token in one half of Basic.
func (b Basic) readToken(ctx context.Context, req *Request, text string) (Credential, error) {
	// Not ErrNotMine: what has the form of a token is never tried as a password.
	if b.Tokens == nil || req.Access.Accept&policy.ByToken == 0 {
		return nil, jeton.ErrBadCredential
	}
	return findToken(ctx, req, b.Tokens, b.Audience, text)
}

// isToken reports whether a name or a password has the form of a token: a secret of ours,
// or a signed token, whose header is a JSON object. No user name has either form.
func isToken(text string) bool {
	if strings.HasPrefix(text, secret.Prefix) {
		return true
	}

	// "eyJ" is the base64 of {", with which the header of a JWT begins (RFC 7515). A name has
	// at most 128 bytes.
	return len(text) > 128 && strings.HasPrefix(text, "eyJ") && strings.Count(text, ".") == 2
}

// passwordCredential is a name and a password that were right.
type passwordCredential struct {
	PerRequest
	*signin.Verified
	logins *signin.Logins
}

// again returns the credential as it is now.
func (c passwordCredential) again(ctx context.Context, service string) (Credential, error) {
	v, err := c.logins.Again(ctx, c.Verified, service)
	if err != nil {
		return nil, err
	}

	return passwordCredential{Verified: v, logins: c.logins}, nil
}

// Origin implements Credential.
func (c passwordCredential) Origin() (Origin, error) {
	owner := token.UserOwner(c.Account)
	owner.OneFactor = !c.Second

	return Origin{Owner: &owner}, nil
}

package wallet

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/secret"
)

// foreignToken is a token made elsewhere, most often a personal token. The wallet knows
// neither its terms nor how to get another.
type foreignToken struct {
	Token string `json:"token,omitempty"` // "": logged out
}

// errNotRenewable is why an identity with a token made elsewhere does not log in again. The
// outcome itself is the one that the service returned.
var errNotRenewable = errors.New("the token was made elsewhere and the wallet cannot renew it")

// bearer returns the token that e sends with its requests, "" if it has none, and reports
// whether e sends tokens at all.
func (e *entry) bearer(now time.Time) (text string, ok bool) {
	switch {
	case e.Foreign != nil:
		return e.Foreign.Token, true
	case e.issued() == nil:
		return "", false
	// An expired token is not sent, but the identity is still one that sends tokens.
	case !e.issued().live(now):
		return "", true
	}

	return e.issued().Token, true
}

// applyToken copies the token of a login into its entry. Entries share what e.Foreign points
// to, so it is replaced and not changed.
func (in Login) applyToken(e *entry) error {
	otherwise := in.Key != "" || in.SignIn != nil || !in.Password.IsZero() || in.Save || len(in.Command) > 0
	switch {
	// Another credential replaces the token. A login without any keeps it.
	case in.Token.IsZero() && otherwise:
		e.Foreign = nil
		return nil
	case in.Token.IsZero():
		return nil
	case otherwise:
		return jeton.WithDetail(
			jeton.ErrInvalid,
			"an identity has a token, a key or a password; give one of them",
		)
	}

	text := in.Token.Reveal()
	if err := checkToken(text); err != nil {
		return err
	}

	e.Foreign = &foreignToken{Token: text}
	e.Key = nil
	e.SignIn = nil
	e.Source = source{}
	e.Cookies = nil

	return nil
}

// checkToken refuses text that cannot be a token. Its errors do not repeat the text.
func checkToken(text string) error {
	if !isToken(text) {
		return jeton.WithDetail(
			jeton.ErrInvalid,
			"invalid token: want letters, digits and -._~+/ (RFC 6750), at most 16 KiB",
		)
	}

	// Tokens of a Jeton server have a checksum, which shows a typing error.
	ours, _ := strings.CutPrefix(text, secret.Prefix)
	switch {
	case ours == text:
		return nil
	case strings.HasPrefix(ours, "s_"), strings.HasPrefix(ours, "c_"):
		return jeton.WithDetail(jeton.ErrInvalid, "this is the secret of a session or of a client, not a token")
	case secret.Is(secret.Personal, text), secret.Is(secret.Access, text):
		return nil
	}

	return jeton.WithDetail(jeton.ErrInvalid, "the token is truncated or mistyped: its checksum is wrong")
}

// byToken logs e in with a token made elsewhere. It does not try the token, which may be
// counted: a trial would cost a use.
func (w *Wallet) byToken(ctx context.Context, e *entry) error {
	if e.Foreign.Token == "" {
		return jeton.WithDetail(
			jeton.ErrInvalid,
			fmt.Sprintf("%s at %s has no token; log in with one", e.Name, e.Origin),
		)
	}

	service, err := w.wellKnown(ctx, e)
	if err == nil && service.Service != "" && service.Issuer == "" {
		err = jeton.WithDetail(
			jeton.ErrNotFound,
			"the service accepts no tokens: it names no issuer at /.well-known/jeton",
		)
	}

	if err != nil {
		return fmt.Errorf("log in at %s: %w", e.Origin, err)
	}

	e.Service = service.Service
	e.Epoch = rand.Text()
	e.LoggedIn = w.now()
	e.Uses = nil
	e.Held = nil

	return nil
}

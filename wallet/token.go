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

// handed is a token that somebody made elsewhere and handed to the wallet: a personal one,
// most of all. The wallet knows neither what it is good for nor how to get another.
type handed struct {
	Token string `json:"token,omitempty"` // "": logged out
}

// errHanded is why an identity with a handed token does not log in again by itself. It is
// no outcome: that is what the service said.
var errHanded = errors.New("the token was handed in and cannot renew itself")

// bearer returns the token that e sends with its requests, "" when it has none, and
// reports whether e sends tokens at all.
func (e *entry) bearer(now time.Time) (text string, ok bool) {
	switch {
	case e.Handed != nil:
		return e.Handed.Token, true
	case e.Key == nil:
		return "", false
	case !e.Key.live(now):
		return "", true
	}

	return e.Key.Token, true
}

// applyToken puts a token that a login hands in into its entry. What e.Handed points to
// is shared, so it is replaced.
func (in Login) applyToken(e *entry) error {
	otherwise := in.Key != "" || !in.Password.IsZero() || in.Save || len(in.Command) > 0
	switch {
	case in.Token.IsZero() && otherwise:
		e.Handed = nil
		return nil
	case in.Token.IsZero():
		return nil
	case otherwise:
		return jeton.WithDetail(
			jeton.ErrInvalid,
			"an identity proves itself by a token, a key or a password; give one of them",
		)
	}

	text := in.Token.Reveal()
	if err := checkHanded(text); err != nil {
		return err
	}

	e.Handed = &handed{Token: text}
	e.Key = nil
	e.Source = source{}
	e.Cookies = nil

	return nil
}

// checkHanded refuses what cannot be a token. Its errors repeat nothing of it.
func checkHanded(text string) error {
	if !isToken(text) {
		return jeton.WithDetail(
			jeton.ErrInvalid,
			"that is not a token: it holds what no token holds, or is over 16 KiB",
		)
	}

	// Of those that a Jeton server makes, a slip of the pen shows.
	ours, _ := strings.CutPrefix(text, "jtn_")
	switch {
	case ours == text:
		return nil
	case strings.HasPrefix(ours, "s_"), strings.HasPrefix(ours, "c_"):
		return jeton.WithDetail(jeton.ErrInvalid, "that is the secret of a session or of a client, and not a token")
	case secret.Is(secret.Personal, text), secret.Is(secret.Access, text):
		return nil
	}

	return jeton.WithDetail(jeton.ErrInvalid, "the token is cut short or mistyped: its checksum is not right")
}

// byToken takes over a token that was handed in. It is not tried: it may be counted, and a
// trial would cost a use.
func (w *Wallet) byToken(ctx context.Context, e *entry) error {
	if e.Handed.Token == "" {
		return jeton.WithDetail(
			jeton.ErrInvalid,
			fmt.Sprintf("%s at %s has no token any more; hand one in", e.Name, e.Origin),
		)
	}

	told, err := w.wellKnown(ctx, e)
	if err == nil && told.Service != "" && told.Issuer == "" {
		err = jeton.WithDetail(
			jeton.ErrNotFound,
			"the service takes no tokens: it names no issuer at /.well-known/jeton",
		)
	}
	if err != nil {
		return fmt.Errorf("log in at %s: %w", e.Origin, err)
	}

	e.Service = told.Service
	e.Epoch = rand.Text()
	e.LoggedIn = w.now()
	e.Uses = nil
	e.Held = nil

	return nil
}

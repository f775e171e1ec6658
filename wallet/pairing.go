package wallet

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode"

	"github.com/jeton-auth/jeton"
)

// Pairing is what a service says about the tokens that it accepts. A hostile service could name the issuer and the
// audience of another one, and would receive tokens that are valid there. So the caller confirms it once, before
// anything is sent to the issuer. It needs no confirmation if the issuer has the origin of the service.
type Pairing struct {
	Service  Origin
	Issuer   string // who issues the tokens
	Audience string // of the tokens
	// Other is another service in the wallet with the same issuer and audience, or "".
	Other Origin
}

// ErrUnconfirmed means that the issuer and the audience that a service names are not confirmed. The text says which
// they are, and nothing was sent to the issuer.
var ErrUnconfirmed = errors.New("issuer and audience of the service are not confirmed")

// maxAudience bounds an audience, in bytes.
const maxAudience = 256

// pairing returns what the document of a service says about its tokens.
func (d *document) pairing(o Origin, service wellKnown) (Pairing, error) {
	odd := func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }
	if len(service.Audience) > maxAudience || strings.ContainsFunc(service.Audience, odd) {
		return Pairing{}, jeton.WithDetail(jeton.ErrInvalid, "invalid audience: want a name or a URL without spaces")
	}

	p := Pairing{Service: o, Issuer: service.Issuer, Audience: service.Audience}
	// Without an audience the issuer would choose a service, perhaps another one.
	if p.Audience == "" {
		p.Audience = string(o)
	}

	for _, e := range d.Identities {
		if e.Key != nil && e.Origin != o && e.Key.Issuer == p.Issuer && e.Key.Audience == p.Audience {
			p.Other = e.Origin
		}
	}

	return p, nil
}

// confirmed reports whether an identity of the service has the issuer and the audience already.
func (d *document) confirmed(p Pairing) bool {
	for _, e := range d.Identities {
		if e.Key != nil && e.Origin == p.Service && e.Key.Issuer == p.Issuer && e.Key.Audience == p.Audience {
			return true
		}
	}

	return false
}

// confirm returns ErrUnconfirmed unless the service is the issuer, the login names the issuer and the audience, an
// earlier login has confirmed them, or the caller does so now.
func (w *Wallet) confirm(ctx context.Context, d *document, in Login, p Pairing) error {
	refuse := func(text string) error {
		return fmt.Errorf("%w: %s names the issuer %q and the audience %q; %s",
			ErrUnconfirmed, p.Service, p.Issuer, p.Audience, text)
	}

	// A named one is compared also with what was confirmed before.
	if in.Issuer != "" && in.Issuer != p.Issuer || in.Audience != "" && in.Audience != p.Audience {
		return refuse("the login names others")
	}

	// The service is the issuer itself. It learns nothing that another server accepts: the assertion is for this
	// issuer alone, and it can make tokens for every service that trusts it without this login.
	o, err := issuerOrigin(p.Issuer)
	if err == nil && o == p.Service {
		return nil
	}

	// The origin as the audience is safe: such a token is valid at no other service.
	bound := in.Audience != "" || p.Audience == string(p.Service)
	if in.Issuer != "" && bound || d.confirmed(p) {
		return nil
	}
	if w.confirmPairing == nil {
		return refuse("if they are right, name both in the login (--issuer and --audience)")
	}

	ok, err := w.confirmPairing(ctx, p)
	if err != nil {
		return fmt.Errorf("confirm issuer and audience of %s: %w", p.Service, err)
	}
	if !ok {
		return refuse("they were not confirmed")
	}

	return nil
}

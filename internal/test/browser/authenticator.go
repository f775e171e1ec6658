package browser

import (
	"context"

	"github.com/chromedp/cdproto/webauthn"
)

// Authenticator is a virtual one, which makes passkeys and signs with them without asking. Only Chromium has it.
type Authenticator struct {
	p   *Page
	tab *chromiumTab
	id  webauthn.AuthenticatorID
}

// Authenticator gives the browser of the tab an authenticator that verifies its user.
func (p *Page) Authenticator() *Authenticator {
	p.t.Helper()
	a := &Authenticator{p: p, tab: p.chromium("Authenticator")}

	p.do("add an authenticator", func(ctx context.Context) error {
		if err := command(ctx, a.tab.ctx, webauthn.Enable, webauthn.EnableParams{}); err != nil {
			return err
		}

		made, err := ask(ctx, a.tab.ctx, webauthn.AddVirtualAuthenticator, webauthn.AddVirtualAuthenticatorParams{
			Options: &webauthn.VirtualAuthenticatorOptions{
				Protocol:                    webauthn.AuthenticatorProtocolCtap2,
				Transport:                   webauthn.AuthenticatorTransportInternal,
				HasResidentKey:              true,
				HasUserVerification:         true,
				IsUserVerified:              true,
				AutomaticPresenceSimulation: true,
			},
		})
		a.id = made.AuthenticatorID

		return err
	})

	return a
}

// Present says whether a user is there who touches the authenticator: without one, a ceremony waits.
func (a *Authenticator) Present(present bool) {
	a.p.t.Helper()
	a.p.do("set the presence of the user", func(ctx context.Context) error {
		return command(ctx, a.tab.ctx, webauthn.SetAutomaticPresenceSimulation,
			webauthn.SetAutomaticPresenceSimulationParams{AuthenticatorID: a.id, Enabled: present})
	})
}

// Verified says whether the authenticator recognises its user, as by a finger or a PIN.
func (a *Authenticator) Verified(verified bool) {
	a.p.t.Helper()
	a.p.do("set the verification of the user", func(ctx context.Context) error {
		return command(ctx, a.tab.ctx, webauthn.SetUserVerified,
			webauthn.SetUserVerifiedParams{AuthenticatorID: a.id, IsUserVerified: verified})
	})
}

// Lies makes the authenticator sign that it did not verify the user, although it did.
func (a *Authenticator) Lies(lies bool) {
	a.p.t.Helper()
	a.p.do("set the bits of responses", func(ctx context.Context) error {
		return command(ctx, a.tab.ctx, webauthn.SetResponseOverrideBits,
			webauthn.SetResponseOverrideBitsParams{AuthenticatorID: a.id, IsBadUV: &lies})
	})
}

// Keys returns the names of the users of its passkeys.
func (a *Authenticator) Keys() []string {
	a.p.t.Helper()
	names := []string{}
	a.p.do("list the passkeys", func(ctx context.Context) error {
		got, err := ask(ctx, a.tab.ctx, webauthn.GetCredentials, webauthn.GetCredentialsParams{AuthenticatorID: a.id})
		for _, one := range got.Credentials {
			names = append(names, one.UserName)
		}

		return err
	})

	return names
}

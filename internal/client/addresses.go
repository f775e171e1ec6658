package client

import (
	"context"
	"strings"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/audit"
)

// Addresses are where browsers and logout tokens are sent for a relying party. Those that are nil stay as they are.
type Addresses struct {
	Redirects   *[]string
	PostLogouts *[]string
	Backchannel *string // "": none
}

// SetAddresses sets addresses of a relying party. Those that it replaces are refused from then on; what was issued for
// them goes on. It returns jeton.ErrInvalid for a client that signs no users in.
func (cs *Clients) SetAddresses(ctx context.Context, actor, name string, in Addresses) error {
	if described(name) {
		return errDescribed
	}
	if in == (Addresses{}) {
		return jeton.WithDetail(
			jeton.ErrInvalid, "name redirect_uris, post_logout_redirect_uris or backchannel_logout_uri",
		)
	}

	edit := func(current *jeton.RelyingParty) (*jeton.RelyingParty, error) {
		if current == nil {
			return nil, jeton.WithDetail(jeton.ErrInvalid, "the client signs no users in: it has no redirect_uris")
		}

		party := *current
		if in.Redirects != nil {
			party.RedirectURIs = *in.Redirects
		}
		if in.PostLogouts != nil {
			party.PostLogoutRedirectURIs = *in.PostLogouts
		}
		if in.Backchannel != nil {
			party.BackchannelLogoutURI = *in.Backchannel
		}

		return CheckRelying(&party)
	}

	step := cs.step(actor, audit.ClientChange, name, "addresses "+in.String())

	return cs.change(ctx, name, Change{OpenID: &SetRelying{Edit: edit}}, step)
}

// String describes a change of addresses in the audit log.
func (a Addresses) String() string {
	var list []string
	if a.Redirects != nil {
		list = append(list, "redirect_uris "+strings.Join(*a.Redirects, " "))
	}
	if a.PostLogouts != nil {
		list = append(list, "post_logout_redirect_uris "+strings.Join(*a.PostLogouts, " "))
	}
	if a.Backchannel != nil {
		list = append(list, "backchannel_logout_uri "+*a.Backchannel)
	}

	return strings.Join(list, ", ")
}

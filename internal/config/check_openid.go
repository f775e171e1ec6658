package config

import "github.com/jeton-auth/jeton/internal/naming"

// openID checks a client that sends its users here to sign in.
func (c checker) openID(one *Client) {
	o := one.OpenID

	issuer := c.conf.Issuer
	switch {
	case issuer == nil:
		c.Fault(o, "needs the sign-in page of the authorization server; add an issuer section")
	case !issuer.Pages:
		c.Fault(o, "needs the sign-in page, and issuer.pages is false; set it to true, or remove this")
	}

	for _, list := range []*[]string{&o.RedirectURIs, &o.PostLogoutURIs} {
		for i := range *list {
			uri := &(*list)[i]
			if err := naming.RedirectURI(*uri); err != nil {
				c.Fault(uri, "invalid address: %v", err)
			}
		}
	}

	c.subject(o)

	if o.BackchannelURI != "" {
		c.outbound(&o.BackchannelURI, o.PrivateNetwork, "read when users sign out", "backchannel-logout")
	}

	if o.Public && (c.Has(&one.SecretHash) || len(one.Keys) > 0 || one.KeySource != nil) {
		c.Fault(&o.Public, "set for a client with a secret or a key, which it must prove; remove one of them")
	}
	if o.Public && !o.RequirePKCE {
		c.Fault(&o.RequirePKCE, "false for a public client, whose codes only PKCE protects; remove it")
	}
}

// subject checks how a client knows its users.
func (c checker) subject(o *OpenID) {
	switch {
	case o.Subject != "pairwise" && o.Sector != "":
		c.Fault(&o.Sector, "only pairwise subjects have a sector; remove it, or set subject: pairwise")
	case o.Subject != "pairwise":
	case o.Sector != "":
		if err := naming.SectorIdentifier(o.Sector); err != nil {
			c.Fault(&o.Sector, "invalid sector: %v", err)
		}
	default:
		if _, err := naming.Sector(o.RedirectURIs); err != nil {
			c.Fault(&o.Subject, "pairwise needs a sector, and %v; set sector_identifier to a host", err)
		}
	}
}

package pages

import (
	"net/url"
	"strings"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/client"
)

// partyFields are the fields of a new client that sends its users here to sign in.
type partyFields struct {
	Redirects Area
	Logouts   Area
	Public    Choice
}

// newPartyFields returns the fields with what was typed.
func newPartyFields(typed url.Values) partyFields {
	return partyFields{
		Redirects: addressArea("redirects", text("admin.party.redirects"), text("admin.party.redirects.hint"), typed),
		Logouts:   addressArea("logouts", text("admin.party.logouts"), text("admin.party.logouts.hint"), typed),
		Public:    Choice{Value: "1", Text: text("admin.party.public"), Selected: typed.Get("public") != ""},
	}
}

// addressArea returns a field with an address a line.
func addressArea(name string, label, hint Text, typed url.Values) Area {
	return Area{
		Field: Field{
			Name:       name,
			Label:      label,
			Hint:       hint,
			Value:      typed.Get(name),
			NoCapitals: true,
		},
		Rows: 2,
	}
}

// readParty returns the relying party that a form describes, or nil if it has no addresses.
func readParty(form url.Values) *jeton.RelyingParty {
	party := jeton.RelyingParty{
		RedirectURIs:           strings.Fields(form.Get("redirects")),
		PostLogoutRedirectURIs: strings.Fields(form.Get("logouts")),
		Public:                 form.Get("public") != "",
	}
	if len(party.RedirectURIs) == 0 && len(party.PostLogoutRedirectURIs) == 0 && !party.Public {
		return nil
	}

	return &party
}

// addressFields are the addresses of a client, to be changed.
type addressFields struct {
	Redirects Area
	Logouts   Area
	Logout    Field // where logout tokens go
}

// newAddressFields returns the fields with what is there, or was typed.
func newAddressFields(typed url.Values) addressFields {
	return addressFields{
		Redirects: addressArea("redirects", text("admin.party.redirects"), text("admin.party.redirects.hint"), typed),
		Logouts:   addressArea("logouts", text("admin.party.logouts"), text("admin.party.logouts.hint"), typed),
		Logout: Field{
			Name:       "backchannel",
			Label:      text("admin.party.backchannel"),
			Hint:       text("admin.party.backchannel.hint"),
			Value:      typed.Get("backchannel"),
			NoCapitals: true,
		},
	}
}

// partyAddresses returns the addresses of a client, as its form has them.
func partyAddresses(o *jeton.RelyingParty) url.Values {
	return url.Values{
		"redirects":   {strings.Join(o.RedirectURIs, "\n")},
		"logouts":     {strings.Join(o.PostLogoutRedirectURIs, "\n")},
		"backchannel": {o.BackchannelLogoutURI},
	}
}

// partyView is how a client signs its users in.
type partyView struct {
	Issuer    string
	Redirects []string
	Logouts   []string
	Proof     Text
	PKCE      Text
	Pushed    bool // each authorization request has to be pushed
	Algorithm string
	Addresses addressFields
	Allow     []Text
	Sector    string // of pairwise subjects; "": they are public
	Terms     []Text
}

// newPartyView returns what a client is configured with as a relying party, or nil.
func (p *Pages) newPartyView(c jeton.Client) *partyView {
	o := c.OpenID
	if o == nil {
		return nil
	}

	v := &partyView{
		Issuer:    p.Issuer.URL,
		Redirects: o.RedirectURIs,
		Logouts:   o.PostLogoutRedirectURIs,
		Proof:     text("admin.party.confidential"),
		PKCE:      text("admin.party.pkce"),
		Pushed:    o.RequirePAR,
		Algorithm: string(client.IDTokenAlg(o)),
		Addresses: newAddressFields(partyAddresses(o)),
		Allow:     []Text{text("admin.rule.any-user")},
	}
	v.Sector = o.SectorIdentifier
	v.Terms = partyTerms(o)
	if o.Public {
		v.Proof = text("admin.party.is-public")
	}
	if o.PKCEOptional {
		v.PKCE = text("admin.party.pkce-optional")
	}
	if o.Allow != nil {
		v.Allow = allowTexts(&allowed{Users: o.Allow.Users, Groups: o.Allow.Groups})
	}

	return v
}

// partyTerms returns the terms of the sign-ins and the tokens of a client.
func partyTerms(o *jeton.RelyingParty) []Text {
	var list []Text
	if o.MaxUses > 0 {
		list = append(list, text("admin.party.max-uses", int(o.MaxUses)))
	}
	if o.RefreshMaxUses > 0 {
		list = append(list, text("admin.party.refresh-max-uses", int(o.RefreshMaxUses)))
	}
	if o.ActivationDelay > 0 {
		list = append(list, text("admin.party.delay", int(o.ActivationDelay)))
	}

	return list
}

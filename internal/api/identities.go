package api

import (
	"errors"
	"net/http"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/account"
	"github.com/jeton-auth/jeton/internal/signin"
	"github.com/jeton-auth/jeton/internal/web"
)

// Identity is the account of a user at another provider.
type Identity struct {
	Issuer   string    `json:"issuer" jsonschema:"Issuer of the provider"`
	Subject  string    `json:"subject" jsonschema:"What the provider calls the user, for ever"`
	Label    string    `json:"label" jsonschema:"Address or name of the user there, when it was connected"`
	Provider string    `json:"provider,omitempty" jsonschema:"Its name in the configuration, if it has one"`
	Created  time.Time `json:"created_at" jsonschema:"When it was connected"`
}

// listOwnIdentities answers GET /users/me/identities.
func (a *API) listOwnIdentities(w *web.Reply, r *http.Request, c caller) error {
	acct, err := a.account(r.Context(), c)
	if err != nil {
		return err
	}

	return a.writeIdentities(w, r, acct)
}

// listIdentities answers GET /users/{id}/identities.
func (a *API) listIdentities(w *web.Reply, r *http.Request, c caller) error {
	acct, err := a.target(r, c)
	if err != nil {
		return err
	}

	return a.writeIdentities(w, r, acct)
}

// writeIdentities answers with the identities of a user.
func (a *API) writeIdentities(w *web.Reply, r *http.Request, acct account.Account) error {
	identities, err := a.Accounts.Identities(r.Context(), acct)
	if err != nil {
		return err
	}

	list := []Identity{}
	for _, i := range identities {
		list = append(list, Identity{
			Issuer:   i.Issuer,
			Subject:  i.Subject,
			Label:    i.Label,
			Provider: a.providerOf(i.Issuer),
			Created:  i.Created,
		})
	}

	return web.JSON(w, http.StatusOK, list)
}

// providerOf returns the name of the provider of an issuer, or "".
func (a *API) providerOf(issuer string) string {
	if a.ProviderOf == nil {
		return ""
	}

	return a.ProviderOf(issuer)
}

// removeOwnIdentity answers DELETE /users/me/identities?issuer=. No user loses the only way to sign in.
func (a *API) removeOwnIdentity(w *web.Reply, r *http.Request, c caller) error {
	acct, err := a.account(r.Context(), c)
	if err != nil {
		return err
	}
	if _, err := a.requireProof(w, r, c, acct, Proof{}); err != nil {
		return err
	}

	return a.disconnect(w, r, c, acct)
}

// removeIdentity answers DELETE /users/{id}/identities?issuer=.
func (a *API) removeIdentity(w *web.Reply, r *http.Request, c caller) error {
	acct, err := a.target(r, c)
	if err != nil {
		return err
	}

	return lastWayOf(a.disconnect(w, r, c, acct))
}

// lastWayOf returns an error with what an administrator can do, if it says that a user would be left without a way to
// sign in.
func lastWayOf(err error) error {
	if !errors.Is(err, account.ErrLastWay) {
		return err
	}

	return jeton.WithDetail(
		err, "this is the only way in which the user can sign in: have the user set a password by a link first, or "+
			"disable the user",
	)
}

// disconnect removes the identity of the issuer in the query from a user.
func (a *API) disconnect(w *web.Reply, r *http.Request, c caller, acct account.Account) error {
	issuer := r.URL.Query().Get("issuer")
	if err := require("issuer", issuer); err != nil {
		return err
	}

	// No name shows which sessions began at a provider that is no longer configured.
	method := ""
	name := a.providerOf(issuer)
	if name != "" {
		method = signin.UpstreamMethod(name)
	}

	err := a.Accounts.Disconnect(r.Context(), c.actor(), acct, issuer, method)
	if err != nil {
		return err
	}
	a.Logins.WakeMails()

	return web.NoContent(w)
}

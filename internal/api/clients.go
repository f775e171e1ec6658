package api

import (
	"net/http"
	"time"
	"unicode/utf8"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/account"
	"github.com/jeton-auth/jeton/internal/client"
	"github.com/jeton-auth/jeton/internal/jose"
	"github.com/jeton-auth/jeton/internal/naming"
	"github.com/jeton-auth/jeton/internal/web"
)

// listClients answers GET /clients?prefix=&limit=&cursor=.
func (a *API) listClients(w *web.Reply, r *http.Request, _ caller) error {
	q := r.URL.Query()
	prefix := q.Get("prefix")
	if len(prefix) > maxSearch || !utf8.ValidString(prefix) {
		return jeton.WithDetail(jeton.ErrInvalid, "invalid prefix: want at most 256 bytes of UTF-8")
	}

	limit, err := pageLimit(q.Get("limit"), maxList)
	if err != nil {
		return err
	}

	of := "clients\x00" + prefix
	from, err := a.readPlace(q.Get("cursor"), of)
	if err != nil {
		return err
	}

	list, next, err := a.Clients.List(r.Context(), client.Page{Prefix: prefix, After: from.After, Limit: limit})
	if err != nil {
		return err
	}

	if next != "" {
		q.Set("cursor", a.placeCursor(account.Place{After: next}, of))
		w.Header().Set("Link", "<"+a.Prefix+"/clients?"+q.Encode()+`>; rel="next"`)
	}

	return web.JSON(w, http.StatusOK, list)
}

// clientOf returns the name of the client that the path of a request has.
func clientOf(r *http.Request) string { return naming.ClientOfPath(r.PathValue("name")) }

// readClient answers GET /clients/{name}.
func (a *API) readClient(w *web.Reply, r *http.Request, _ caller) error {
	c, err := a.Clients.Read(r.Context(), clientOf(r))
	if err != nil {
		return err
	}
	return web.JSON(w, http.StatusOK, c)
}

// NewClient describes the client to register.
type NewClient struct {
	Name        string              `json:"name"`
	Services    []string            `json:"services,omitempty"`
	Scopes      []string            `json:"scopes,omitempty"`
	Introspects []string            `json:"introspects,omitempty"`
	Secret      bool                `json:"secret,omitempty" jsonschema:"Whether to create a secret"`
	Keys        []NewClientKey      `json:"keys,omitempty"`
	OpenID      *jeton.RelyingParty `json:"openid,omitempty" jsonschema:"How it signs users in; absent: it does not"`
}

// NewClientKey is the public key to register.
type NewClientKey struct {
	Key       string    `json:"key" jsonschema:"PEM, or a JWK"`
	Algorithm string    `json:"alg,omitempty" jsonschema:"Default: from the key, or the usual one of its type"`
	ID        string    `json:"kid,omitempty" jsonschema:"Default: from the key, or its thumbprint"`
	NotBefore time.Time `json:"not_before,omitzero"`
	NotAfter  time.Time `json:"not_after,omitzero"`
}

// newKey converts the wire form. Package client checks it.
func (k NewClientKey) newKey() client.NewKey {
	return client.NewKey{
		Text:      []byte(k.Key),
		Alg:       jose.Alg(k.Algorithm),
		ID:        k.ID,
		NotBefore: k.NotBefore,
		NotAfter:  k.NotAfter,
	}
}

// MadeClient is a client with its secret, which is returned only once.
type MadeClient struct {
	Client jeton.Client `json:"client"`
	Secret string       `json:"secret,omitempty"` // "": none was created
}

// createClient answers POST /clients.
func (a *API) createClient(w *web.Reply, r *http.Request, c caller) error {
	in, err := web.Read[NewClient](r)
	if err != nil {
		return err
	}

	registration := client.NewClient{
		Name:        in.Name,
		Services:    in.Services,
		Scopes:      in.Scopes,
		Introspects: in.Introspects,
		Secret:      in.Secret,
		OpenID:      in.OpenID,
	}
	for _, k := range in.Keys {
		registration.Keys = append(registration.Keys, k.newKey())
	}

	created, secret, err := a.Clients.Add(r.Context(), c.actor(), registration)
	if err != nil {
		return err
	}

	return web.JSON(w, http.StatusCreated, MadeClient{created, secret.Reveal()})
}

// removeClient answers DELETE /clients/{name}.
func (a *API) removeClient(w *web.Reply, r *http.Request, c caller) error {
	err := a.Clients.Remove(r.Context(), c.actor(), clientOf(r))
	if err != nil {
		return err
	}
	return web.NoContent(w)
}

// setClientDisabled answers PUT /clients/{name}/disabled. Disabling revokes all tokens.
func (a *API) setClientDisabled(w *web.Reply, r *http.Request, c caller) error {
	disabled, err := readDisabled(r)
	if err != nil {
		return err
	}

	err = a.Clients.Disable(r.Context(), c.actor(), clientOf(r), disabled)
	if err != nil {
		return err
	}

	return web.NoContent(w)
}

// ClientTerms are what a client may have tokens for. Absent members stay as they are.
type ClientTerms struct {
	Services    *[]string `json:"services,omitempty"`
	Scopes      *[]string `json:"scopes,omitempty"`
	Introspects *[]string `json:"introspects,omitempty" jsonschema:"Services whose tokens it may look up"`
}

// setClientTerms answers PUT /clients/{name}/terms. Issued tokens keep their terms.
func (a *API) setClientTerms(w *web.Reply, r *http.Request, c caller) error {
	in, err := web.Read[ClientTerms](r)
	if err != nil {
		return err
	}

	err = a.Clients.SetTerms(r.Context(), c.actor(), clientOf(r), in.Services, in.Scopes, in.Introspects)
	if err != nil {
		return err
	}

	return web.NoContent(w)
}

// ClientAddresses are the addresses of a client that signs users in. Absent members stay as they are.
type ClientAddresses struct {
	RedirectURIs           *[]string `json:"redirect_uris,omitempty"`
	PostLogoutRedirectURIs *[]string `json:"post_logout_redirect_uris,omitempty"`
	BackchannelLogoutURI   *string   `json:"backchannel_logout_uri,omitempty" jsonschema:"Empty: none"`
}

// setClientAddresses answers PUT /clients/{name}/addresses.
func (a *API) setClientAddresses(w *web.Reply, r *http.Request, c caller) error {
	in, err := web.Read[ClientAddresses](r)
	if err != nil {
		return err
	}

	err = a.Clients.SetAddresses(r.Context(), c.actor(), clientOf(r), client.Addresses{
		Redirects:   in.RedirectURIs,
		PostLogouts: in.PostLogoutRedirectURIs,
		Backchannel: in.BackchannelLogoutURI,
	})
	if err != nil {
		return err
	}

	return web.NoContent(w)
}

// ClientSecret is the secret of a client, which is returned only once.
type ClientSecret struct {
	Secret string `json:"secret"`
}

// newClientSecret answers POST /clients/{name}/secret?end_tokens=. The old secret is refused from then on.
func (a *API) newClientSecret(w *web.Reply, r *http.Request, c caller) error {
	endTokens, err := queryFlag(r, "end_tokens")
	if err != nil {
		return err
	}

	secret, err := a.Clients.NewSecret(r.Context(), c.actor(), clientOf(r), endTokens)
	if err != nil {
		return err
	}

	return web.JSON(w, http.StatusCreated, ClientSecret{secret.Reveal()})
}

// removeClientSecret answers DELETE /clients/{name}/secret?end_tokens=.
func (a *API) removeClientSecret(w *web.Reply, r *http.Request, c caller) error {
	endTokens, err := queryFlag(r, "end_tokens")
	if err != nil {
		return err
	}

	err = a.Clients.RemoveSecret(r.Context(), c.actor(), clientOf(r), endTokens)
	if err != nil {
		return err
	}

	return web.NoContent(w)
}

// revokeClientTokens answers POST /clients/{name}/end-tokens, also for declared clients.
func (a *API) revokeClientTokens(w *web.Reply, r *http.Request, c caller) error {
	err := a.Clients.EndTokens(r.Context(), c.actor(), clientOf(r))
	if err != nil {
		return err
	}
	return web.NoContent(w)
}

// addClientKey answers POST /clients/{name}/keys.
func (a *API) addClientKey(w *web.Reply, r *http.Request, c caller) error {
	in, err := web.Read[NewClientKey](r)
	if err != nil {
		return err
	}

	key, err := a.Clients.AddKey(r.Context(), c.actor(), clientOf(r), in.newKey())
	if err != nil {
		return err
	}

	return web.JSON(w, http.StatusCreated, key)
}

// retireClientKey answers DELETE /clients/{name}/keys/{kid}?end_tokens=. The key stays listed as retired, so that its
// key id is not used again.
func (a *API) retireClientKey(w *web.Reply, r *http.Request, c caller) error {
	endTokens, err := queryFlag(r, "end_tokens")
	if err != nil {
		return err
	}

	err = a.Clients.RetireKey(r.Context(), c.actor(), clientOf(r), r.PathValue("kid"), endTokens)
	if err != nil {
		return err
	}

	return web.NoContent(w)
}

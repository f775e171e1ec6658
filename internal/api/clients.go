package api

import (
	"net/http"
	"strconv"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/client"
	"github.com/jeton-auth/jeton/internal/jose"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/web"
)

// clientRoutes returns the rows about clients.
func (a *API) clientRoutes() []web.Route {
	return []web.Route{
		{Pattern: "GET /api/v1/clients", Access: policy.Operator, Handle: a.listClients},
		{Pattern: "POST /api/v1/clients", Access: policy.Operator, Handle: a.addClient},
		{Pattern: "DELETE /api/v1/clients/{name}", Access: policy.Operator, Handle: a.removeClient},
		{Pattern: "PUT /api/v1/clients/{name}/disabled", Access: policy.Operator, Handle: a.setClientDisabled},
		{Pattern: "PUT /api/v1/clients/{name}/terms", Access: policy.Operator, Handle: a.setClientTerms},
		{Pattern: "POST /api/v1/clients/{name}/secret", Access: policy.Operator, Handle: a.newClientSecret},
		{Pattern: "DELETE /api/v1/clients/{name}/secret", Access: policy.Operator, Handle: a.removeClientSecret},
		{Pattern: "POST /api/v1/clients/{name}/end-tokens", Access: policy.Operator, Handle: a.endClientTokens},
		{Pattern: "POST /api/v1/clients/{name}/keys", Access: policy.Operator, Handle: a.addClientKey},
		{Pattern: "DELETE /api/v1/clients/{name}/keys/{kid}", Access: policy.Operator, Handle: a.retireClientKey},
	}
}

func (a *API) listClients(w *web.Reply, r *http.Request) error {
	list, err := a.Clients.List(r.Context())
	if err != nil {
		return err
	}
	return web.JSON(w, http.StatusOK, list)
}

// NewClient asks for a client.
type NewClient struct {
	Name        string         `json:"name"`
	Services    []string       `json:"services,omitempty"`
	Scopes      []string       `json:"scopes,omitempty"`
	Introspects []string       `json:"introspects,omitempty"`
	Secret      bool           `json:"secret,omitempty"` // make one for it
	Keys        []NewClientKey `json:"keys,omitempty"`
}

// NewClientKey asks for a public key to be registered.
type NewClientKey struct {
	Key       string    `json:"key"`           // PEM, or the text of a JWK
	Algorithm string    `json:"alg,omitempty"` // what the key says, or the usual one of its kind
	ID        string    `json:"kid,omitempty"` // what the key says, or its thumbprint
	NotBefore time.Time `json:"not_before,omitzero"`
	NotAfter  time.Time `json:"not_after,omitzero"`
}

func (k NewClientKey) wish() client.NewKey {
	return client.NewKey{
		Text:      []byte(k.Key),
		Alg:       jose.Alg(k.Algorithm),
		ID:        k.ID,
		NotBefore: k.NotBefore,
		NotAfter:  k.NotAfter,
	}
}

// MadeClient is a client with its secret in the clear, which is told this once.
type MadeClient struct {
	Client jeton.Client `json:"client"`
	Secret string       `json:"secret,omitempty"`
}

// addClient answers POST /api/v1/clients.
func (a *API) addClient(w *web.Reply, r *http.Request) error {
	in, err := web.Read[NewClient](r)
	if err != nil {
		return err
	}

	wish := client.NewClient{
		Name:        in.Name,
		Services:    in.Services,
		Scopes:      in.Scopes,
		Introspects: in.Introspects,
		Secret:      in.Secret,
	}
	for _, k := range in.Keys {
		wish.Keys = append(wish.Keys, k.wish())
	}

	made, text, err := a.Clients.Add(r.Context(), by, wish)
	if err != nil {
		return err
	}

	return web.JSON(w, http.StatusCreated, MadeClient{made, text.Reveal()})
}

func (a *API) removeClient(w *web.Reply, r *http.Request) error {
	if err := a.Clients.Remove(r.Context(), by, r.PathValue("name")); err != nil {
		return err
	}
	return web.NoContent(w)
}

// setClientDisabled answers PUT /api/v1/clients/{name}/disabled. Disabling ends all tokens.
func (a *API) setClientDisabled(w *web.Reply, r *http.Request) error {
	in, err := web.Read[struct {
		Disabled *bool `json:"disabled"` // Disabled, where leaving it out enables nobody
	}](r)
	if err != nil {
		return err
	}
	if in.Disabled == nil {
		return jeton.WithDetail(jeton.ErrInvalid, "say whether the client is disabled: true or false")
	}

	if err := a.Clients.Disable(r.Context(), by, r.PathValue("name"), *in.Disabled); err != nil {
		return err
	}

	return web.NoContent(w)
}

// ClientTerms says what a client may have tokens for. What is left out stays as it is.
type ClientTerms struct {
	Services    *[]string `json:"services,omitempty"`
	Scopes      *[]string `json:"scopes,omitempty"`
	Introspects *[]string `json:"introspects,omitempty"`
}

// setClientTerms answers PUT /api/v1/clients/{name}/terms. Tokens that are out keep what
// they were issued with.
func (a *API) setClientTerms(w *web.Reply, r *http.Request) error {
	in, err := web.Read[ClientTerms](r)
	if err != nil {
		return err
	}
	if err := a.Clients.SetTerms(
		r.Context(),
		by,
		r.PathValue("name"),
		in.Services,
		in.Scopes,
		in.Introspects,
	); err != nil {
		return err
	}

	return web.NoContent(w)
}

// ClientSecret is a secret in the clear, which is told this once.
type ClientSecret struct {
	Secret string `json:"secret"`
}

// newClientSecret answers POST /api/v1/clients/{name}/secret?end_tokens=. The secret that
// was is over.
func (a *API) newClientSecret(w *web.Reply, r *http.Request) error {
	end, err := flag(r, "end_tokens")
	if err != nil {
		return err
	}

	text, err := a.Clients.NewSecret(r.Context(), by, r.PathValue("name"), end)
	if err != nil {
		return err
	}

	return web.JSON(w, http.StatusCreated, ClientSecret{text.Reveal()})
}

// removeClientSecret answers DELETE /api/v1/clients/{name}/secret?end_tokens=.
func (a *API) removeClientSecret(w *web.Reply, r *http.Request) error {
	end, err := flag(r, "end_tokens")
	if err != nil {
		return err
	}
	if err := a.Clients.RemoveSecret(r.Context(), by, r.PathValue("name"), end); err != nil {
		return err
	}

	return web.NoContent(w)
}

// endClientTokens answers POST /api/v1/clients/{name}/end-tokens, for declared clients, too.
func (a *API) endClientTokens(w *web.Reply, r *http.Request) error {
	if err := a.Clients.EndTokens(r.Context(), by, r.PathValue("name")); err != nil {
		return err
	}
	return web.NoContent(w)
}

// addClientKey answers POST /api/v1/clients/{name}/keys.
func (a *API) addClientKey(w *web.Reply, r *http.Request) error {
	in, err := web.Read[NewClientKey](r)
	if err != nil {
		return err
	}

	key, err := a.Clients.AddKey(r.Context(), by, r.PathValue("name"), in.wish())
	if err != nil {
		return err
	}

	return web.JSON(w, http.StatusCreated, key)
}

// retireClientKey answers DELETE /api/v1/clients/{name}/keys/{kid}?end_tokens=. The key is
// kept, and shown as retired: its kid is not given again.
func (a *API) retireClientKey(w *web.Reply, r *http.Request) error {
	end, err := flag(r, "end_tokens")
	if err != nil {
		return err
	}
	if err := a.Clients.RetireKey(r.Context(), by, r.PathValue("name"), r.PathValue("kid"), end); err != nil {
		return err
	}

	return web.NoContent(w)
}

func flag(r *http.Request, name string) (bool, error) {
	text := r.URL.Query().Get(name)
	if text == "" {
		return false, nil
	}

	yes, err := strconv.ParseBool(text)
	if err != nil {
		return false, jeton.WithDetail(jeton.ErrInvalid, name+" is true or false")
	}

	return yes, nil
}

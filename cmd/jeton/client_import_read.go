//go:build !walletonly

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/api"
	"github.com/jeton-auth/jeton/internal/naming"

	"go.yaml.in/yaml/v4"
)

// maxClientFile bounds a file of clients, in bytes.
const maxClientFile = 16 << 20

// foundClient is a client of another provider's file.
type foundClient struct {
	request api.NewClient
	left    string   // why it is not imported; "": it is
	notes   []string // what of it is not imported
}

// leave notes that something is not imported, unless it is empty.
func (f *foundClient) leave(what string) {
	if what != "" {
		f.notes = append(f.notes, what)
	}
}

// redirects adds the addresses that a browser may be sent back to, and leaves out the others.
func (f *foundClient) redirects(list []string) {
	for _, uri := range list {
		switch err := naming.RedirectURI(uri); {
		case strings.Contains(uri, "*"):
			f.leave(fmt.Sprintf("address %q: no wildcard is accepted, name each address", uri))
		case err != nil:
			f.leave(fmt.Sprintf("address %q: %v", uri, err))
		default:
			f.request.OpenID.RedirectURIs = append(f.request.OpenID.RedirectURIs, uri)
		}
	}

	if len(f.request.OpenID.RedirectURIs) == 0 && f.left == "" {
		f.left = "it has no usable redirect address"
	}
}

// newFound returns a client without addresses.
func newFound(name string, public bool) *foundClient {
	f := &foundClient{request: api.NewClient{
		Name:   name,
		Secret: !public,
		OpenID: &jeton.RelyingParty{Public: public, PKCEOptional: !public},
	}}
	if _, err := naming.Client(name); err != nil {
		f.left = "invalid name: " + err.Error()
	}

	return f
}

// readClients reads the clients of a file in a format: keycloak, authelia or hydra, or "" to detect it.
func readClients(text []byte, format string) ([]foundClient, string, error) {
	text = bytes.TrimPrefix(text, []byte("\xef\xbb\xbf"))
	if format == "" {
		format = clientFormat(text)
	}

	var list []foundClient
	var err error
	switch format {
	case "keycloak":
		list, err = keycloakClients(text)
	case "authelia":
		list, err = autheliaClients(text)
	case "hydra":
		list, err = hydraClients(text)
	default:
		return nil, format, usage{fmt.Errorf("invalid --format %q: want keycloak, authelia or hydra", format)}
	}
	if err == nil && len(list) == 0 {
		err = errors.New("it has no clients; is it of the format " + format + "?")
	}

	return list, format, err
}

// clientFormat detects the format of a file.
func clientFormat(text []byte) string {
	trimmed := bytes.TrimSpace(text)
	switch {
	case bytes.HasPrefix(trimmed, []byte("[")):
		return "hydra"
	case !bytes.HasPrefix(trimmed, []byte("{")):
		return "authelia"
	}

	var members map[string]json.RawMessage
	if json.Unmarshal(trimmed, &members) == nil && members["realm"] != nil {
		return "keycloak"
	}

	return "hydra"
}

// errClientJSON replaces the errors of package json, which may quote a secret.
var errClientJSON = errors.New("invalid JSON, or a member of another type than the format has")

// keycloakClient is a client of a realm export. Members that are not here are ignored.
type keycloakClient struct {
	ID            string            `json:"clientId"`
	Enabled       *bool             `json:"enabled"`
	Protocol      string            `json:"protocol"`
	Public        bool              `json:"publicClient"`
	BearerOnly    bool              `json:"bearerOnly"`
	StandardFlow  *bool             `json:"standardFlowEnabled"`
	Service       bool              `json:"serviceAccountsEnabled"`
	Authenticator string            `json:"clientAuthenticatorType"`
	RootURL       string            `json:"rootUrl"`
	RedirectURIs  []string          `json:"redirectUris"`
	Attributes    map[string]string `json:"attributes"`
}

// keycloakOwn are the clients that Keycloak makes in every realm.
var keycloakOwn = []string{
	"account", "account-console", "admin-cli", "broker", "realm-management", "security-admin-console",
}

// keycloakClients reads a realm export.
func keycloakClients(text []byte) ([]foundClient, error) {
	var realm struct {
		Clients []keycloakClient `json:"clients"`
	}
	if json.Unmarshal(text, &realm) != nil {
		return nil, errClientJSON
	}

	var list []foundClient
	for _, k := range realm.Clients {
		list = append(list, k.found())
	}

	return list, nil
}

// found converts a client.
func (k keycloakClient) found() foundClient {
	f := newFound(k.ID, k.Public)
	switch {
	case slices.Contains(keycloakOwn, k.ID):
		f.left = "it is Keycloak's own"
	case k.Protocol != "" && k.Protocol != "openid-connect":
		f.left = "its protocol is " + k.Protocol
	case k.Enabled != nil && !*k.Enabled:
		f.left = "it is disabled"
	case k.BearerOnly:
		f.left = "it only checks tokens (bearer-only); it is a service here"
	case k.StandardFlow != nil && !*k.StandardFlow:
		f.left = "it signs no users in by a browser"
	}

	if k.Service {
		f.leave("tokens of its own (service account): give it --service and --scope")
	}
	if k.Authenticator == "client-jwt" || k.Authenticator == "client-x509" {
		f.leave("its key; add it with 'jeton client key add'")
	}

	o := f.request.OpenID
	o.PKCEOptional = !k.Public && k.Attributes["pkce.code.challenge.method"] != "S256"
	o.BackchannelLogoutURI = k.Attributes["backchannel.logout.url"]

	f.redirects(k.absolute(k.RedirectURIs))
	logout := k.Attributes["post.logout.redirect.uris"]
	for _, uri := range k.absolute(strings.Split(logout, "##")) {
		switch {
		case uri == "+":
			o.PostLogoutRedirectURIs = append(o.PostLogoutRedirectURIs, o.RedirectURIs...)
		case uri == "" || uri == "-":
		case strings.Contains(uri, "*") || naming.RedirectURI(uri) != nil:
			f.leave(fmt.Sprintf("address after a sign-out %q", uri))
		default:
			o.PostLogoutRedirectURIs = append(o.PostLogoutRedirectURIs, uri)
		}
	}

	return *f
}

// absolute completes paths, which are below the root of the client.
func (k keycloakClient) absolute(list []string) []string {
	out := slices.Clone(list)
	for i, uri := range out {
		if strings.HasPrefix(uri, "/") && k.RootURL != "" {
			out[i] = strings.TrimSuffix(k.RootURL, "/") + uri
		}
	}

	return out
}

// autheliaClient is a client of Authelia's configuration, with the names of older versions.
type autheliaClient struct {
	ID           string   `yaml:"client_id"`
	OldID        string   `yaml:"id"`
	Public       bool     `yaml:"public"`
	RedirectURIs []string `yaml:"redirect_uris"`
	RequirePKCE  bool     `yaml:"require_pkce"`
	Policy       string   `yaml:"authorization_policy"`
	Sector       string   `yaml:"sector_identifier_uri"`
	Method       string   `yaml:"token_endpoint_auth_method"`
}

// autheliaClients reads a configuration, or its list of clients alone.
func autheliaClients(text []byte) ([]foundClient, error) {
	var conf struct {
		Providers struct {
			OIDC struct {
				Clients []autheliaClient `yaml:"clients"`
			} `yaml:"oidc"`
		} `yaml:"identity_providers"`
		Clients []autheliaClient `yaml:"clients"`
	}
	if err := yaml.Unmarshal(text, &conf); err != nil {
		// Its errors may quote a secret.
		return nil, errors.New("invalid YAML, or a key of another type than the format has")
	}

	var list []foundClient
	for _, a := range append(conf.Providers.OIDC.Clients, conf.Clients...) {
		if a.ID == "" {
			a.ID = a.OldID
		}

		f := newFound(a.ID, a.Public)
		f.request.OpenID.PKCEOptional = !a.Public && !a.RequirePKCE
		f.redirects(a.RedirectURIs)
		if a.Policy != "" && a.Policy != "one_factor" {
			f.leave("authorization_policy " + a.Policy)
		}
		if a.Sector != "" {
			f.leave("sector_identifier_uri: pairwise subjects would differ from those of Authelia")
		}
		if a.Method == "private_key_jwt" {
			f.leave("its key; add it with 'jeton client key add'")
		}

		list = append(list, *f)
	}

	return list, nil
}

// hydraClient is an OAuth 2.0 client of Hydra (RFC 7591, section 2).
type hydraClient struct {
	ID           string   `json:"client_id"`
	RedirectURIs []string `json:"redirect_uris"`
	PostLogout   []string `json:"post_logout_redirect_uris"`
	Backchannel  string   `json:"backchannel_logout_uri"`
	GrantTypes   []string `json:"grant_types"`
	Method       string   `json:"token_endpoint_auth_method"`
}

// hydraClients reads a list of clients, an object with the member items, or one client.
func hydraClients(text []byte) ([]foundClient, error) {
	var clients []hydraClient
	if json.Unmarshal(text, &clients) != nil {
		var paged struct {
			hydraClient
			Items []hydraClient `json:"items"`
		}
		if json.Unmarshal(text, &paged) != nil {
			return nil, errClientJSON
		}

		clients = paged.Items
		if paged.ID != "" {
			clients = append(clients, paged.hydraClient)
		}
	}

	var list []foundClient
	for _, h := range clients {
		f := newFound(h.ID, h.Method == "none")
		if len(h.GrantTypes) > 0 && !slices.Contains(h.GrantTypes, "authorization_code") {
			f.left = "it signs no users in by a browser"
		}
		if slices.Contains(h.GrantTypes, "client_credentials") {
			f.leave("tokens of its own (client_credentials): give it --service and --scope")
		}
		if h.Method == "private_key_jwt" {
			f.leave("its key; add it with 'jeton client key add'")
		}

		f.redirects(h.RedirectURIs)
		f.request.OpenID.BackchannelLogoutURI = h.Backchannel
		for _, uri := range h.PostLogout {
			if naming.RedirectURI(uri) != nil {
				f.leave(fmt.Sprintf("address after a sign-out %q", uri))
				continue
			}
			f.request.OpenID.PostLogoutRedirectURIs = append(f.request.OpenID.PostLogoutRedirectURIs, uri)
		}

		list = append(list, *f)
	}

	return list, nil
}

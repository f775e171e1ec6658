package guard

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/jeton-auth/jeton"
)

// wellKnownResource is where the metadata of a protected resource is (RFC 9728, section 3.1).
const wellKnownResource = "/.well-known/oauth-protected-resource"

// resourceAddress returns the address of the metadata of a resource, "" for no resource: the well-known part comes
// before the path.
func resourceAddress(resource string) (string, error) {
	if resource == "" {
		return "", nil
	}

	u, err := url.Parse(resource)
	if err != nil || u.Host == "" || u.User != nil || u.Scheme != "https" && u.Scheme != "http" ||
		strings.ContainsAny(resource, "?#\"\\ ") || strings.HasSuffix(resource, "/") {
		return "", jeton.WithDetail(
			jeton.ErrInvalid, "invalid Resource: want https://, a host and perhaps a path, without / at the end",
		)
	}

	return u.Scheme + "://" + u.Host + wellKnownResource + u.EscapedPath(), nil
}

// ResourceMetadata returns the handler of the document with which clients find the issuer (RFC 9728), among them those
// of the Model Context Protocol. It needs [Config.Resource]; without it, there is nothing at its address. Mount it at
// GET /.well-known/oauth-protected-resource, followed by the path of the resource. scopes are those that handlers
// require.
func (g *Guard) ResourceMetadata(scopes ...string) http.Handler {
	body, _ := json.Marshal(struct {
		Resource string   `json:"resource"`
		Issuers  []string `json:"authorization_servers"`
		Scopes   []string `json:"scopes_supported,omitempty"`
		Methods  []string `json:"bearer_methods_supported"`
	}{
		Resource: g.conf.Resource,
		Issuers:  []string{g.conf.Issuer},
		Scopes:   slices.Clone(scopes),
		Methods:  []string{"header"},
	}) // strings always encode

	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if g.conf.Resource == "" {
			http.NotFound(w, r)
			return
		}

		h := w.Header()
		h.Set("Content-Type", "application/json")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Access-Control-Allow-Origin", "*") // public, and without credentials
		_, _ = w.Write(append(slices.Clone(body), '\n'))
	})
}

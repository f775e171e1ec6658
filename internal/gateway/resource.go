package gateway

import (
	"net/http"
	"slices"
	"strings"

	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/web"
)

// Where the metadata of a protected resource is (RFC 9728, section 3.1). A proxy that asks us whether a request may
// pass hands on the second address alone.
const (
	wellKnownResource = "/.well-known/oauth-protected-resource"
	passedResource    = "/.jeton/oauth-protected-resource"
)

// maxResource bounds the path of a resource that a challenge names, in bytes.
const maxResource = 512

// protectedResource is the document of RFC 9728, section 2.
type protectedResource struct {
	Resource string   `json:"resource"`
	Issuers  []string `json:"authorization_servers"`
	Scopes   []string `json:"scopes_supported,omitempty"`
	Methods  []string `json:"bearer_methods_supported"`
	Name     string   `json:"resource_name"`
}

// resourcePath returns the path below which the metadata is, or "" for a service that accepts no tokens.
func (g *Gateway) resourcePath() string {
	switch {
	case g.conf.Tokens == nil || g.issuer == "":
		return ""
	case g.conf.Forwarded():
		return passedResource
	}

	return wellKnownResource
}

// resourceRoutes returns the routes of the metadata: of the service, and of each path of it.
func (g *Gateway) resourceRoutes() []web.Route {
	path := g.resourcePath()
	if path == "" {
		return nil
	}

	var routes []web.Route
	for _, rest := range []string{"", "/{path...}"} {
		routes = append(routes, web.Route{
			Pattern: "GET " + path + rest,
			Access:  policy.Open,
			Handle:  g.describeResource,
		})
	}

	return routes
}

// describeResource answers the request for the metadata of a path. The resource is that path at the address that the
// client has used, so that it matches what the client asked for (RFC 9728, section 3.3). The issuer judges whether that
// is an address of ours, when the client asks for a token.
func (g *Gateway) describeResource(w *web.Reply, r *http.Request) error {
	// Public, and for pages of any site: their scripts show no credential here.
	w.Header().Set("Access-Control-Allow-Origin", "*")

	path := strings.TrimSuffix(strings.TrimPrefix(r.URL.EscapedPath(), g.resourcePath()), "/")

	return web.JSON(w, http.StatusOK, protectedResource{
		Resource: w.Origin.String() + path,
		Issuers:  []string{g.issuer},
		Scopes:   g.scopes(),
		Methods:  []string{"header"},
		Name:     g.conf.Name,
	})
}

// scopes returns the scopes that routes need.
func (g *Gateway) scopes() []string {
	var list []string
	for _, route := range g.conf.Routes {
		list = append(list, route.Scopes...)
	}
	slices.Sort(list)

	return slices.Compact(list)
}

// metadataOf returns the address of the metadata of what a request asks for, or "".
func (g *Gateway) metadataOf(w *web.Reply, r *http.Request) string {
	path := strings.TrimSuffix(r.URL.EscapedPath(), "/")
	if len(path) > maxResource {
		path = ""
	}

	address := w.Origin.String() + g.resourcePath() + path
	// It is written between quotes.
	if g.resourcePath() == "" || strings.ContainsAny(address, "\"\\ ") {
		return ""
	}

	return address
}

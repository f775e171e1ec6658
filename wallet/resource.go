package wallet

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/jeton-auth/jeton"
)

// wellKnownResource is where the metadata of a protected resource is, before its path (RFC 9728, section 3.1).
const wellKnownResource = "/.well-known/oauth-protected-resource"

// resource is what the wallet uses of the metadata of a protected resource (RFC 9728, section 2).
type resource struct {
	URL     string   `json:"resource"` // which tokens are requested for; "": the service has no metadata
	Issuers []string `json:"authorization_servers"`
}

// findResource asks a service that names no issuer at /.well-known/jeton for the metadata of the resource at an
// address. A service without such metadata has an empty resource.
func (w *Wallet) findResource(ctx context.Context, e *entry, address string) (resource, error) {
	ctx, cancel := context.WithTimeout(ctx, loginWait)
	defer cancel()

	at, err := url.Parse(address)
	if err != nil {
		return resource{}, jeton.WithDetail(jeton.ErrInvalid, "invalid address of the service: want a URL")
	}

	asked := url.URL{Path: at.Path, RawPath: at.RawPath, RawQuery: at.RawQuery}
	resp, err := w.read(ctx, e, http.MethodGet, string(e.Origin)+cmp.Or(asked.String(), "/"), nil)
	if err != nil {
		return resource{}, err
	}

	where := namedMetadata(resp.Response)
	if where == "" {
		where = string(e.Origin) + wellKnownResource + strings.TrimSuffix(at.EscapedPath(), "/")
	}
	// The metadata of a service are at its own origin, so that no service makes us send requests to another.
	if o, err := ParseOrigin(where); err != nil || o != e.Origin {
		return resource{}, jeton.WithDetail(jeton.ErrInvalid, "the service names metadata at another origin")
	}

	resp, err = w.read(ctx, e, http.MethodGet, where, nil)
	if err != nil {
		return resource{}, fmt.Errorf("read the metadata of the resource: %w", err)
	}

	return parseResource(resp, e.Origin)
}

// metadataParameter is the parameter of a challenge that names the metadata (RFC 9728, section 5.1), of any scheme.
var metadataParameter = regexp.MustCompile(`(?i)[\s,]resource_metadata\s*=\s*"([^"\\]*)"`)

// namedMetadata returns the address of the metadata that a refusal names, or "".
func namedMetadata(resp *http.Response) string {
	if resp.StatusCode != http.StatusUnauthorized {
		return ""
	}
	for _, challenge := range resp.Header.Values("WWW-Authenticate") {
		found := metadataParameter.FindStringSubmatch(challenge)
		if found != nil {
			return found[1]
		}
	}

	return ""
}

// parseResource reads the metadata of a resource, which must be at the origin that was asked (RFC 9728, section 3.3):
// a hostile service could otherwise copy those of another one, and would get tokens that are valid there.
func parseResource(resp response, o Origin) (resource, error) {
	var r resource
	// Any server may answer every path with a page: that is no error.
	if resp.StatusCode != http.StatusOK || len(resp.text) > maxAnswer || json.Unmarshal(resp.text, &r) != nil ||
		r.URL == "" {
		return resource{}, nil
	}

	at, err := ParseOrigin(r.URL)
	if err != nil || at != o || len(r.URL) > maxAudience || strings.Contains(r.URL, "#") {
		return resource{}, jeton.WithDetail(
			jeton.ErrInvalid, fmt.Sprintf("the metadata of %s are those of another resource", o),
		)
	}

	return r, nil
}

// issuer returns the issuer of the list that a login names, or else the first one, "" of an empty list.
func (r resource) issuer(service Origin, named string) (string, error) {
	switch {
	case len(r.Issuers) == 0:
		return named, nil
	case named == "":
		return r.Issuers[0], nil
	case !slices.Contains(r.Issuers, named):
		const text = "%w: %s names the issuers %q; the login names another"
		return "", fmt.Errorf(text, ErrUnconfirmed, service, r.Issuers)
	}

	return named, nil
}

package guard_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/guard"
)

// TestARefusalNamesTheMetadataOfTheResource follows RFC 9728 from a refusal to the issuer.
func TestARefusalNamesTheMetadataOfTheResource(t *testing.T) {
	const resource = "https://api.example/mcp"
	g := newIssuer(t).guard(func(c *guard.Config) { c.Resource = resource })

	w := request(t, g.Require()(http.NotFoundHandler()), "/mcp")
	const metadata = `resource_metadata="https://api.example/.well-known/oauth-protected-resource/mcp"`
	got := strings.Join(challenges(w.Header()), ", ")
	if w.Code != http.StatusUnauthorized || !strings.Contains(got, metadata) {
		t.Errorf("got %d %q, want 401 with %s", w.Code, got, metadata)
	}

	w = request(t, g.ResourceMetadata("read"), "/.well-known/oauth-protected-resource/mcp")
	for _, want := range []string{`"resource":"` + resource + `"`, `"authorization_servers":["`, `["read"]`} {
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("metadata = %d %s, want %s", w.Code, w.Body, want)
		}
	}

	for _, invalid := range []string{"api.example", "https://api.example/", "https://api.example/?a", `https://a"b/`} {
		_, err := guard.New(guard.Config{Issuer: "https://jeton.example", Audience: "a", Resource: invalid})
		if !errors.Is(err, jeton.ErrInvalid) {
			t.Errorf("Resource %q: New = %v, want jeton.ErrInvalid", invalid, err)
		}
	}
}

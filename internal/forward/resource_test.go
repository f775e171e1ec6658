package forward_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/jeton-auth/jeton/jetontest"
)

// TestARefusalNamesTheMetadataOfTheResource follows RFC 9728 through a proxy, which hands on what is below /.jeton/.
func TestARefusalNamesTheMetadataOfTheResource(t *testing.T) {
	s := jetontest.Start(t, replayed)

	const metadata = "https://app.example/.jeton/oauth-protected-resource/mcp"
	a := askAt(s, "traefik", uri("/mcp?a=1"))
	challenge := strings.Join(a.Header.Values("WWW-Authenticate"), ", ")
	if a.Status != http.StatusUnauthorized || !strings.Contains(challenge, `resource_metadata="`+metadata+`"`) {
		t.Errorf("got %d %q, want 401 and the metadata at %s", a.Status, challenge, metadata)
	}

	a = s.Send(&http.Client{}, http.MethodGet, "http://"+s.Forward()+"/.jeton/oauth-protected-resource/mcp", "",
		"X-Forwarded-Proto", "https", "X-Forwarded-Host", "app.example", "X-Forwarded-For", "192.0.2.9")
	if a.Status != http.StatusOK || !strings.Contains(a.Body, `"resource":"https://app.example/mcp"`) {
		t.Errorf("metadata = %d %s, want the resource https://app.example/mcp", a.Status, a.Body)
	}
}

package oauth_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/jeton-auth/jeton/internal/jose"
)

// TestMetadata checks the discovery document against the endpoints that exist.
func TestMetadata(t *testing.T) {
	f := newFixture(t, many)
	ci := f.client("ci")
	var out map[string]any
	if err := json.Unmarshal(
		[]byte(f.published("/.well-known/oauth-authorization-server", "application/json")),
		&out,
	); err != nil || out["issuer"] != f.Issuer() {
		t.Fatalf("metadata = %v, %v; want the issuer %s", out, err, f.Issuer())
	}

	for name, value := range out {
		address, ok := value.(string)
		if !ok || name == "issuer" {
			continue
		}

		path, ok := strings.CutPrefix(address, f.Issuer())
		if !ok {
			t.Errorf("%s = %s, want a path of the issuer", name, address)
		}
		if a, b := f.get(path), f.Send(
			f.plain, "POST", address, "",
		); a.Status == 404 || b.Status == 404 || a.Status == 405 && b.Status == 405 {
			t.Errorf("%s: got GET %d, POST %d; want one to be there", name, a.Status, b.Status)
		}
	}

	for _, name := range []string{
		"token_endpoint",
		"jwks_uri",
		"introspection_endpoint",
		"revocation_endpoint",
		"jeton_revocations_endpoint",
	} {
		if out[name] == nil {
			t.Errorf("metadata = %v, want the member %s", out, name)
		}
	}

	for _, alg := range out["token_endpoint_auth_signing_alg_values_supported"].([]any) {
		s := fmt.Sprint(alg)
		if s == "none" || strings.HasPrefix(s, "HS") || !jose.Alg(s).Known() {
			t.Errorf("algorithm = %s, want one with a key pair", s)
		}
	}

	for _, grant := range out["grant_types_supported"].([]any) {
		if a := f.Post(
			"/oauth2/token", "grant_type", fmt.Sprint(grant),
		); strings.Contains(a.Body, "unsupported_grant_type") {
			t.Errorf("grant %v: got %s, want it supported", grant, a.Body)
		}
	}

	opens(t, "a client that follows it", f.show(ways[0], ci.Assertion("", ci.Claims(fmt.Sprint(out["issuer"]), noon))))
}

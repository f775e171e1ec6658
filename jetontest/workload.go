package jetontest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/jeton-auth/jeton/internal/jose"
	"github.com/jeton-auth/jeton/internal/test/testkey"
)

// WorkloadIssuer is another issuer, such as that of a CI system, over plain HTTP on this machine. It serves its
// discovery document and its JWK Set. It is safe for concurrent use.
type WorkloadIssuer struct {
	URL string
	// Fetches counts the requests for the JWK Set.
	Fetches atomic.Int64

	t      testing.TB
	signer *jose.Signer
	down   atomic.Bool
}

// NewWorkloadIssuer starts an issuer with a key for an algorithm, such as RS256. It stops when the test ends.
func NewWorkloadIssuer(t testing.TB, algorithm string) *WorkloadIssuer {
	t.Helper()
	signer, err := testkey.Generate(jose.Alg(algorithm))
	if err != nil {
		t.Fatal(err)
	}

	i := &WorkloadIssuer{t: t, signer: signer}
	routes := http.NewServeMux()
	routes.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprintf(w, `{"issuer": %q, "jwks_uri": %q}`, i.URL, i.URL+"/jwks")
	})
	routes.HandleFunc("GET /jwks", func(w http.ResponseWriter, _ *http.Request) {
		i.Fetches.Add(1)
		if i.down.Load() {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(i.JWKS())
	})

	server := httptest.NewServer(routes)
	t.Cleanup(server.Close)
	i.URL = server.URL

	return i
}

// JWKS returns the JWK Set of the issuer.
func (i *WorkloadIssuer) JWKS() []byte { return jose.MarshalSet([]jose.Key{i.signer.Key()}) }

// SetDown makes the issuer answer requests for its keys with 500, or not.
func (i *WorkloadIssuer) SetDown(down bool) { i.down.Store(down) }

// Token signs claims.
func (i *WorkloadIssuer) Token(claims map[string]any) string {
	i.t.Helper()
	b, err := json.Marshal(claims)
	if err != nil {
		i.t.Fatal(err)
	}

	text, err := i.signer.Sign("JWT", b)
	if err != nil {
		i.t.Fatal(err)
	}

	return text
}

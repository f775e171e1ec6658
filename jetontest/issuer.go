package jetontest

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/jeton-auth/jeton/internal/api"
	"github.com/jeton-auth/jeton/internal/jose"
)

// Issuer returns where the authorization server answers: its identifier. In a
// configuration "url: https://localhost:${ISSUER_PORT}" and
// "listen: localhost:${ISSUER_PORT}" give it a free port.
func (s *Server) Issuer() string {
	s.t.Helper()
	if s.started.Issuer.URL == "" {
		s.t.Fatal("the configuration has no issuer")
	}
	return s.started.Issuer.URL
}

// Key is a client's private key, of which the server has the public one.
type Key struct {
	Client string
	Signer Signer

	private ed25519.PrivateKey
}

// Signer signs claims as a JWT. typ is the header of that name; "" has none.
type Signer interface {
	Sign(typ string, claims []byte) (string, error)
}

// PEM returns the private key of a client that AddClient has registered, in PKCS #8 form,
// as package wallet and other programs read it.
func (k Key) PEM() []byte {
	der, err := x509.MarshalPKCS8PrivateKey(k.private)
	if err != nil {
		return nil // not an AddClient key
	}

	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

// AddClient registers software with a fresh Ed25519 key, as an operator would.
func (s *Server) AddClient(name string, services ...string) Key {
	s.t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		s.t.Fatal(err)
	}

	signer, err := jose.NewSigner(private, "", "")
	if err != nil {
		s.t.Fatal(err)
	}

	in := api.NewClient{Name: name, Services: services, Keys: []api.NewClientKey{{Key: string(signer.Key().PEM())}}}
	s.MustControl("POST", "/api/v1/clients", in, nil)

	return Key{Client: name, Signer: signer, private: private}
}

// Assertion signs claims as a client does, with a type; "" has none.
func (k Key) Assertion(typ string, claims map[string]any) string {
	b, err := json.Marshal(claims)
	if err != nil {
		return err.Error()
	}

	text, err := k.Signer.Sign(typ, b)
	if err != nil {
		return err.Error()
	}

	return text
}

// Claims returns the claims of a valid assertion for an issuer at a time, for a test to change.
func (k Key) Claims(issuer string, now time.Time) map[string]any {
	return map[string]any{
		"iss": k.Client,
		"sub": k.Client,
		"aud": issuer,
		"iat": now.Unix(),
		"exp": now.Add(time.Minute).Unix(),
		// Unique, because each assertion is accepted once (RFC 7523, section 3).
		"jti": fmt.Sprintf("%s-%s", k.Client, rand.Text()),
	}
}

// Post sends a form to the authorization server. Fields are names and values by turns.
func (s *Server) Post(path string, fields ...string) Answer {
	s.t.Helper()
	form := url.Values{}
	for i := 0; i+1 < len(fields); i += 2 {
		form.Add(fields[i], fields[i+1])
	}

	return s.Send(
		s.plain, http.MethodPost, s.Issuer()+path, form.Encode(),
		"Content-Type", "application/x-www-form-urlencoded",
	)
}

// TryToken requests a token with an assertion (RFC 7523, section 2.2).
func (s *Server) TryToken(assertion string, fields ...string) Answer {
	s.t.Helper()
	return s.Post("/oauth2/token", append([]string{
		"grant_type", "client_credentials", "client_assertion", assertion,
		"client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
	}, fields...)...)
}

// Token returns an access token for a client, as its key gets it.
func (s *Server) Token(k Key, fields ...string) string {
	s.t.Helper()
	a := s.TryToken(k.Assertion("", k.Claims(s.Issuer(), s.now())), fields...)
	var out struct {
		Token string `json:"access_token"`
	}
	if a.Status != http.StatusOK || json.Unmarshal([]byte(a.Body), &out) != nil || out.Token == "" {
		s.t.Fatalf("token for %s: %d %s", k.Client, a.Status, strings.TrimSpace(a.Body))
	}

	return out.Token
}

// SetupLink returns the address of the page that adds the first administrator, or "" if the server has users or no
// pages.
func (s *Server) SetupLink() string { return s.started.Setup }

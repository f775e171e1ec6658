package e2e

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// robot is a client with a key of its own, which makes the assertions of RFC 7523 itself.
type robot struct {
	name, issuer string
	key          ed25519.PrivateKey
}

// newRobot makes a key and registers its public half with the server.
func newRobot(t *testing.T, s *Server, name string) *robot {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}

	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}

	text := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	s.Must(t, string(text), append([]string{"client", "add", name, "--key", "-"}, everywhere...)...)

	return &robot{name, s.Issuer, private}
}

// assertion returns a new assertion of its identity.
func (r *robot) assertion() string {
	now := time.Now().Unix()
	claims, err := json.Marshal(map[string]any{
		"iss": r.name,
		"sub": r.name,
		"aud": r.issuer,
		"iat": now,
		"exp": now + 120,
		"jti": rand.Text(),
	})
	if err != nil {
		return err.Error()
	}

	return r.sign(string(claims))
}

// sign makes a JWT of claims (RFC 7515, section 7.1).
func (r *robot) sign(claims string) string {
	enc := base64.RawURLEncoding.EncodeToString
	text := enc([]byte(`{"alg":"EdDSA"}`)) + "." + enc([]byte(claims))
	return text + "." + enc(ed25519.Sign(r.key, []byte(text)))
}

// exchange sends an assertion and requests a token for a service.
func (r *robot) exchange(c *Client, assertion, service string) (Answer, error) {
	return r.post(c, "/oauth2/token", url.Values{
		"grant_type":            {"client_credentials"},
		"audience":              {service},
		"client_assertion":      {assertion},
		"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
	})
}

// post sends a form to the authorization server.
func (r *robot) post(c *Client, path string, form url.Values) (Answer, error) {
	q, err := http.NewRequest(http.MethodPost, r.issuer+path, strings.NewReader(form.Encode()))
	if err != nil {
		return Answer{}, err
	}

	q.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return c.Send(q)
}

// use sends a token to the first service.
func (r *robot) use(c *Client, method, path, token string) (Answer, error) {
	q, err := http.NewRequest(method, c.url+path, nil)
	if err != nil {
		return Answer{}, err
	}

	q.Header.Set("Authorization", "Bearer "+token)
	return c.Send(q)
}

// token returns the access token in an answer, or "".
func (a Answer) token() string {
	var out struct {
		Token string `json:"access_token"`
	}
	if json.Unmarshal([]byte(a.Body), &out) != nil {
		return ""
	}

	return out.Token
}

package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/jeton-auth/jeton/internal/jose"
)

// issuerConfig is an authorization server with a service for every way to show a token, one
// for every algorithm, and one with the teaching endpoints.
const issuerConfig = `admin:
  listen: %s
throttle:
  pair_burst: 1000000
  pair_every: 1ms
  account_burst: 1000000
  account_every: 1ms
  source_burst: 1000000
  source_every: 1ms
issuer:
  url: http://%[2]s
  listen: %[2]s
  plain_http: true
  workloads:
    - name: platform
      issuer: ` + platformIssuer + `
      jwks_file: platform.json
      replay: reuse
      rules: [{client: ` + clientName + `, claims: [{name: project, value: bench}]}]
clients:
  - name: ` + clientName + `
    secret_hash: %[3]x
    services: [` + service + `, es256, rs256, timed]
    introspects: [` + service + `]
    keys:
      - file: %[4]s
        algorithm: RS256
  - name: ` + acting + `
    secret_hash: %[3]x
    exchanges: [{from: ` + service + `, to: es256}]
  - name: ` + exchanger + `
    secret_hash: %[3]x
    openid: {redirect_uris: ["` + partyDone + `"], require_pkce: false, id_token_algorithm: ES256}
  - name: ` + refresher + `
    secret_hash: %[3]x
    openid: {redirect_uris: ["` + partyDone + `"], require_pkce: false, id_token_algorithm: ES256}
services:
  - name: ` + service + `
    listen: %[5]s
    plain_http: true
    login: {paths: [/login], sign_in: true}
    logout: /logout
    session: {lifetime: 24h, idle_timeout: 24h}
    accept: [session, token, basic]
    tokens: {lifetime: 12h}
    routes:
      - match: GET /check
        respond:
          json: {Secret-number: 42}
      - match: GET /open
        open: true
        respond:
          json: {Secret-number: 42}
  - name: es256
    listen: %[6]s
    plain_http: true
    tokens: {algorithm: ES256}
    routes: [{match: GET /check, respond: {text: ok}}]
  - name: rs256
    listen: %[7]s
    plain_http: true
    tokens: {algorithm: RS256}
    routes: [{match: GET /check, respond: {text: ok}}]
  - name: timed
    listen: %[8]s
    plain_http: true
    tokens: {algorithm: RS256, lifetime: 12h}
    teaching:
      assertion_login: /login
      iss_only: true
      token_in_body: true
    routes:
      - match: POST /{$}
        respond:
          text: Patience is a key that opens at its hour.
`

// clientName is the client of the configuration that gets tokens of its own.
const clientName = "client"

// acting is the client that exchanges the tokens of the other one for those of the next service.
const acting = "acting"

// authority is a jeton with an authorization server. The process is the service that
// every credential opens; the others are the same process at other addresses.
type authority struct {
	*process
	issuer, timed *process
}

// keyPair is the RSA key of a client or of a teaching server, PEM.
type keyPair struct {
	key             *rsa.PrivateKey
	private, public []byte
}

// newKeyPair makes an RSA key of that many bits: the algorithm of the teaching clients.
func newKeyPair(bits int) (keyPair, error) {
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		return keyPair{}, err
	}

	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return keyPair{}, err
	}

	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		return keyPair{}, err
	}

	return keyPair{
		key:     key,
		private: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}),
		public:  pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public}),
	}, nil
}

// clientRSA is how long the key of a client is, in bits.
const clientRSA = 2048

// assertion is what a teaching client logs in with.
func (k keyPair) assertion() (string, error) {
	signer, err := jose.NewSigner(k.key, jose.RS256, "")
	if err != nil {
		return "", err
	}
	return signer.Sign("JWT", []byte(`{"iss":"`+clientName+`"}`))
}

// platformIssuer is the issuer of the tokens that software exchanges.
const platformIssuer = "https://platform.example.org"

// platformKeys returns the JWK Set of the platform, whose key is that of the client.
func (k keyPair) platformKeys() ([]byte, error) {
	key, err := jose.ParsePEM(k.public, jose.RS256, "")
	return jose.MarshalSet([]jose.Key{key}), err
}

// platformToken returns a token of the platform, for an issuer here.
func (k keyPair) platformToken(audience string) (string, error) {
	signer, err := jose.NewSigner(k.key, jose.RS256, "")
	if err != nil {
		return "", err
	}

	now := time.Now().Unix()
	const claims = `{"iss":%q,"aud":%q,"sub":"project:bench:branch:main","project":"bench","iat":%d,"exp":%d}`

	return signer.Sign("JWT", fmt.Appendf(nil, claims, platformIssuer, audience, now, now+12*60*60))
}

// exchangeForm exchanges a token of the platform for one for the service.
func (k keyPair) exchangeForm(audience string) (string, error) {
	text, err := k.platformToken(audience)
	return url.Values{
		"grant_type": {"urn:ietf:params:oauth:grant-type:jwt-bearer"},
		"assertion":  {text},
		"audience":   {service},
	}.Encode(), err
}

// swapForm exchanges an access token for one of the next service (RFC 8693).
func swapForm(token string) string {
	return url.Values{
		"grant_type":         {"urn:ietf:params:oauth:grant-type:token-exchange"},
		"subject_token":      {token},
		"subject_token_type": {"urn:ietf:params:oauth:token-type:access_token"},
		"audience":           {"es256"},
	}.Encode()
}

// formType is the media type of a form.
const formType = "application/x-www-form-urlencoded"

// clientSecret is as random as a real one: one SHA-256 checks it.
func clientSecret() string { return secret(1 << 40) }

// basic returns the value of the header Authorization (RFC 7617).
func basic(name, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(name+":"+password))
}

// authorityUp starts jeton with an authorization server, and waits until it answers.
func (b *bench) authorityUp(ctx context.Context, n stored, client keyPair, at place) (*authority, error) {
	dir, err := b.store(ctx, n)
	if err != nil {
		return nil, err
	}

	// The admin listener, the issuer, and one for each service.
	var addrs [6]string
	for i := range addrs {
		addrs[i], err = freeAddr()
		if err != nil {
			return nil, err
		}
	}

	public := filepath.Join(dir, "client.pub")
	if err := os.WriteFile(public, client.public, 0o600); err != nil {
		return nil, err
	}

	platform, err := client.platformKeys()
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(dir, "platform.json"), platform, 0o600); err != nil {
		return nil, err
	}

	file := filepath.Join(dir, "issuer.yaml")
	hash := sha256.Sum256([]byte(clientSecret()))
	text := fmt.Appendf(nil, issuerConfig, addrs[0], addrs[1], hash, public, addrs[2], addrs[3], addrs[4], addrs[5])
	if err := os.WriteFile(file, text, 0o600); err != nil {
		return nil, err
	}

	p, err := launch("jeton", addrs[2], dir, at.server, nil, b.program, "serve", "--config", file, "--data-dir", dir)
	if p, err = up(ctx, p, err); err != nil {
		return nil, err
	}

	return &authority{process: p, issuer: p.elsewhere(addrs[1]), timed: p.elsewhere(addrs[5])}, nil
}

// elsewhere is the same process at another of its addresses.
func (p *process) elsewhere(addr string) *process {
	q := *p
	q.addr = addr
	return &q
}

// bareSignUp starts the bare authorization server, which sends the files of the folder.
func (b *bench) bareSignUp(ctx context.Context, answers string, at place) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}

	addr, err := freeAddr()
	if err != nil {
		return nil, err
	}

	p, err := launch("bare", addr, b.dir, at.server, nil, self, "role-sign", "-addr", addr, "-answers", answers)
	return up(ctx, p, err)
}

// formHead is the head of a request of the client's at the authorization server.
func formHead() string { return partyHead(clientName) }

// partyHead is the head of a request of one of the clients, which share a secret.
func partyHead(name string) string {
	return "Content-Type: " + formType + "\r\nAuthorization: " + basic(name, clientSecret())
}

// wishForm requests a token for a service.
func wishForm(name string) string { return "grant_type=client_credentials&audience=" + name }

// posted sends a body and returns the answer, which must be a 200.
func posted(ctx context.Context, c *http.Client, address, authorization, kind, body string) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, address, strings.NewReader(body))
	if err != nil {
		return nil, err
	}

	r.Header.Set("Content-Type", kind)
	if authorization != "" {
		r.Header.Set("Authorization", authorization)
	}

	answer, err := c.Do(r)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()

	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return nil, err
	}
	// A refusal is fast: to measure one by mistake would flatter the server.
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("POST %s: %s: %s", address, answer.Status, text)
	}

	return text, nil
}

// ask posts a form to the authorization server as the client.
func (a *authority) ask(ctx context.Context, c *http.Client, path, form string) ([]byte, error) {
	return posted(
		ctx, c, "http://"+a.issuer.addr+path, basic(clientName, clientSecret()),
		formType, form,
	)
}

// signedTokens gets n signed tokens for the service that every credential opens.
func (a *authority) signedTokens(ctx context.Context, n int) ([]string, error) {
	return manyOf(n, func(c *http.Client) (string, error) {
		text, err := a.ask(ctx, c, "/oauth2/token", wishForm(service))
		if err != nil {
			return "", err
		}

		var in struct {
			Token string `json:"access_token"`
		}
		if err := json.Unmarshal(text, &in); err != nil || in.Token == "" {
			return "", errors.Join(err, fmt.Errorf("no token in %q", text))
		}

		return in.Token, nil
	})
}

// manyOf gets n texts over a few connections.
func manyOf(n int, get func(*http.Client) (string, error)) ([]string, error) {
	const conns = 16
	c := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: conns}}
	defer c.CloseIdleConnections()

	texts, errs := make([]string, n), make([]error, conns)
	var wg sync.WaitGroup
	for w := range conns {
		wg.Go(func() {
			// Each worker writes elements of its own, so no lock is needed.
			for i := w; i < n && errs[w] == nil; i += conns {
				texts[i], errs[w] = get(c)
			}
		})
	}

	wg.Wait()

	return texts, errors.Join(errs...)
}

// lines writes a file of which a load sends one line with each request.
func (b *bench) lines(n int, line func(i int) (string, error)) (string, error) {
	f, err := os.CreateTemp(b.dir, "lines-")
	if err != nil {
		return "", err
	}
	defer f.Close()

	w := bufio.NewWriter(f)
	for i := range n {
		text, err := line(i)
		if err != nil {
			return "", err
		}
		_, _ = w.WriteString(text + "\n") // Flush reports the error
	}

	return f.Name(), w.Flush()
}

// shown is a load of checks, each with one of n values of the header Authorization.
func (b *bench) shown(n int, value func(i int) (string, error)) (load, error) {
	file, err := b.lines(n, value)
	return load{
		Kind:  kindHeader,
		Path:  "/check",
		Lines: file,
		Lined: n,
	}, err
}

// posts is a load of one of n bodies.
func (b *bench) posts(path, header string, n int, body func(i int) (string, error)) (load, error) {
	file, err := b.lines(n, body)
	return load{
		Kind:   kindBody,
		Path:   path,
		Header: header,
		Lines:  file,
		Lined:  n,
	}, err
}

// always is one text for every line.
func always(text string) func(int) (string, error) {
	return func(int) (string, error) { return text, nil }
}

// lookForm introspects a token (RFC 7662).
func lookForm(text string) string { return "token=" + url.QueryEscape(text) }

package wallet

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/jose"
	"github.com/jeton-auth/jeton/internal/test/testkey"
	"github.com/jeton-auth/jeton/jetontest"
)

const exchangeConfig = `
issuer: {url: "https://localhost:${ISSUER_PORT}", listen: "localhost:${ISSUER_PORT}"}
clients:
  - name: reports
    secret_hash: '${HASH}'
    exchanges: [{from: reports, to: archive, scopes: [read], max_lifetime: 1m}]
  - name: keyed
    keys: [{public: '${KEY}'}]
    exchanges: [{from: reports, to: archive, scopes: [read]}]
services:
  - name: reports
    listen: localhost:0
    user_scopes: [{scopes: [read, write]}]
    tokens: {}
    routes: [{match: GET /who, respond: {text: who}}]
  - name: archive
    listen: localhost:0
    user_scopes: [{scopes: [read]}]
    tokens: {}
    routes: [{match: GET /who, respond: {template: "{{.Name}}"}}]
  - name: closed
    listen: localhost:0
    tokens: {}
    routes: [{match: GET /who, respond: {text: who}}]
`

const clientSecret = "canary-secret-of-reports"

// exchanging is a server whose service reports calls archive for diane.
type exchanging struct {
	*jetontest.Server
	t   *testing.T
	key string // file of the key of the client keyed
}

func newExchanging(t *testing.T) *exchanging {
	t.Helper()
	signer := must(testkey.Generate(jose.EdDSA))
	x := &exchanging{t: t, key: (&scene{t: t, dir: t.TempDir()}).keep("keyed.key", signer)}
	hash := fmt.Sprintf("%x", sha256.Sum256([]byte(clientSecret)))
	x.Server = jetontest.Start(
		t, exchangeConfig, jetontest.Env("HASH", hash), jetontest.Env("KEY", string(signer.Key().JWK())),
	)
	x.AddUser("diane", "correct horse battery")

	return x
}

// token returns a token of diane for reports.
func (x *exchanging) token(uses int64) jeton.Secret {
	return jeton.NewSecret(x.AddToken(jetontest.NewToken{
		User:     "diane",
		Name:     "laptop",
		Services: []string{"reports"},
		Scopes:   []string{"read", "write"},
		MaxUses:  uses,
		Expires:  time.Now().Add(time.Hour),
	}).Secret)
}

// by returns the exchanger of a client, with its secret unless change gives it a key.
func (x *exchanging) by(change func(*ExchangeConfig)) *Exchanger {
	x.t.Helper()
	c := ExchangeConfig{
		Issuer:    x.Issuer(),
		Client:    "reports",
		Secret:    jeton.NewSecret(clientSecret),
		Transport: x.Client().Transport,
	}
	change(&c)
	e, err := NewExchanger(c)
	if err != nil {
		x.t.Fatal(err)
	}

	return e
}

func asReports(*ExchangeConfig) {}

func TestAServiceExchangesATokenForTheNext(t *testing.T) {
	x := newExchanging(t)
	asKeyed := func(c *ExchangeConfig) { c.Client, c.Key, c.Secret = "keyed", x.key, jeton.Secret{} }

	for _, tc := range []struct {
		name   string
		client func(*ExchangeConfig)
		uses   int64 // of the token of diane
		in     Exchange
		want   int64 // uses of the new one
		life   time.Duration
	}{
		{"with a secret", asReports, 0, Exchange{}, 0, time.Minute},
		{"with a key", asKeyed, 0, Exchange{Scope: []string{"read"}}, 0, 5 * time.Minute},
		{"a counted token", asReports, 5, Exchange{SharedUses: true}, 5, time.Minute},
		{"narrower", asReports, 5, Exchange{MaxUses: 2, Lifetime: 20 * time.Second}, 2, 20 * time.Second},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tc.in.For = "archive"
			start := time.Now()
			got, err := x.by(tc.client).Exchange(t.Context(), x.token(tc.uses), tc.in)
			if err != nil {
				t.Fatal(err)
			}
			late := got.Expires.After(time.Now().Add(tc.life))
			early := got.Expires.Before(start.Add(tc.life - 2*time.Second))
			if late || early || got.MaxUses != tc.want || fmt.Sprint(got.Scope) != "[read]" {
				t.Errorf("got %+v, want [read], %d uses, for %v from %v", got, tc.want, tc.life, start)
			}

			a := x.Ask("GET", "archive", "/who", "Authorization", "Bearer "+got.Text.Reveal())
			if a.Status != http.StatusOK || a.Body != "diane" {
				t.Errorf("at archive: got %d %q, want diane", a.Status, a.Body)
			}
		})
	}
}

func TestARefusedExchangeSaysWhy(t *testing.T) {
	x := newExchanging(t)
	right := x.token(0)
	spent := x.token(1)
	x.Ask("GET", "reports", "/who", "Authorization", "Bearer "+spent.Reveal())
	wrong := func(c *ExchangeConfig) { c.Secret = jeton.NewSecret("another-canary") }

	for _, tc := range []struct {
		name   string
		client func(*ExchangeConfig)
		token  jeton.Secret
		in     Exchange
		want   error
		says   string
	}{
		{"no rule", asReports, right, Exchange{For: "closed"}, jeton.ErrForbidden, "invalid_target: no rule"},
		{"a scope that the rule lacks", asReports, right, Exchange{For: "archive", Scope: []string{"write"}},
			jeton.ErrScope, "invalid_scope"},
		{"a wrong secret", wrong, right, Exchange{For: "archive"}, jeton.ErrBadCredential, "invalid_client"},
		{"an unknown token", asReports, jeton.NewSecret("eyJ.canary.x"), Exchange{For: "archive"},
			jeton.ErrBadCredential, "invalid_request"},
		{"a spent token", asReports, spent, Exchange{For: "archive"}, jeton.ErrSpent, "invalid_request"},
		{"a number of uses below 1", asReports, right, Exchange{For: "archive", MaxUses: -1},
			jeton.ErrInvalid, "invalid exchange"},
		{"no service", asReports, right, Exchange{}, jeton.ErrInvalid, "invalid exchange"},
		{"no token", asReports, jeton.Secret{}, Exchange{For: "archive"}, jeton.ErrInvalid, "token to exchange"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := x.by(tc.client).Exchange(t.Context(), tc.token, tc.in)
			if !errors.Is(err, tc.want) || !strings.Contains(fmt.Sprint(err), tc.says) {
				t.Errorf("got %v, want %v with %q", err, tc.want, tc.says)
			}
			if strings.Contains(fmt.Sprint(err), "canary") || strings.Contains(fmt.Sprint(err), right.Reveal()) {
				t.Errorf("the error has a secret: %v", err)
			}
		})
	}
}

func TestNoErrorOfAnExchangeEchoesASecret(t *testing.T) {
	var issuer *httptest.Server
	issuer = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			fmt.Fprintf(w, `{"issuer":%q,"token_endpoint":%q}`, issuer.URL, issuer.URL+"/token")
			return
		}
		b, _ := json.Marshal(map[string]string{
			"error":             "invalid_request",
			"error_description": "not good: " + r.PostFormValue("client_secret") + r.PostFormValue("subject_token"),
		})
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write(b)
	}))
	defer issuer.Close()

	x, err := NewExchanger(ExchangeConfig{Issuer: issuer.URL, Client: "a", Secret: jeton.NewSecret(clientSecret)})
	if err != nil {
		t.Fatal(err)
	}
	_, err = x.Exchange(t.Context(), jeton.NewSecret("canary-token"), Exchange{For: "archive"})
	if !errors.Is(err, jeton.ErrInvalid) || strings.Contains(fmt.Sprintf("%v %+v", err, x), "canary") {
		t.Errorf("got %v, want ErrInvalid without what was sent", err)
	}
}

func TestAnExchangerIsComplete(t *testing.T) {
	const issuer = "https://auth.example"
	full := ExchangeConfig{Issuer: issuer, Client: "a", Secret: jeton.NewSecret(clientSecret)}
	for name, change := range map[string]func(*ExchangeConfig){
		"no client":         func(c *ExchangeConfig) { c.Client = "" },
		"no credential":     func(c *ExchangeConfig) { c.Secret = jeton.Secret{} },
		"two credentials":   func(c *ExchangeConfig) { c.Key = "a.key" },
		"no issuer":         func(c *ExchangeConfig) { c.Issuer = "" },
		"plain http":        func(c *ExchangeConfig) { c.Issuer = "http://auth.example" },
		"a bad certificate": func(c *ExchangeConfig) { c.CACert = "x" },
		"a query":           func(c *ExchangeConfig) { c.Issuer = issuer + "?x" },
	} {
		c := full
		change(&c)
		if _, err := NewExchanger(c); !errors.Is(err, jeton.ErrInvalid) {
			t.Errorf("%s: got %v, want ErrInvalid", name, err)
		}
	}

	x, err := NewExchanger(ExchangeConfig{
		Issuer: "https://localhost:1",
		Client: "a",
		Key:    filepath.Join(t.TempDir(), "none"),
	})
	if err != nil {
		t.Fatal(err)
	}
	x.endpoint = "https://localhost:1/token"
	if err := x.prove(nil); err == nil || !strings.Contains(err.Error(), "private key") {
		t.Errorf("a missing key: got %v, want that the key cannot be read", err)
	}
}

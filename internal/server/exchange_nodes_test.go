package server_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/jetontest"
)

// exchanging has a client that exchanges tokens of reports for those of archive.
const exchanging = `
issuer: {url: 'http://localhost:${ISSUER_PORT}', listen: 'localhost:${ISSUER_PORT}', plain_http: true}
clients:
  - {name: reports, secret_hash: '${HASH}', exchanges: [{from: reports, to: archive}]}
services:
  - name: reports
    listen: localhost:0
    plain_http: true
    login: {token: /token}
    tokens: {}
    routes: [{match: GET /who, respond: {text: who}}]
  - name: archive
    listen: localhost:0
    plain_http: true
    tokens: {}
    routes: [{match: GET /who, respond: {text: who}}]
`

// TestWhatEndsAnExchangedTokenEndsItAtEachNode exchanges at one node and shows the token at the other one. The key is
// revoked at the first node, and the rule is removed at each node, which has a file of its own.
func TestWhatEndsAnExchangedTokenEndsItAtEachNode(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "keys.secret")
	if err := os.WriteFile(secret, []byte(strings.Repeat("0123456789abcdef", 4)), 0o600); err != nil {
		t.Fatal(err)
	}

	conf := "keys_secret_file: " + secret + "\ndatabase: {url: '" + shared.Database(t) + "'}\n" + exchanging
	conf = strings.ReplaceAll(conf, "${HASH}", fmt.Sprintf("%x", sha256.Sum256([]byte("a secret"))))
	a, b := jetontest.Start(t, conf), jetontest.Start(t, conf)
	a.AddUser("diane", right)

	accepts := func(what, token string, want int) {
		t.Helper()
		for i, node := range []*jetontest.Server{a, b} {
			got := node.Ask("GET", "archive", "/who", "Authorization", "Bearer "+token)
			if got.Status != want {
				t.Errorf("%s, at node %d: got %d %q, want %d", what, i, got.Status, got.Code(), want)
			}
		}
	}

	signed, token := exchangedAt(t, a)
	accepts("a new token", token, http.StatusOK)
	head, err := base64.RawURLEncoding.DecodeString(strings.Split(signed, ".")[0])
	var header struct{ Kid string }
	if err != nil || json.Unmarshal(head, &header) != nil {
		t.Fatalf("header %q: %v", head, err)
	}
	a.MustControl("DELETE", "/api/v1/keys/"+header.Kid, nil, nil)
	accepts("after the revocation of the key", token, http.StatusUnauthorized)

	_, token = exchangedAt(t, a)
	accepts("a token of the next key", token, http.StatusOK)
	without := strings.Replace(conf, ", exchanges: [{from: reports, to: archive}]", "", 1)
	for _, node := range []*jetontest.Server{a, b} {
		if err := node.Reload(without); err != nil {
			t.Fatal(err)
		}
	}
	accepts("without the rule", token, http.StatusUnauthorized)

	var list []jeton.Token
	a.MustControl("GET", "/api/v1/tokens?kind=exchanged", nil, &list)
	if len(list) != 0 {
		t.Errorf("without the rule, the list has %d exchanged tokens, want none", len(list))
	}
}

package client_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/client"
	"github.com/jeton-auth/jeton/internal/jose"
)

func TestAnIssuerNamesItsKeys(t *testing.T) {
	key := generated(t)

	for _, tc := range []struct {
		name     string
		document string // ISSUER is the address of the issuer
		ok       bool
	}{
		{"right", `{"issuer":"ISSUER","jwks_uri":"ISSUER/keys"}`, true},
		{"of another issuer", `{"issuer":"https://other.example","jwks_uri":"ISSUER/keys"}`, false},
		{"with a slash more", `{"issuer":"ISSUER/","jwks_uri":"ISSUER/keys"}`, false},
		{"without keys", `{"issuer":"ISSUER"}`, false},
		{"with keys without TLS elsewhere", `{"issuer":"ISSUER","jwks_uri":"http://ci.example/keys"}`, false},
		{"with keys in a file", `{"issuer":"ISSUER","jwks_uri":"file:///etc/passwd"}`, false},
		{"no JSON", `hello`, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var issuer *keyserver
			issuer = newKeyserver(t, httptest.NewServer, func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/keys" {
					jwks(key)(w, r)
					return
				}
				w.Header().Set("Content-Type", "application/json")
				_, _ = fmt.Fprint(w, strings.ReplaceAll(tc.document, "ISSUER", issuer.URL))
			})

			source := client.Source{URL: issuer.URL, Format: client.FormatIssuer, Private: true}
			keys, err := client.NewKeyCache(nil).Keys(t.Context(), source, key.ID, noon)
			if tc.ok && (err != nil || len(keys) != 1) || !tc.ok && !errors.Is(err, jeton.ErrUnavailable) {
				t.Errorf("Keys = %v, %v, want success: %t, or unavailable", keys, err, tc.ok)
			}
		})
	}
}

func TestKeysOfAFileAreReadAgain(t *testing.T) {
	first, second := generated(t), generated(t)
	source := client.Source{File: filepath.Join(t.TempDir(), "keys.json"), Format: client.FormatJWKS}
	cache := client.NewKeyCache(nil)

	for i, key := range []jose.Key{first, second} {
		must(t, os.WriteFile(source.File, jose.MarshalSet([]jose.Key{key}), 0o600))
		keys, err := cache.Keys(t.Context(), source, key.ID, noon.Add(time.Duration(i)*time.Hour))
		if err != nil || len(keys) != 1 {
			t.Errorf("Keys of file %d = %v, %v, want its key", i, keys, err)
		}
	}

	must(t, os.WriteFile(source.File, make([]byte, 65<<10), 0o600))
	_, err := cache.Keys(t.Context(), source, "", noon.Add(2*time.Hour))
	if !errors.Is(err, jeton.ErrUnavailable) {
		t.Errorf("Keys of a file of 65 KiB = %v, want unavailable", err)
	}
}

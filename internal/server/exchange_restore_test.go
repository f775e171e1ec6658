package server_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jeton-auth/jeton/internal/config"
	"github.com/jeton-auth/jeton/internal/server"
	"github.com/jeton-auth/jeton/jetontest"
)

// exchangedAt returns a signed token of diane, and what it is exchanged for.
func exchangedAt(t *testing.T, s *jetontest.Server) (signed, exchanged string) {
	t.Helper()
	basic := "Basic " + base64.StdEncoding.EncodeToString([]byte("diane:"+right))
	var first struct{ Token string }
	got := s.Ask("GET", "reports", "/token", "Authorization", basic)
	if err := json.Unmarshal([]byte(got.Body), &first); err != nil {
		t.Fatalf("token: got %d %s", got.Status, got.Body)
	}

	got = s.Post(
		"/oauth2/token", "grant_type", "urn:ietf:params:oauth:grant-type:token-exchange", "client_id", "reports",
		"client_secret", "a secret", "subject_token", first.Token,
		"subject_token_type", "urn:ietf:params:oauth:token-type:access_token", "audience", "archive",
	)
	var second struct {
		Token string `json:"access_token"`
	}
	if err := json.Unmarshal([]byte(got.Body), &second); err != nil || second.Token == "" {
		t.Fatalf("exchange: got %d %s", got.Status, got.Body)
	}

	return first.Token, second.Token
}

// TestAnExchangedTokenOfABackupIsAsOtherTokens restores a backup that was taken before the signing key was revoked. The
// token is accepted where the signed one is that it was exchanged for, and only with the rule that it was made by.
func TestAnExchangedTokenOfABackupIsAsOtherTokens(t *testing.T) {
	port, err := jetontest.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	p := &past{t: t, dir: filepath.Join(t.TempDir(), "data"), backup: filepath.Join(t.TempDir(), "backup")}
	p.at.Store(time.Now().UnixMilli())
	p.options = []jetontest.Option{jetontest.Clock(p.now), jetontest.DataDir(p.dir)}
	p.yaml = strings.NewReplacer(
		"${HASH}", fmt.Sprintf("%x", sha256.Sum256([]byte("a secret"))), "${ISSUER_PORT}", port,
	).Replace(exchanging)
	p.conf, err = config.Parse("jeton.yaml", []byte(p.yaml), func(string) (string, bool) { return "", false })
	if err != nil {
		t.Fatal(err)
	}

	s := p.start()
	s.AddUser("diane", right)
	signed, token := exchangedAt(t, s)
	p.save(s, p.backup)
	head, err := base64.RawURLEncoding.DecodeString(strings.Split(signed, ".")[0])
	var header struct{ Kid string }
	if err != nil || json.Unmarshal(head, &header) != nil {
		t.Fatalf("header %q: %v", head, err)
	}
	s.MustControl("DELETE", "/api/v1/keys/"+header.Kid, nil, nil)
	s.Stop()

	with := p.yaml
	another := strings.Replace(with, "to: archive}", "to: archive, max_uses: 9}", 1)
	for _, tc := range []struct {
		name             string
		trust            bool
		yaml             string
		signed, accepted int
	}{
		{"a backup", false, with, http.StatusUnauthorized, http.StatusUnauthorized},
		{"a trusted one", true, with, http.StatusOK, http.StatusOK},
		{"a trusted one, with another rule since", true, another, http.StatusOK, http.StatusUnauthorized},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p.at.Add(1000)
			p.mustRestore(server.Restoring{Replace: true, Trust: tc.trust})
			p.yaml = tc.yaml
			s := p.start()
			defer s.Stop()

			for _, c := range []struct {
				service, token string
				want           int
			}{{"reports", signed, tc.signed}, {"archive", token, tc.accepted}} {
				got := s.Ask("GET", c.service, "/who", "Authorization", "Bearer "+c.token)
				if got.Status != c.want {
					t.Errorf("at %s: got %d %q, want %d", c.service, got.Status, got.Code(), c.want)
				}
			}

			p.at.Add(20_000)
			_, fresh := exchangedAt(t, s)
			if got := s.Ask("GET", "archive", "/who", "Authorization", "Bearer "+fresh); got.Status != http.StatusOK {
				t.Errorf("a new token: got %d %q, want 200", got.Status, got.Code())
			}
		})
	}
}

package server_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jeton-auth/jeton/jetontest"
)

// TestTheAdminListenerForOtherMachines checks host names, TLS and the token.
func TestTheAdminListenerForOtherMachines(t *testing.T) {
	const token = "prometheus-0123456789"

	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(token+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}

	s := jetontest.Start(t, easy+shop()+`
admin:
  listen: 127.0.0.1:0
  allow: [192.0.2.0/24]
  hosts: [node1.example.org]
  tls: {}
  token_file: `+file+"\n")
	client := s.Client()

	if !strings.HasPrefix(s.Admin(), "https://127.0.0.1:") {
		t.Fatalf("Admin = %s, want https", s.Admin())
	}
	if err := served(t, s, "shop").VerifyHostname("node1.example.org"); err != nil {
		t.Errorf("self-signed certificate: %v", err)
	}

	for _, tc := range []struct {
		name, path, host, auth string
		want                   int
		code                   string
	}{
		{"readiness needs no token", "/readyz", "", "", 200, ""},
		{"liveness by its host name", "/livez", "node1.example.org", "", 200, ""},
		{"another host name", "/livez", "rebound.example.com", "", 421, "misdirected_request"},
		{"metrics without the token", "/metrics", "", "", 401, "no_credential"},
		{"metrics with another token", "/metrics", "", "Bearer prometheus-012345678", 401, "bad_credential"},
		{"metrics with an empty token", "/metrics", "", "Bearer ", 401, ""},
		{"metrics with Basic", "/metrics", "", "Basic " + token, 401, "no_credential"},
		{"metrics with the token", "/metrics", "", "Bearer " + token, 200, ""},
		{"metrics by host name and token", "/metrics", "node1.example.org:9180", "bearer " + token, 200, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r, err := http.NewRequestWithContext(t.Context(), "GET", s.Admin()+tc.path, nil)
			if err != nil {
				t.Fatal(err)
			}

			r.Host = tc.host
			if tc.auth != "" {
				r.Header.Set("Authorization", tc.auth)
			}

			resp, err := client.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()

			code := resp.Header.Get("Jeton-Error")
			if resp.StatusCode != tc.want || tc.code != "" && code != tc.code {
				t.Errorf("GET %s = %d %s, want %d %s", tc.path, resp.StatusCode, code, tc.want, tc.code)
			}
			if challenge := resp.Header.Get("WWW-Authenticate"); (challenge != "") != (tc.want == 401) {
				t.Errorf("%s = %d, WWW-Authenticate %q; want one only with 401", tc.path, resp.StatusCode, challenge)
			}
		})
	}
}

package wallet

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/jetontest"
)

const workloadConfig = `
issuer:
  url: https://localhost:${ISSUER_PORT}
  listen: localhost:${ISSUER_PORT}
  workloads:
    - name: actions
      kind: github
      issuer: ${GITHUB}
      private_network: true
      rules:
        - {client: ci, claims: [{name: repository, value: octo/shop}]}
clients:
  - {name: ci, services: [reports]}
services:
  - name: reports
    listen: localhost:0
    tokens: {lifetime: 1h}
    routes: [{match: GET /who, respond: {template: "{{.Name}}"}}]
`

// platform is a server with software on platforms that it knows.
type platform struct {
	*jetontest.Server
	t      *testing.T
	issuer *jetontest.WorkloadIssuer
	env    map[string]string
	asked  atomic.Int64 // requests of GitHub Actions for a token
}

// newPlatform starts the server, and what GitHub Actions has for its jobs.
func newPlatform(t *testing.T) *platform {
	t.Helper()
	p := &platform{t: t, issuer: jetontest.NewWorkloadIssuer(t, "RS256")}
	p.Server = jetontest.Start(t, workloadConfig, jetontest.Env("GITHUB", p.issuer.URL))

	actions := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.asked.Add(1)
		if r.Header.Get("Authorization") != "Bearer job-token" || r.URL.Query().Get("api-version") != "2.0" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		_, _ = fmt.Fprintf(w, `{"count": 1, "value": %q}`, p.token(r.URL.Query().Get("audience")))
	}))
	t.Cleanup(actions.Close)
	p.env = map[string]string{
		"ACTIONS_ID_TOKEN_REQUEST_URL":   actions.URL + "/token?api-version=2.0",
		"ACTIONS_ID_TOKEN_REQUEST_TOKEN": "job-token",
	}

	return p
}

// token returns a token of the platform.
func (p *platform) token(audience string) string {
	return p.issuer.Token(map[string]any{
		"iss":        p.issuer.URL,
		"aud":        audience,
		"sub":        "repo:octo/shop:ref:refs/heads/main",
		"repository": "octo/shop",
		"jti":        rand.Text(),
		"iat":        time.Now().Unix(),
		"exp":        time.Now().Add(5 * time.Minute).Unix(),
	})
}

// wallet opens an empty wallet that sees the variables of the job.
func (p *platform) wallet() *Wallet {
	p.t.Helper()
	home := p.t.TempDir()
	return openWallet(p.t, home, func(c *Config) {
		c.Transport = p.Client().Transport
		c.Getenv = func(name string) string {
			if name == "HOME" {
				return home
			}
			return p.env[name]
		}
	})
}

// login is a login of the workload.
func (p *platform) login(load Workload) Login {
	return Login{
		URL:      p.URL("reports"),
		As:       "job",
		Issuer:   p.Issuer(),
		Audience: "reports",
		Workload: &load,
	}
}

func TestAWorkloadLogsInWithTheTokenOfItsPlatform(t *testing.T) {
	p := newPlatform(t)
	p.env["JETON_ID_TOKEN"] = p.token(p.Issuer())
	file := filepath.Join(t.TempDir(), "token")

	for _, tc := range []struct {
		name string
		load Workload
		vars []string
	}{
		{
			"GitHub Actions",
			Workload{Platform: PlatformGitHub},
			[]string{"ACTIONS_ID_TOKEN_REQUEST_URL", "ACTIONS_ID_TOKEN_REQUEST_TOKEN"},
		},
		{"GitLab", Workload{Platform: PlatformGitLab}, []string{"JETON_ID_TOKEN"}},
		{"Kubernetes", Workload{Platform: PlatformKubernetes, Source: file}, nil},
		{"a file", Workload{Platform: PlatformFile, Source: file}, nil},
		{
			"as a client that it names",
			Workload{Platform: PlatformGitHub, Client: "ci"},
			[]string{"ACTIONS_ID_TOKEN_REQUEST_URL", "ACTIONS_ID_TOKEN_REQUEST_TOKEN"},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			// As a platform mounts it: for everyone, with a line break.
			if err := os.WriteFile(file, []byte(p.token(p.Issuer())+"\n"), 0o644); err != nil {
				t.Fatal(err)
			}

			w := p.wallet()
			id, err := w.Login(t.Context(), p.login(tc.load))
			if err != nil {
				t.Fatal(err)
			}
			resp, err := id.Client().Get(p.URL("reports") + "/who")
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
			if resp.StatusCode != http.StatusOK || id.Info().Kind != KindWorkload {
				t.Errorf("GET /who = %d, kind %s, want 200 and a workload", resp.StatusCode, id.Info().Kind)
			}
			if got := id.PlatformVariables(); !slices.Equal(got, tc.vars) {
				t.Errorf("PlatformVariables = %q, want %q", got, tc.vars)
			}

			token := must(id.Token(t.Context())).Text.Reveal()
			if err := w.Logout(t.Context(), p.URL("reports"), "job"); err != nil {
				t.Fatal(err)
			}
			a := p.Ask("GET", "reports", "/who", "Authorization", "Bearer "+token)
			if a.Status != http.StatusUnauthorized {
				t.Errorf("with its token after the logout: got %d, want 401", a.Status)
			}
		})
	}
}

func TestAWorkloadMakesTokensForJobs(t *testing.T) {
	p := newPlatform(t)
	id, err := p.wallet().Login(t.Context(), p.login(Workload{Platform: PlatformGitHub}))
	if err != nil {
		t.Fatal(err)
	}

	lease, err := id.Lease(t.Context(), jeton.LeaseRequest{Name: "build", MaxUses: 1, Seconds: 60})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []int{http.StatusOK, http.StatusForbidden} {
		a := p.Ask("GET", "reports", "/who", "Authorization", "Bearer "+lease.Secret().Reveal())
		if a.Status != want && a.Code() != "spent" {
			t.Errorf("with the token of the job: got %d %s, want %d", a.Status, a.Code(), want)
		}
	}
}

func TestAWorkloadIsRefused(t *testing.T) {
	p := newPlatform(t)
	old := p.token(p.Issuer())
	p.env["JETON_ID_TOKEN"] = old
	if _, err := p.wallet().Login(t.Context(), p.login(Workload{Platform: PlatformGitLab})); err != nil {
		t.Fatal(err)
	}
	p.env["LINES"] = "no token\n"

	for _, tc := range []struct {
		name  string
		login func(*Login)
		want  error
	}{
		{"with a token that was used", func(in *Login) {
			in.Workload.Platform = PlatformGitLab
		}, jeton.ErrBadCredential},
		{"without the variable", func(in *Login) {
			in.Workload = &Workload{Platform: PlatformGitLab, Source: "NONE"}
		}, jeton.ErrNotFound},
		{"with a variable that has no token", func(in *Login) {
			in.Workload = &Workload{Platform: PlatformGitLab, Source: "LINES"}
		}, jeton.ErrInvalid},
		{"without the file", func(in *Login) {
			in.Workload = &Workload{Platform: PlatformFile, Source: filepath.Join(t.TempDir(), "none")}
		}, os.ErrNotExist},
		{"without the name of a file", func(in *Login) { in.Workload.Platform = PlatformFile }, jeton.ErrInvalid},
		{"on another platform", func(in *Login) { in.Workload.Platform = "circus" }, jeton.ErrInvalid},
		{"with a password, too", func(in *Login) { in.Password = jeton.NewSecret("x") }, jeton.ErrInvalid},
		{"with another issuer than that of the service", func(in *Login) {
			in.Issuer = "https://other.example"
		}, ErrUnconfirmed},
	} {
		t.Run(tc.name, func(t *testing.T) {
			in := p.login(Workload{Platform: PlatformGitHub})
			tc.login(&in)
			_, err := p.wallet().Login(t.Context(), in)
			if !errors.Is(err, tc.want) {
				t.Errorf("Login = %v, want %v", err, tc.want)
			}
		})
	}

	if n := p.asked.Load(); n != 0 {
		t.Errorf("GitHub Actions gave %d tokens for logins that are refused before, want 0", n)
	}
}

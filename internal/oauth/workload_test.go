package oauth_test

import (
	"crypto/rand"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jeton-auth/jeton/jetontest"
)

// workloads has an issuer of each kind. Its clients have no key and no secret.
const workloads = `
issuer:
  url: 'http://localhost:${ISSUER_PORT}'
  listen: 'localhost:${ISSUER_PORT}'
  plain_http: true
  workloads:
    - name: actions
      kind: github
      issuer: ${GITHUB}
      private_network: true
      rules:
        - client: deploy
          claims: [{name: repository, value: octo/shop}, {name: ref, value: refs/heads/main}]
          services: [reports]
          scopes: [write]
          lifetime: 2m
          max_uses: 2
          allows: ["POST /deploys", "GET /who"]
        - client: build
          claims: [{name: repository, value: octo/*}]
    - name: gitlab
      kind: gitlab
      issuer: ${GITLAB}
      jwks_uri: ${GITLAB}/jwks
      audience: jeton
      private_network: true
      rules:
        - client: build
          claims: [{name: project_path, value: group/shop}, {name: ref_protected, value: "true"}]
    - name: cluster
      kind: kubernetes
      issuer: https://kubernetes.default.svc.cluster.local
      jwks_file: ${FILES}/cluster.json
      rules:
        - client: build
          claims: [{name: sub, value: "system:serviceaccount:shop:*"}]
    - name: mesh
      kind: spiffe
      issuer: spiffe://example.org
      jwks_file: ${FILES}/mesh.json
      rules:
        - client: build
          claims: [{name: sub, value: spiffe://example.org/ns/shop/sa/build}]
        - client: gone
          claims: [{name: sub, value: spiffe://example.org/gone}]
clients:
  - {name: deploy, services: [reports, opaque], scopes: [read, write]}
  - {name: build, services: [reports], scopes: [read]}
services:
  - name: reports
    listen: localhost:0
    plain_http: true
    tokens: {}
    routes:
      - {match: GET /who, respond: {template: "{{.Name}}"}}
      - {match: POST /deploys, scopes: [write], respond: {text: deployed}}
      - {match: GET /other, respond: {text: other}}
  - name: opaque
    listen: localhost:0
    plain_http: true
    tokens: {format: opaque}
    routes: [{match: GET /who, respond: {text: "ok"}}]
`

// platforms are the issuers of workloads.
type platforms struct {
	*fixture
	github, gitlab, cluster, mesh *jetontest.WorkloadIssuer
}

func newPlatforms(t *testing.T) *platforms {
	t.Helper()
	p := &platforms{
		github:  jetontest.NewWorkloadIssuer(t, "RS256"),
		gitlab:  jetontest.NewWorkloadIssuer(t, "RS256"),
		cluster: jetontest.NewWorkloadIssuer(t, "RS256"),
		mesh:    jetontest.NewWorkloadIssuer(t, "ES256"),
	}

	files := t.TempDir()
	// As a bundle of SPIFFE has it.
	bundle := strings.Replace(string(p.mesh.JWKS()), `"use":"sig"`, `"use":"jwt-svid"`, 1)
	for name, text := range map[string]string{"cluster.json": string(p.cluster.JWKS()), "mesh.json": bundle} {
		if err := os.WriteFile(filepath.Join(files, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}

	p.fixture = newFixture(
		t, workloads,
		jetontest.Env("GITHUB", p.github.URL), jetontest.Env("GITLAB", p.gitlab.URL), jetontest.Env("FILES", files),
	)

	return p
}

// on returns the platforms for a subtest.
func (p *platforms) on(t *testing.T) *platforms {
	q := *p
	q.fixture = p.fixture.on(t)

	return &q
}

// exchange sends a token of another issuer, as an assertion.
func (p *platforms) exchange(token string, fields ...string) jetontest.Answer {
	p.t.Helper()
	return p.Post("/oauth2/token", append([]string{"grant_type", grantAssertion, "assertion", token}, fields...)...)
}

// times adds when a token was issued and when it expires.
func (p *platforms) times(claims map[string]any, life time.Duration) map[string]any {
	now := p.clock.now()
	return with(claims, map[string]any{"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(life).Unix()})
}

// actions returns claims as GitHub Actions has them.
func (p *platforms) actions() map[string]any {
	return p.times(map[string]any{
		"iss":                   p.github.URL,
		"aud":                   p.Issuer(),
		"sub":                   "repo:octo/shop:ref:refs/heads/main",
		"jti":                   rand.Text(),
		"repository":            "octo/shop",
		"repository_id":         "74",
		"repository_owner":      "octo",
		"repository_owner_id":   "65",
		"repository_visibility": "private",
		"actor":                 "mona",
		"actor_id":              "12",
		"ref":                   "refs/heads/main",
		"ref_type":              "branch",
		"ref_protected":         "true",
		"base_ref":              "",
		"head_ref":              "",
		"sha":                   "b3ab5e1f6c2d4e8f9a0b1c2d3e4f5a6b7c8d9e0f",
		"event_name":            "push",
		"workflow":              "deploy",
		"workflow_ref":          "octo/shop/.github/workflows/deploy.yml@refs/heads/main",
		"workflow_sha":          "b3ab5e1f6c2d4e8f9a0b1c2d3e4f5a6b7c8d9e0f",
		"job_workflow_ref":      "octo/shop/.github/workflows/deploy.yml@refs/heads/main",
		"job_workflow_sha":      "b3ab5e1f6c2d4e8f9a0b1c2d3e4f5a6b7c8d9e0f",
		"check_run_id":          "4891",
		"run_id":                "1028",
		"run_number":            "10",
		"run_attempt":           "1",
		"runner_environment":    "github-hosted",
	}, 5*time.Minute)
}

// gitLab returns claims as an id_token of GitLab CI/CD has them.
func (p *platforms) gitLab() map[string]any {
	return p.times(map[string]any{
		"iss":                p.gitlab.URL,
		"aud":                "jeton",
		"sub":                "project_path:group/shop:ref_type:branch:ref:main",
		"jti":                rand.Text(),
		"project_path":       "group/shop",
		"project_id":         "22",
		"project_visibility": "private",
		"namespace_path":     "group",
		"namespace_id":       "72",
		"user_id":            "1",
		"user_login":         "diane",
		"user_email":         "diane@example.org",
		"user_access_level":  "developer",
		"user_identities":    []map[string]any{{"provider": "saml", "extern_uid": "diane"}},
		"ref":                "main",
		"ref_type":           "branch",
		"ref_path":           "refs/heads/main",
		"ref_protected":      "true",
		"environment":        "production",
		"groups_direct":      []string{"group"},
		"job_id":             "302",
		"pipeline_id":        "574",
		"pipeline_source":    "push",
		"runner_id":          1,
		"runner_environment": "self-hosted",
		"sha":                "714a629c0b401fdce83e847fc9589983fc6f46bc",
		"ci_config_ref_uri":  "gitlab.example.org/group/shop//.gitlab-ci.yml@refs/heads/main",
		"ci_config_sha":      "714a629c0b401fdce83e847fc9589983fc6f46bc",
	}, time.Hour)
}

// serviceAccount returns claims as a projected token of Kubernetes has them.
func (p *platforms) serviceAccount() map[string]any {
	return p.times(map[string]any{
		"iss": "https://kubernetes.default.svc.cluster.local",
		"aud": []string{p.Issuer()},
		"sub": "system:serviceaccount:shop:build",
		"jti": rand.Text(),
		"kubernetes.io": map[string]any{
			"namespace":      "shop",
			"serviceaccount": map[string]any{"name": "build", "uid": "7fb9"},
			"pod":            map[string]any{"name": "build-1", "uid": "4d10"},
			"node":           map[string]any{"name": "node-1", "uid": "c1b2"},
			"warnafter":      p.clock.now().Add(50 * time.Minute).Unix(),
		},
	}, time.Hour)
}

// svid returns claims as a JWT-SVID has them: without iss and jti.
func (p *platforms) svid() map[string]any {
	claims := p.times(map[string]any{
		"aud": []string{p.Issuer()},
		"sub": "spiffe://example.org/ns/shop/sa/build",
	}, 5*time.Minute)
	delete(claims, "nbf")

	return claims
}

func TestATokenOfAWorkloadIsExchanged(t *testing.T) {
	p := newPlatforms(t)
	for _, tc := range []struct {
		name   string
		token  string
		client string
		again  bool // the same token is accepted once more
	}{
		{"GitHub Actions", p.github.Token(p.actions()), "deploy", false},
		{
			"GitHub Actions on another branch, by the next rule",
			p.github.Token(with(p.actions(), map[string]any{"ref": "refs/heads/fix"})),
			"build",
			false,
		},
		{"GitLab", p.gitlab.Token(p.gitLab()), "build", false},
		{"Kubernetes", p.cluster.Token(p.serviceAccount()), "build", true},
		{"SPIFFE", p.mesh.Token(p.svid()), "build", true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := p.on(t)
			token := opens(t, "exchange", p.exchange(tc.token))
			a := p.bearer("reports", "/who", token)
			if a.Status != http.StatusOK || a.Body != tc.client {
				t.Errorf("with the token: got %d %q, want 200 and %s", a.Status, a.Body, tc.client)
			}

			again := p.exchange(tc.token)
			if tc.again {
				opens(t, "exchange again", again)
				return
			}
			bare(t, again, http.StatusBadRequest, "invalid_grant")
			check, says := p.failed(again.Request())
			if check != "single use" || !strings.Contains(says, "used before") {
				t.Errorf("exchange again failed at %q: %q, want single use", check, says)
			}
		})
	}
}

func TestATokenOfAWorkloadHasTheTermsOfItsRule(t *testing.T) {
	p := newPlatforms(t)
	var out struct {
		Token   string `json:"access_token"`
		Type    string `json:"issued_token_type"`
		Expires int    `json:"expires_in"`
		Scope   string
		Uses    int `json:"max_uses"`
	}
	a := p.Post(
		"/oauth2/token",
		"grant_type", "urn:ietf:params:oauth:grant-type:token-exchange",
		"subject_token", p.github.Token(p.actions()),
		"subject_token_type", "urn:ietf:params:oauth:token-type:jwt",
	)
	if err := json.Unmarshal([]byte(a.Body), &out); err != nil || a.Status != http.StatusOK {
		t.Fatalf("token exchange: got %d %s, want 200", a.Status, a.Body)
	}
	if out.Expires != 120 || out.Scope != "write" || out.Uses != 2 ||
		out.Type != "urn:ietf:params:oauth:token-type:access_token" {
		t.Errorf("token exchange: got %s, want 120 seconds, the scope write, 2 uses and the type", a.Body)
	}

	for _, tc := range []struct {
		name, method, path, code string
	}{
		{"a path that the rule does not allow", "GET", "/other", "forbidden"},
		{"one that it allows", "POST", "/deploys", ""},
		{"another one", "GET", "/who", ""},
		{"a third use", "GET", "/who", "spent"},
	} {
		got := p.Ask(tc.method, "reports", tc.path, "Authorization", "Bearer "+out.Token)
		if got.Code() != tc.code {
			t.Errorf("%s: got %d %q, want %q", tc.name, got.Status, got.Code(), tc.code)
		}
	}
}

// workloadRefusal is a token of a workload that must be refused, and the check that fails.
type workloadRefusal struct {
	name  string
	token string
	check string
	says  string
}

// refusals lists tokens of workloads that must be refused.
func (p *platforms) refusals() []workloadRefusal {
	now := p.clock.now()
	github := func(name string, value any) string {
		return p.github.Token(with(p.actions(), map[string]any{name: value}))
	}
	gitlab := func(name string, value any) string {
		return p.gitlab.Token(with(p.gitLab(), map[string]any{name: value}))
	}
	cluster := func(name string, value any) string {
		return p.cluster.Token(with(p.serviceAccount(), map[string]any{name: value}))
	}
	svid := func(name string, value any) string {
		return p.mesh.Token(with(p.svid(), map[string]any{name: value}))
	}

	return []workloadRefusal{
		{"GitHub: another repository", github("repository", "evil/shop"), "rule", "no rule"},
		{"GitHub: an owner whose name begins alike", github("repository", "octopus/shop"), "rule", "no rule"},
		{"GitHub: nothing after the slash", github("repository", "octo/"), "rule", "no rule"},
		{"GitHub: another case", github("repository", "Octo/shop"), "rule", "no rule"},
		{"GitHub: a list that has the repository", github("repository", []string{"octo/shop"}), "rule", "no rule"},
		{"GitHub: no repository", github("repository", nil), "rule", "no rule"},
		{"GitHub: for another audience", github("aud", "https://github.com/octo"), "aud", "not exactly"},
		{"GitHub: for two audiences", github("aud", []string{p.Issuer(), "x"}), "aud", "not exactly"},
		{"GitHub: expired", github("exp", now.Unix()), "exp", "expired"},
		{"GitHub: without exp", github("exp", nil), "exp", "no exp"},
		{"GitHub: from the future", github("iat", now.Add(time.Minute).Unix()), "iat", "future"},
		{"GitHub: not valid yet", github("nbf", now.Add(time.Minute).Unix()), "nbf", "not valid yet"},
		{"GitHub: valid for two days", github("exp", now.Add(48*time.Hour).Unix()), "life", "too long"},
		{"GitHub: without jti", github("jti", nil), "jti", "no jti"},
		{"GitHub: without iat", github("iat", nil), "iat", "no iat"},
		{"GitHub: without sub", github("sub", nil), "sub", "no sub"},
		{"GitHub: signed by the issuer of GitLab", p.gitlab.Token(p.actions()), "issuer and key", "no key"},
		{"GitHub: an issuer that is not declared", github("iss", "https://evil.example"), "client and key", "unknown"},
		{"GitLab: another project", gitlab("project_path", "group/other"), "rule", "no rule"},
		{"GitLab: a project whose name begins alike", gitlab("project_path", "group/shop2"), "rule", "no rule"},
		{"GitLab: a branch that is not protected", gitlab("ref_protected", "false"), "rule", "no rule"},
		{"GitLab: for the server of another one", gitlab("aud", p.Issuer()), "aud", "not exactly"},
		{"GitLab: expired", gitlab("exp", now.Add(-time.Second).Unix()), "exp", "expired"},
		{"GitLab: not valid yet", gitlab("nbf", now.Add(time.Minute).Unix()), "nbf", "not valid yet"},
		{"GitLab: without jti", gitlab("jti", nil), "jti", "no jti"},
		{"GitLab: signed by GitHub", p.github.Token(p.gitLab()), "issuer and key", "no key"},
		{"Kubernetes: another namespace", cluster("sub", "system:serviceaccount:other:build"), "rule", "no rule"},
		{"Kubernetes: for the API server", cluster("aud", "https://kubernetes.default.svc"), "aud", "not exactly"},
		{"Kubernetes: for no audience", cluster("aud", nil), "aud", "not exactly"},
		{"Kubernetes: a user", cluster("sub", "kubernetes-admin"), "rule", "no rule"},
		{"Kubernetes: not valid yet", cluster("nbf", now.Add(time.Minute).Unix()), "nbf", "not valid yet"},
		{"Kubernetes: expired", cluster("exp", now.Unix()), "exp", "expired"},
		{"SPIFFE: another workload", svid("sub", "spiffe://example.org/ns/shop/sa/other"), "rule", "no rule"},
		{"SPIFFE: a longer path", svid("sub", "spiffe://example.org/ns/shop/sa/build/x"), "rule", "no rule"},
		{
			"SPIFFE: another trust domain",
			svid("sub", "spiffe://example.org.evil/ns/shop/sa/build"),
			"issuer",
			"no iss",
		},
		{"SPIFFE: for another audience", svid("aud", []string{"https://other.example"}), "aud", "not exactly"},
		{"SPIFFE: without exp", svid("exp", nil), "exp", "no exp"},
		{"SPIFFE: expired", svid("exp", now.Unix()), "exp", "expired"},
		{"SPIFFE: a client that does not exist", svid("sub", "spiffe://example.org/gone"), "client", "unknown"},
		{"SPIFFE: signed by Kubernetes", p.cluster.Token(p.svid()), "issuer and key", "no key"},
		{"Kubernetes: signed by SPIFFE", p.mesh.Token(p.serviceAccount()), "algorithm", "does not allow"},
	}
}

func TestATokenOfAWorkloadIsRefused(t *testing.T) {
	p := newPlatforms(t)
	for _, tc := range p.refusals() {
		t.Run(tc.name, func(t *testing.T) {
			p := p.on(t)
			a := p.exchange(tc.token)
			bare(t, a, http.StatusBadRequest, "invalid_grant")

			check, says := p.failed(a.Request())
			if check != tc.check || !strings.Contains(says, tc.says) {
				t.Errorf("refused by %q: %q, want %q with %q", check, says, tc.check, tc.says)
			}
		})
	}
}

func TestATokenOfAWorkloadIsNoClientAssertion(t *testing.T) {
	p := newPlatforms(t)
	token := p.github.Token(p.actions())
	bare(t, p.TryToken(token, "audience", "reports"), http.StatusUnauthorized, "invalid_client")
	opens(t, "the same token as the grant", p.exchange(token))

	a := p.exchange(p.github.Token(p.actions()), "client_id", "build")
	token = opens(t, "for the client build, by the second rule", a)
	if got := p.bearer("reports", "/who", token); got.Body != "build" {
		t.Errorf("with client_id build: got %q, want build", got.Body)
	}
	bare(t, p.exchange(p.github.Token(p.actions()), "audience", "opaque"), http.StatusBadRequest, "invalid_target")
	bare(t, p.exchange(p.github.Token(p.actions()), "scope", "read"), http.StatusBadRequest, "invalid_scope")
}

func TestOfManyExchangesOfOneTokenOneSucceeds(t *testing.T) {
	p := newPlatforms(t)
	token := p.github.Token(p.actions())

	var won atomic.Int64
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if p.exchange(token).Status == http.StatusOK {
				won.Add(1)
			}
		})
	}
	all.Wait()

	if won.Load() != 1 {
		t.Errorf("%d of 20 exchanges of one token succeeded, want 1", won.Load())
	}
	if n := p.github.Fetches.Load(); n != 1 {
		t.Errorf("the keys were fetched %d times, want once", n)
	}

	p.restart()
	bare(t, p.exchange(token), http.StatusBadRequest, "invalid_grant")
}

func TestWithoutTheKeysOfItsIssuerAWorkloadIsToldToTryAgain(t *testing.T) {
	p := newPlatforms(t)
	p.github.SetDown(true)
	token := p.github.Token(p.actions())
	a := p.exchange(token)
	if a.Status != http.StatusServiceUnavailable || a.Header.Get("Retry-After") == "" {
		t.Errorf("without the keys: got %d %v, want 503 and Retry-After", a.Status, a.Header)
	}

	p.github.SetDown(false)
	p.clock.move(11 * time.Second) // no request is repeated sooner
	opens(t, "with the keys", p.exchange(token))
}

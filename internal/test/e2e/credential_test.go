package e2e

import (
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jeton-auth/jeton/internal/test/need"
)

// helping is a server in front of a Git repository and a Docker registry, and the
// wallet of a user who has tokens for it.
type helping struct {
	*Server
	env []string // of the programs
}

// newHelping makes the wallet with three identities: job has a token for the service, stray
// has one that is for another service, and spent had one that was revoked.
func newHelping(t *testing.T) *helping {
	t.Helper()
	return newHelpingFor(t, upstreams())
}

// newHelpingFor is newHelping with another application behind the server.
func newHelpingFor(t *testing.T, application http.Handler) *helping {
	t.Helper()
	upstream := httptest.NewServer(application)
	t.Cleanup(upstream.Close)
	h := &helping{Server: Start(t, Options{Config: "testdata/helpers.yaml", Env: []string{"UPSTREAM=" + upstream.URL}})}
	bin := t.TempDir()
	for _, name := range []string{"jeton", "git-credential-jeton", "docker-credential-jeton"} {
		if err := os.Symlink(Program(t), filepath.Join(bin, name)); err != nil {
			t.Fatal(err)
		}
	}

	h.env = []string{
		"PATH=" + bin + string(os.PathListSeparator) + os.Getenv("PATH"), "JETON_HOME=" + filepath.Join(
			t.TempDir(),
			"home",
		),
		"URL=" + h.URL, "HOST=" + strings.TrimPrefix(h.URL, "https://"), "CERT=" + h.Cert,
		"GIT_SSL_CAINFO=" + h.Cert, "GIT_TERMINAL_PROMPT=0", "GIT_CONFIG_NOSYSTEM=1", "GIT_ASKPASS=", "SSH_ASKPASS=",
	}

	h.Must(t, "diane-good-password\n", "user", "add", "diane", "--password-stdin")

	for name, service := range map[string]string{"job": "code", "stray": "other", "spent": "code"} {
		token := h.Must(t, "", "token", "create", name, "--user", "diane", "--service", service, "--expires", "1h")
		code, _, text := h.run(t, token, "jeton", "login", h.URL, "--as", name, "--token-stdin", "--cacert", h.Cert)
		if code != 0 {
			t.Fatalf("add a token: code %d, want 0:\n%s", code, text)
		}
	}

	list := h.Must(t, "", "token", "list", "--output", "json")
	for _, part := range strings.Split(list, "{") {
		_, at, ok := strings.Cut(part, `"accessor": "`)
		if ok && strings.Contains(part, `"name": "spent"`) {
			accessor, _, _ := strings.Cut(at, `"`)
			h.Must(t, "", "token", "revoke", accessor)
		}
	}

	return h
}

// run runs a program as the owner of the wallet.
func (h *helping) run(t *testing.T, stdin string, args ...string) (code int, out, err string) {
	t.Helper()
	// The program env finds the others where the owner of the wallet does.
	p := Run(t, Command{
		Args:  append([]string{"env"}, args...),
		Env:   h.env,
		Dir:   t.TempDir(),
		Stdin: strings.NewReader(stdin),
	})
	code = p.Code(t)
	return code, p.Out.String(), p.Err.String()
}

// commit is what the repository of the test shows: git reads it only with a valid token.
const commit = "1f7a7a472abf3dd9643fd615f6da379c4acb3e3a"

// upstreams answers any client as a Git repository and a Docker registry do.
func upstreams() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /repo.git/info/refs", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/x-git-upload-pack-advertisement")
		packet := func(text string) { fmt.Fprintf(w, "%04x%s", len(text)+4, text) }
		packet("# service=git-upload-pack\n")
		_, _ = io.WriteString(w, "0000")
		packet(commit + " HEAD\x00agent=test\n")

		packet(commit + " refs/heads/main\n")
		_, _ = io.WriteString(w, "0000")
	})

	image := `{"architecture":"amd64","os":"linux","config":{},"rootfs":{"type":"layers","diff_ids":[]}}`
	digest := fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(image)))
	mux.HandleFunc("GET /v2/{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Docker-Distribution-Api-Version", "registry/2.0")
	})

	mux.HandleFunc("GET /v2/app/manifests/{tag}", func(w http.ResponseWriter, _ *http.Request) {
		const kind = "application/vnd.docker.distribution.manifest.v2+json"
		w.Header().Set("Content-Type", kind)
		fmt.Fprintf(
			w,
			`{"schemaVersion":2,"mediaType":%q,"config":{`+
				`"mediaType":"application/vnd.docker.container.image.v1+json","size":%d,"digest":%q},"layers":[]}`,
			kind,
			len(image),
			digest,
		)
	})

	mux.HandleFunc("GET /v2/app/blobs/"+digest, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/octet-stream")
		_, _ = io.WriteString(w, image)
	})

	return mux
}

func TestHelpers(t *testing.T) {
	t.Parallel()
	h := newHelping(t)
	t.Run("git", func(t *testing.T) { gitAsks(t, h) })
	t.Run("curl", func(t *testing.T) { curlReads(t, h) })
	t.Run("docker", func(t *testing.T) { dockerAsks(t, h) })

	t.Run("kubectl", func(t *testing.T) { kubectlAsks(t, h) })
}

// gitAsks runs the real git, which chooses the helper and judges its output.
func gitAsks(t *testing.T, h *helping) {
	need.Program(t, "git")

	secret := h.secret(t)
	for _, tc := range []struct {
		name   string
		helper string
		url    string
		code   int
		says   string // on standard error
	}{
		{"the helper by its name, and the identity by the URL", "jeton", "https://job@" + h.host(), 0, ""},
		{"the helper as a command, and the identity in it", "!jeton credential git --as job", h.URL, 0, ""},
		{"the helper by its name, with a flag", "jeton --as job", h.URL, 0, ""},
		{"a token that is for another service", "jeton --as stray", h.URL, 128, "Authentication failed"},
		{"a token that was revoked", "jeton --as spent", h.URL, 128, "Authentication failed"},
		{"an ambiguous identity", "jeton", h.URL, 128, "more than one identity at"},
		{
			"a user whom the wallet does not know",
			"jeton",
			"https://mallory@" + h.host(),
			128,
			"terminal prompts disabled",
		},
		{"no helper", "", h.URL, 128, "terminal prompts disabled"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			code, out, err := h.run(
				t, "", "git", "-c", "credential.helper=", "-c", "credential.helper="+tc.helper, "ls-remote",
				tc.url+"/repo.git",
			)
			if code != tc.code || !strings.Contains(err, tc.says) {
				t.Errorf("code %d, want %d with %q\n%s%s", code, tc.code, tc.says, out, err)
			}

			refs := strings.Contains(out, commit+"\trefs/heads/main")
			if refs != (tc.code == 0) {
				t.Errorf("git printed %q, want refs: %t", out, tc.code == 0)
			}
			if strings.Contains(out+err, secret) {
				t.Error("git printed the token, want it nowhere")
			}
		})
	}

	// The wallet keeps a token that was refused and erased.
	if code, _, err := h.run(t, "", "jeton", "token", "print", "--as", "spent", h.URL); code != 0 {
		t.Errorf("identity spent: code %d, %s; want it there: git erases none", code, err)
	}
}

func (h *helping) host() string { return strings.TrimPrefix(h.URL, "https://") }

// secret returns the token of job.
func (h *helping) secret(t *testing.T) string {
	t.Helper()
	code, out, err := h.run(t, "", "jeton", "token", "print", "--as", "job", h.URL)
	if code != 0 || !strings.HasPrefix(out, "jtn_p_") {
		t.Fatalf("jeton token print: code %d, %q; want a token:\n%s", code, out, err)
	}

	return strings.TrimSpace(out)
}

// curlReads runs the real curl with a .netrc that exists only as a pipe.
func curlReads(t *testing.T, h *helping) {
	need.Program(t, "curl")
	need.Program(t, "bash")

	for _, tc := range []struct{ name, as, want string }{
		{"a good token", "job", "diane 200"},
		{"a token that is for another service", "stray", "401"},
		{"a token that was revoked", "spent", "401"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			script := `curl -q -sS --cacert "$CERT" -w ' %{http_code}' ` +
				`--netrc-file <(jeton credential netrc "$URL" --as ` +
				tc.as +
				`) "$URL/who"`
			code, out, err := h.run(t, "", "bash", "-c", script)
			if code != 0 || !strings.HasSuffix(strings.TrimSpace(out), tc.want) {
				t.Errorf("code %d, want %q\n%s%s", code, tc.want, out, err)
			}
		})
	}
}

// dockerAsks runs the real client of docker; no daemon takes part.
func dockerAsks(t *testing.T, h *helping) {
	if _, err := exec.LookPath("docker"); err != nil {
		need.Optional(t, "the client of docker is not installed; the tests of cmd/jeton speak its protocol")
	}

	for _, tc := range []struct {
		name, as string
		valid    bool
	}{
		{"a good token", "job", true},
		{"a token that is for another service", "stray", false},
		{"a token that was revoked", "spent", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			conf := t.TempDir()
			text := fmt.Sprintf(`{"credHelpers":{%q:"jeton"}}`, h.host())
			if err := os.WriteFile(filepath.Join(conf, "config.json"), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}

			// No daemon is needed: the Docker client requests the registry itself.
			code, out, err := h.run(
				t, "", "JETON_IDENTITY="+tc.as, "DOCKER_HOST=tcp://127.0.0.1:9", "docker", "--config", conf,
				"manifest", "inspect", "--insecure", h.host()+"/app:1",
			)
			if (code == 0) != tc.valid || tc.valid && !strings.Contains(
				out,
				`"schemaVersion": 2`,
			) || !tc.valid && !strings.Contains(err, "no such manifest") {
				t.Errorf("code %d, want the manifest: %t\n%s%s", code, tc.valid, out, err)
			}
		})
	}
}

// kubectlAsks runs the real kubectl with jeton as its plugin.
func kubectlAsks(t *testing.T, h *helping) {
	if _, err := exec.LookPath("kubectl"); err != nil {
		need.Optional(t, "kubectl is not installed; credential.txtar speaks its protocol")
	}

	for _, tc := range []struct {
		name, as, version string
		want              string // "": an error
		says              string
	}{
		{"a good token", "job", "v1", "diane", ""},
		{"a token that was revoked", "spent", "v1", "", "must be logged in"},
		{"the old version", "job", "v1beta1", "", "--v1beta1"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			conf := filepath.Join(t.TempDir(), "kube.yaml")
			text := fmt.Sprintf(`
apiVersion: v1
kind: Config
current-context: it
contexts: [{name: it, context: {cluster: it, user: it}}]
clusters: [{name: it, cluster: {server: %q, certificate-authority: %q}}]
users:
  - name: it
    user:
      exec:
        apiVersion: client.authentication.k8s.io/%s
        interactiveMode: Never
        command: jeton
        args: [credential, kubectl, %q, --as, %s]
`, h.URL, h.Cert, tc.version, h.URL, tc.as)
			if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}

			code, out, err := h.run(t, "", "kubectl", "--kubeconfig", conf, "get", "--raw", "/who")
			if (code == 0) != (tc.want != "") || strings.TrimSpace(out) != tc.want || !strings.Contains(err, tc.says) {
				t.Errorf("code %d, want %q with %q\n%s%s", code, tc.want, tc.says, out, err)
			}
		})
	}
}

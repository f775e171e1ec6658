package e2e

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"crypto/sha512"
	"encoding/base64"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"net/http/httputil"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/jeton-auth/jeton/internal/test/need"
)

// proxying is a server in front of a Git repository and two package registries, the wallet of a user, and what its
// programs sent to the listener of 'jeton run --proxy'.
type proxying struct {
	*helping
	upstream *requested // what has reached the service
	listener *requested // what the programs have sent
}

// requested keeps requests as text, with their headers. It is safe for concurrent use.
type requested struct {
	mu   sync.Mutex
	list []string
}

// keep returns a handler that keeps requests and has next answer them.
func (r *requested) keep(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		text := req.Method + " " + req.URL.String() + "\n"
		for _, name := range slices.Sorted(maps.Keys(req.Header)) {
			text += name + ": " + strings.Join(req.Header[name], ", ") + "\n"
		}

		r.mu.Lock()
		r.list = append(r.list, text)
		r.mu.Unlock()

		next.ServeHTTP(w, req)
	})
}

// take returns what was kept since the last call.
func (r *requested) take() []string {
	r.mu.Lock()
	defer r.mu.Unlock()

	list := r.list
	r.list = nil

	return list
}

// newProxying starts the server, and an HTTP proxy between the programs and the listener, which sees what they send.
func newProxying(t *testing.T) *proxying {
	t.Helper()
	p := &proxying{upstream: &requested{}, listener: &requested{}}
	p.helping = newHelpingFor(t, p.upstream.keep(packages(t)))

	between := httptest.NewServer(p.listener.keep(&httputil.ReverseProxy{
		Rewrite:   func(*httputil.ProxyRequest) {},
		Transport: &http.Transport{},
	}))
	t.Cleanup(between.Close)
	p.env = append(p.env, "BETWEEN="+between.URL)

	return p
}

// packages answers any client as a Git repository, an index of Python packages, and a registry of npm do.
func packages(t *testing.T) http.Handler {
	t.Helper()
	mux := http.NewServeMux()
	mux.Handle("/repo.git/", &cgi.Handler{
		Path: need.Program(t, "git"),
		Args: []string{"http-backend"},
		Env:  []string{"GIT_PROJECT_ROOT=" + repository(t), "GIT_HTTP_EXPORT_ALL=1"},
	})

	wheel := wheelOf(t)
	mux.HandleFunc("GET /simple/tiny/", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		// As many indexes do, with a path that is not relative to the page.
		fmt.Fprint(w, `<!DOCTYPE html><a href="/files/tiny-1.0-py3-none-any.whl">tiny-1.0-py3-none-any.whl</a>`)
	})
	mux.HandleFunc("GET /files/tiny-1.0-py3-none-any.whl", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write(wheel)
	})

	tarball := tarballOf(t)
	sum := sha512.Sum512(tarball)
	mux.HandleFunc("GET /npm/tiny", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		// As registries do, with the address at which their clients reach the service.
		fmt.Fprintf(
			w, `{"name":"tiny","dist-tags":{"latest":"1.0.0"},"versions":{"1.0.0":{"name":"tiny","version":"1.0.0",`+
				`"dist":{"tarball":"https://%s/npm/tiny/-/tiny-1.0.0.tgz","integrity":"sha512-%s"}}}}`,
			r.Header.Get("X-Forwarded-Host"), base64.StdEncoding.EncodeToString(sum[:]),
		)
	})
	mux.HandleFunc("GET /npm/tiny/-/tiny-1.0.0.tgz", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write(tarball)
	})

	return mux
}

// repository returns a folder with a repository, repo.git, that has one commit.
func repository(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	script := `git init -q work && cd work && echo "of git" >tiny.txt && git add tiny.txt &&
git -c user.name=t -c user.email=t@example.org commit -qm tiny && git clone -q --bare . ../repo.git`

	c := exec.Command("sh", "-c", script)
	c.Dir = dir
	c.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "GIT_CONFIG_NOSYSTEM=1"}
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("make a repository: %v\n%s", err, out)
	}

	return dir
}

// wheelOf returns a package of Python.
func wheelOf(t *testing.T) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, f := range []struct{ name, text string }{
		{"tiny.txt", "of pip\n"},
		{"tiny-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n"},
		{"tiny-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"},
		{
			"tiny-1.0.dist-info/RECORD",
			"tiny.txt,,\ntiny-1.0.dist-info/METADATA,,\ntiny-1.0.dist-info/WHEEL,,\ntiny-1.0.dist-info/RECORD,,\n",
		},
	} {
		file, err := w.Create(f.name)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(file, f.text)
	}

	if err := w.Close(); err != nil {
		t.Fatal(err)
	}

	return b.Bytes()
}

// tarballOf returns a package of npm.
func tarballOf(t *testing.T) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	for _, f := range []struct{ name, text string }{
		{"package/package.json", `{"name":"tiny","version":"1.0.0"}`},
		{"package/tiny.txt", "of npm\n"},
	} {
		if err := w.WriteHeader(&tar.Header{Name: f.name, Mode: 0o644, Size: int64(len(f.text))}); err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(w, f.text)
	}

	if w.Close() != nil || z.Close() != nil {
		t.Fatal("cannot write the package of npm")
	}

	return b.Bytes()
}

// TestProxyOfAJob has the real programs fetch a package each, through 'jeton run --proxy'. They never see the token.
func TestProxyOfAJob(t *testing.T) {
	t.Parallel()
	need.Program(t, "git")
	p := newProxying(t)

	for _, path := range []string{"/repo.git/info/refs", "/simple/tiny/", "/npm/tiny"} {
		if a := p.Client(t).MustDo(t, "GET", path, ""); a.Status != http.StatusUnauthorized {
			t.Errorf("GET %s without a token = %v, want 401", path, a)
		}
	}

	t.Run("git", func(t *testing.T) {
		p.fetches(t, `
export GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=http.http://$host/.extraHeader
export GIT_CONFIG_VALUE_0="Authorization: Bearer $secret"
git clone -q http://$host/repo.git got`, "of git\n",
			"GET /repo.git/info/refs?service=git-upload-pack", "POST /repo.git/git-upload-pack")
	})

	t.Run("pip", func(t *testing.T) {
		if exec.Command(python, "-m", "pip", "--version").Run() != nil {
			need.Missing(t, "python3 with pip is not there")
		}

		p.fetches(t, `
export PIP_INDEX_URL=http://jeton:$secret@$host/simple/ PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
`+python+` -m pip install -q --no-deps --root-user-action ignore --target got tiny`, "of pip\n",
			"GET /simple/tiny/", "GET /files/tiny-1.0-py3-none-any.whl")
	})

	t.Run("npm", func(t *testing.T) {
		need.Program(t, "npm")
		p.fetches(t, `
cat >.npmrc <<END
registry=http://$host/npm/
//$host/:_authToken=$secret
replace-registry-host=always
END
echo '{"name":"job","version":"1.0.0"}' >package.json
npm install --silent --no-audit --no-fund --no-update-notifier tiny && mv node_modules/tiny got`, "of npm\n",
			"GET /npm/tiny", "GET /npm/tiny/-/tiny-1.0.0.tgz")
	})
}

// fetches runs a script with 'jeton run --proxy' that fetches a package into the folder got, and checks what the script
// had, what it sent, and what came to the service.
func (p *proxying) fetches(t *testing.T, script, want string, paths ...string) {
	t.Helper()
	dir := t.TempDir()
	script = `
env >environment.txt
unset no_proxy NO_PROXY
export http_proxy=$BETWEEN
host=${JETON_URL#http://}
secret=${host#*/}
host=${host%/*}
` + script
	run := Run(t, Command{
		Args: []string{"env", "jeton", "run", "--for", p.URL, "--as", "job", "--proxy", "--", "sh", "-euc", script},
		Env:  p.env,
		Dir:  dir,
	})
	if code := run.Code(t); code != 0 {
		t.Fatalf("code %d, want 0:\n%s%s", code, run.Out, run.Err)
	}

	if got, err := os.ReadFile(filepath.Join(dir, "got", "tiny.txt")); err != nil || string(got) != want {
		t.Errorf("the package has %q, %v; want %q", got, err, want)
	}

	environment, err := os.ReadFile(filepath.Join(dir, "environment.txt"))
	if err != nil || !strings.Contains(string(environment), "\nJETON_URL=http://127.0.0.1:") {
		t.Errorf("the environment has no address of the listener, want one: %v\n%s", err, environment)
	}

	sent := p.listener.take()
	if len(sent) < len(paths) {
		t.Errorf("the program sent %d requests to the listener, want at least %d:\n%s", len(sent), len(paths), sent)
	}
	for _, text := range append(sent, string(environment), run.Out.String(), run.Err.String()) {
		if strings.Contains(text, "jtn_") {
			t.Errorf("the program has a token, want it never to see one:\n%s", text)
		}
	}

	came := p.upstream.take()
	for i, text := range came {
		if !strings.Contains(text, "\nRemote-User: diane\n") {
			t.Errorf("a request came to the service without the user, want one:\n%s", text)
		}
		came[i], _, _ = strings.Cut(text, "\n")
	}
	for _, path := range paths {
		if !slices.Contains(came, path) {
			t.Errorf("the service got %q, want %q", came, path)
		}
	}
}

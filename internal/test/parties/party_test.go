// Package parties has real clients of OpenID Connect judge the authorization server. It is a module of its own, so that
// the product does not depend on them; those for Node are in the lock file of package e2e.
package parties

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jeton-auth/jeton/internal/test/e2e"
	"github.com/jeton-auth/jeton/internal/test/need"
	"github.com/jeton-auth/jeton/jetontest"
)

const (
	// patience is how long a client may take; only a fault takes that long.
	patience = 5 * time.Minute

	// packages is the folder with the lock file of the packages of npm.
	packages = "../e2e/testdata/npm"
)

// provider has a user with a verified address. clients of it follow.
const provider = `
issuer: {url: "https://localhost:${ISSUER_PORT}", listen: "localhost:${ISSUER_PORT}"}
users:
  - name: diane
    email: diane@example.org
    groups: [sales, staff]
    password_hash: $argon2id$v=19$m=19456,t=2,p=1$yy4xwZXhfhrnrMnxvN/WKQ$/glR8OXCVz3CNfFR0O7/B/R4XhmKHn7f55nvHSBYF5s
services: []
clients:
`

// party is the configuration of a client. No browser loads its addresses.
const party = `
  - name: NAME
    MORE
      redirect_uris: ["http://127.0.0.1:9/done"]
      post_logout_redirect_uris: ["http://127.0.0.1:9/bye"]
      backchannel_logout_uri: ${LOGOUT}/NAME
      private_network: true
`

const secret = `secret_hash: 1ec1c26b50d5d3c58d9583181af8076655fe00756bf7285940ba3670f99fcba0 # s3cret
    openid:
      id_token_algorithm: `

// world is a server whose users sign in at real clients.
type world struct {
	*jetontest.Server
	cert    string                 // file of its certificate
	logouts map[string]chan string // tokens, by client
}

// newWorld starts the server with all clients: each way to prove itself, and each algorithm of ID tokens.
func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{logouts: map[string]chan string{}}

	text := provider
	for name, more := range map[string]string{
		"openid-client": secret + "RS256",
		"oauth4webapi":  secret + "ES256\n      device_grant: true",
		"native":        "openid:\n      id_token_algorithm: EdDSA\n      public: true",
		"authlib":       secret + "ES256\n      id_token_claims: true",
		"go-oidc":       secret + "RS256",
		"mcp":           "openid:\n      id_token_algorithm: ES256\n      public: true",
	} {
		text += strings.NewReplacer("NAME", name, "MORE", more).Replace(party)
		w.logouts[name] = make(chan string, 10)
	}

	ends := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		w.logouts[strings.TrimPrefix(r.URL.Path, "/")] <- r.PostFormValue("logout_token")
	}))
	t.Cleanup(ends.Close)

	w.Server = jetontest.Start(t, text, jetontest.Env("LOGOUT", ends.URL))
	w.cert = filepath.Join(w.Dir(), "pubkey.pem")

	return w
}

// TestRelyingParties has the user of each client sign in, and out, with all that the client checks.
func TestRelyingParties(t *testing.T) {
	w := newWorld(t)

	for name, run := range map[string]func(*testing.T){
		"openid-client": w.byNode,
		"oauth4webapi":  w.byNode,
		"mcp":           w.byNode,
		"authlib":       w.byAuthlib,
		"go-oidc":       w.byGo,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			run(t)
		})
	}
}

func TestMain(m *testing.M) { os.Exit(e2e.Main(m)) }

// name returns the name of the client of a test.
func name(t *testing.T) string {
	return t.Name()[strings.LastIndex(t.Name(), "/")+1:]
}

func (w *world) byNode(t *testing.T) {
	w.converse(t, nodeScript(t, "testdata/user.mjs", "testdata/"+name(t)+".mjs"))
}

func (w *world) byAuthlib(t *testing.T) {
	const python = "/usr/bin/python3" // that of the packages, whatever PATH has
	if exec.Command(python, "-c", "import authlib, requests").Run() != nil {
		need.Missing(t, "python3 with the packages authlib and requests is not there")
	}

	w.converse(t, []string{python, "-B", "testdata/authlib-party.py"})
}

// nodeScript returns the command that runs the last of the scripts, beside the packages of npm: Node looks for them
// there.
func nodeScript(t *testing.T, scripts ...string) []string {
	t.Helper()
	modules, node := need.NodeModules(t, packages)

	dir := t.TempDir()
	err := os.Symlink(modules, filepath.Join(dir, "node_modules"))
	for _, script := range scripts {
		text, failed := os.ReadFile(script)
		err = errors.Join(err, failed, os.WriteFile(filepath.Join(dir, filepath.Base(script)), text, 0o600))
	}
	if err != nil {
		t.Fatal(err)
	}

	return append(node, filepath.Join(dir, filepath.Base(scripts[len(scripts)-1])))
}

// converse runs a client that prints what it needs, a line each time, and reads an answer: "open URL" sends its user
// there, whose browser arrives somewhere; "logout CLIENT" is the next logout token; "done" is the end.
func (w *world) converse(t *testing.T, command []string, env ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()

	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Env = append(os.Environ(), append(env,
		"ISSUER="+w.Issuer(), "CERT="+w.cert, "NODE_EXTRA_CA_CERTS="+w.cert, "AUTHLIB_INSECURE_TRANSPORT=1")...)
	var trouble strings.Builder
	cmd.Stderr = &trouble
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}

	last := w.answer(t, out, in)
	err = errors.Join(in.Close(), cmd.Wait())
	if err != nil || last != "done" {
		t.Errorf("%s ends with %q, want done: %v\n%s", name(t), last, err, trouble.String())
	}
}

// answer answers a client until it ends, and returns its last line.
func (w *world) answer(t *testing.T, out io.Reader, in io.Writer) (last string) {
	t.Helper()
	u := newUser(t, w.Server)
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		last = lines.Text()
		what, about, _ := strings.Cut(last, " ")
		switch what {
		case "open":
			fmt.Fprintln(in, u.open(about))
		case "logout":
			fmt.Fprintln(in, w.logout(t, about))
		case "done":
			return last
		}
	}

	return last
}

// logout returns the next logout token for a client.
func (w *world) logout(t *testing.T, client string) string {
	t.Helper()
	select {
	case text := <-w.logouts[client]:
		return text
	case <-time.After(patience):
		t.Fatalf("no logout token for %s in %v, want one", client, patience)
		return ""
	}
}

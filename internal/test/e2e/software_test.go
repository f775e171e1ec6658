package e2e

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/jeton-auth/jeton/internal/test/need"
)

// The configuration of the tests of clients with keys.
const issuing = "testdata/issuer.yaml"

// everywhere are its services, as flags of 'jeton client add'.
var everywhere = []string{
	"--service",
	"reports",
	"--service",
	"ledger",
	"--service",
	"archive",
	"--service",
	"vault",
	"--introspect",
	"reports",
	"--introspect",
	"vault",
}

// registered makes a key pair of each kind with openssl and registers a client for each. It
// returns the folder with the private keys, which is not the server's.
func registered(t *testing.T, s *Server) string {
	t.Helper()
	need.Program(t, "openssl")

	dir := t.TempDir()
	for _, k := range []struct {
		name string
		how  []string
		add  []string
	}{
		{
			"rsa",
			[]string{"-algorithm", "rsa", "-pkeyopt", "rsa_keygen_bits:2048"},
			[]string{"client", "add", "rsa", "--key"},
		},
		{
			"ec",
			[]string{"-algorithm", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"},
			[]string{"client", "add", "ec", "--key"},
		},
		{"ed", []string{"-algorithm", "ed25519"}, []string{"client", "add", "ed", "--key"}},
		// The libraries of Node call EdDSA by its newer name (RFC 9864), and PyJWT by the older.
		{"ed25519", []string{"-algorithm", "ed25519"}, []string{"client", "key", "add", "--alg", "Ed25519", "ed"}},
	} {
		private, public := filepath.Join(dir, k.name+".key"), filepath.Join(dir, k.name+".pub")
		openssl(t, append([]string{"genpkey", "-out", private}, k.how...)...)
		openssl(t, "pkey", "-in", private, "-pubout", "-out", public)
		args := append(k.add, public)
		if k.add[1] == "add" {
			args = append(args, everywhere...)
		}

		s.Must(t, "", args...)
	}

	return dir
}

func openssl(t *testing.T, args ...string) {
	t.Helper()
	p := Run(t, Command{Args: append([]string{"openssl"}, args...)})
	code := p.Code(t)
	if code != 0 {
		t.Fatalf("openssl %v exited with %d, want 0:\n%s", args, code, p.Err)
	}
}

func needPyJWT(t *testing.T) {
	t.Helper()
	if exec.Command(python, "-c", "import requests, jwt, cryptography").Run() != nil {
		need.Missing(t, "python3 with the packages requests, jwt and cryptography is not there")
	}
}

// software is the environment of a script.
func software(s *Server, keys string) []string {
	return []string{"ISSUER=" + s.Issuer, "KEYS=" + keys, "SSL_CERT_FILE=" + s.Cert}
}

func TestPyJWTAuthenticatesAndVerifiesTokens(t *testing.T) {
	t.Parallel()
	needPyJWT(t)
	s := Start(t, Options{Config: issuing})
	converse(t, s, "assertions.py", software(s, registered(t, s))...)
}

// TestLibrariesOfNode has three third-party libraries find the server by its metadata,
// authenticate with each kind of key, introspect and revoke tokens, and verify ours.
func TestLibrariesOfNode(t *testing.T) {
	t.Parallel()
	modules, node := need.NodeModules(t, "testdata/npm")
	s := Start(t, Options{Config: issuing})
	keys := registered(t, s)
	fields := strings.Fields(s.Must(t, "", append([]string{
		"client",
		"add",
		"secretive",
		"--secret",
	}, everywhere...)...))

	var secret string
	for _, f := range fields {
		if strings.HasPrefix(f, "jtn_") {
			secret = f
		}
	}

	// Node looks for modules beside the script that imports them.
	dir := t.TempDir()
	script, err := os.ReadFile("testdata/npm/conversation.mjs")
	if err != nil {
		t.Fatal(err)
	}

	if err := errors.Join(
		os.WriteFile(filepath.Join(dir, "conversation.mjs"), script, 0o600),
		os.Symlink(modules, filepath.Join(dir, "node_modules")),
	); err != nil {
		t.Fatal(err)
	}

	env := append(software(s, keys), "URL="+s.URL, "SECRET="+secret, "NODE_EXTRA_CA_CERTS="+s.Cert)
	p := Run(t, Command{Args: append(node, "conversation.mjs"), Dir: dir, Env: env})
	code := p.Code(t)
	if code != 0 || !strings.HasSuffix(p.Out.String(), "done\n") {
		t.Errorf("node exited with %d, want 0 and done:\n%s%s", code, p.Out, p.Err)
	}
}

// TestTenRotationsUnderLoad makes new signing keys ten times, at once, while tokens are got,
// used and verified by others. No request is refused.
func TestTenRotationsUnderLoad(t *testing.T) {
	t.Parallel()
	needPyJWT(t)
	s := Start(t, Options{Config: issuing})
	keys := registered(t, s)
	in, tell, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer tell.Close()

	script, err := filepath.Abs("testdata/follow.py")
	if err != nil {
		t.Fatal(err)
	}

	follower := Run(t, Command{
		Args:  []string{python, "-B", script},
		Dir:   s.DataDir,
		Env:   software(s, keys),
		Stdin: in,
	})
	in.Close()

	r, c := newRobot(t, s, "worker"), s.Client(t)
	stop := make(chan struct{})
	var got, failed tallied

	var workers sync.WaitGroup
	for range 8 {
		workers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}

				if err := getAndUse(c, r); err != nil {
					failed.add(err.Error())
				}

				got.add("")
			}
		})
	}

	follows := func(n int) func() bool {
		return func() bool {
			select {
			case <-follower.Ended():
				return true
			default:
			}

			return strings.Count(follower.Out.String(), "key ") >= n
		}
	}

	Wait(t, "the first key to be seen", follows(1))

	for i := range 10 {
		before := got.count()
		s.Must(t, "", "keys", "rotate", "--now", "--alg", "EdDSA")
		Wait(t, "the new key to be seen", follows(i+2))
		// Eight workers have each got about two tokens since.
		Wait(t, "the load to go on", func() bool { return got.count() >= before+16 })
	}

	close(stop)
	workers.Wait()

	if _, err := tell.WriteString("stop\n"); err != nil {
		t.Fatal(err)
	}

	code := follower.Code(t)
	if code != 0 || !strings.HasSuffix(follower.Out.String(), "by 11 keys: done\n") {
		t.Errorf("the verifier exited with %d, want 0 and 11 keys:\n%s%s", code, follower.Out, follower.Err)
	}
	if failed.count() > 0 {
		t.Errorf("%d of %d tokens not issued or not valid, want none: %v", failed.count(), got.count(), failed.first())
	}

	t.Logf(
		"%d tokens got and used while 10 keys were made; %s",
		got.count(),
		strings.TrimSpace(follower.Out.String()[strings.LastIndex(follower.Out.String(), "verified"):]),
	)
}

// getAndUse gets a token and uses it once.
func getAndUse(c *Client, r *robot) error {
	a, err := r.exchange(c, r.assertion(), "reports")
	if err != nil || a.Status != 200 {
		return fmt.Errorf("get: %v %w", a, err)
	}
	if a, err = r.use(c, "GET", "/who", a.token()); err != nil || a.Status != 200 || a.Body != r.name {
		return fmt.Errorf("use: %v %w", a, err)
	}

	return nil
}

// tallied counts, and keeps the first error. It is safe for concurrent use.
type tallied struct {
	mu   sync.Mutex
	n    int
	said string
}

func (c *tallied) add(text string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.n++; c.n == 1 {
		c.said = text
	}
}

func (c *tallied) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n
}

func (c *tallied) first() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.said
}

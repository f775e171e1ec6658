package parties

import (
	"bufio"
	"context"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/jeton-auth/jeton/internal/test/e2e"
	"github.com/jeton-auth/jeton/jetontest"
)

const mcp = "../../../examples/mcp/"

// TestTheExampleOfMCP runs the example with the SDK for TypeScript: the client finds the issuer, signs its user in, and
// calls a tool until its token is spent. It is registered, or described by a document.
func TestTheExampleOfMCP(t *testing.T) {
	_, lines := startScript(t, nodeScript(t, mcp+"server.mjs"), "MCP_PORT=0")
	at, err := url.Parse(<-lines)
	if err != nil {
		t.Fatal(err)
	}
	site := newDocumentSite(t)
	conf := strings.NewReplacer(
		"data_dir: data\n", "",
		"issuer:\n", "issuer:\n"+
			`  client_documents: [{host: "${SITE}", services: [notes], ca: "${SITE_CA}", private_network: true}]`+"\n",
	).Replace(readExample(t, "jeton.yaml"))
	s := jetontest.Start(
		t, conf,
		jetontest.Env("MCP_PORT", at.Port()),
		jetontest.Env("SITE", site.Listener.Addr().String()),
		jetontest.Env("SITE_CA", site.ca),
	)

	t.Run("registered", func(t *testing.T) { callUntilSpent(t, s) })
	t.Run("described", func(t *testing.T) { callUntilSpent(t, s, site.URL+"/client.json") })
	t.Run("as a job", func(t *testing.T) { runUntilSpent(t, s) })
}

// documentSite serves the document of the example.
type documentSite struct {
	*httptest.Server
	ca string // file of its certificate
}

func newDocumentSite(t *testing.T) *documentSite {
	t.Helper()
	text := readExample(t, "client.json")
	site := &documentSite{ca: filepath.Join(t.TempDir(), "ca.pem")}
	site.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, strings.Replace(text, "https://agent.example.org", site.URL, 1))
	}))
	t.Cleanup(site.Close)

	block := &pem.Block{Type: "CERTIFICATE", Bytes: site.Certificate().Raw}
	if err := os.WriteFile(site.ca, pem.EncodeToMemory(block), 0o600); err != nil {
		t.Fatal(err)
	}

	return site
}

// readExample returns a file of the example.
func readExample(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(mcp + name)
	if err != nil {
		t.Fatal(err)
	}

	return string(text)
}

// callUntilSpent runs the client of the example.
func callUntilSpent(t *testing.T, s *jetontest.Server, document ...string) {
	t.Helper()
	before := spentAtNotes(s)
	client := append(append(nodeScript(t, mcp+"client.mjs"), s.URL("notes")+"/mcp"), document...)
	cmd, lines := startScript(t, client, "NODE_EXTRA_CA_CERTS="+filepath.Join(s.Dir(), "pubkey.pem"))
	var got []string
	for line := range lines {
		if address, ok := strings.CutPrefix(line, "open "); ok {
			arrive(t, newUser(t, s).open(address))
			continue
		}
		got = append(got, line)
	}

	want := []string{}
	for i := range 18 {
		want = append(want, fmt.Sprintf("%d: a note for diane", i+1))
	}
	want = append(want, "the token is spent")
	if err := cmd.Wait(); err != nil || strings.Join(got, "|") != strings.Join(want, "|") {
		t.Errorf("the client ends with %v and prints %q, want %q", err, got, want)
	}

	shown := strings.Join([]string{want[0], "...", want[17], want[18], ""}, "\n")
	if !strings.Contains(readExample(t, "README.md"), shown) {
		t.Errorf("the README does not show %q", shown)
	}
	if n := spentAtNotes(s) - before; n != 1 {
		t.Errorf("the audit log has %d requests with a spent token, want 1", n)
	}
}

// runUntilSpent runs the client that 'jeton run' starts, and that has no token.
func runUntilSpent(t *testing.T, s *jetontest.Server) {
	t.Helper()
	program := e2e.Program(t)
	home := t.TempDir()
	jeton := func(stdin string, args ...string) string {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()

		cmd := exec.CommandContext(ctx, program, args...)
		cmd.Env = append(os.Environ(), "JETON_HOME="+home)
		cmd.Stdin = strings.NewReader(stdin)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("jeton %s: %v\n%s", args[0], err, out)
		}

		return string(out)
	}

	cert := filepath.Join(s.Dir(), "pubkey.pem")
	jeton("diane_pw", "login", s.URL("notes"), "--as", "diane", "--cacert", cert, "--password-stdin")
	run := []string{"run", "--for", s.URL("notes"), "--allow", "POST /mcp", "--max-uses", "20", "--proxy", "--report"}
	got := jeton("", slices.Concat(run, []string{"--"}, nodeScript(t, mcp+"agent.mjs"))...)

	want := ""
	for i := range 18 {
		want += fmt.Sprintf("%d: a note for diane\n", i+1)
	}
	end := "the token is spent\njeton: 20 of 20 uses, 2 refused\n"
	if want += end; got != want {
		t.Errorf("the job prints %q, want %q", got, want)
	}
	if !strings.Contains(readExample(t, "README.md"), end) {
		t.Errorf("the README does not show %q", end)
	}
}

// spentAtNotes returns how many requests with a spent token are in the audit log.
func spentAtNotes(s *jetontest.Server) (n int) {
	for _, e := range s.Events() {
		if e.Outcome == "spent" && e.Service == "notes" {
			n++
		}
	}

	return n
}

// startScript starts a command and returns it with the lines that it prints.
func startScript(t *testing.T, command []string, env ...string) (*exec.Cmd, <-chan string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)

	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}

	lines := make(chan string, 100)
	go func() {
		defer close(lines)
		scan := bufio.NewScanner(out)
		for scan.Scan() {
			lines <- scan.Text()
		}
	}()

	return cmd, lines
}

// arrive has a browser load an address of a program on this machine.
func arrive(t *testing.T, address string) {
	t.Helper()
	resp, err := http.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()

	_, err = io.Copy(io.Discard, resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Errorf("GET %s = %d, want 200: %v", address, resp.StatusCode, err)
	}
}

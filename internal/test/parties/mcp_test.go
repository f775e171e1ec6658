package parties

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jeton-auth/jeton/jetontest"
)

const mcp = "../../../examples/mcp/"

// TestTheExampleOfMCP runs the example with the SDK for TypeScript: the client finds the issuer, signs its user in, and
// calls a tool until its token is spent.
func TestTheExampleOfMCP(t *testing.T) {
	text, err := os.ReadFile(mcp + "jeton.yaml")
	if err != nil {
		t.Fatal(err)
	}

	_, lines := startScript(t, nodeScript(t, mcp+"server.mjs"), "MCP_PORT=0")
	at, err := url.Parse(<-lines)
	if err != nil {
		t.Fatal(err)
	}
	conf := strings.Replace(string(text), "data_dir: data\n", "", 1)
	s := jetontest.Start(t, conf, jetontest.Env("MCP_PORT", at.Port()))

	client := append(nodeScript(t, mcp+"client.mjs"), s.URL("notes")+"/mcp")
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

	readme, err := os.ReadFile(mcp + "README.md")
	if err != nil {
		t.Fatal(err)
	}
	shown := strings.Join([]string{want[0], "...", want[17], want[18], ""}, "\n")
	if !strings.Contains(string(readme), shown) {
		t.Errorf("the README does not show %q", shown)
	}

	spent := 0
	for _, e := range s.Events() {
		if e.Outcome == "spent" && e.Service == "notes" {
			spent++
		}
	}
	if spent != 1 {
		t.Errorf("the audit log has %d requests with a spent token, want 1", spent)
	}
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

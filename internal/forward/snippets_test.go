package forward_test

import (
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/jeton-auth/jeton/internal/test/e2e"
	"github.com/jeton-auth/jeton/internal/test/need"
	"github.com/jeton-auth/jeton/jetontest"
)

// asking are the lines that follow a snippet of the guide: they print for each case the caller, or refused.
var asking = map[string]string{
	"python": `
import json

for case in json.load(open("cases.json")):
    try:
        print(caller(case["method"], case["path"], case["assertion"]).get("sub", "open"))
    except jwt.PyJWTError:
        print("refused")
`,
	"js": `
import { readFileSync } from 'node:fs'

for (const { method, path, assertion } of JSON.parse(readFileSync('cases.json'))) {
  console.log(await caller(method, path, assertion).then((c) => c.sub ?? 'open', () => 'refused'))
}
`,
	"php": `
foreach (json_decode(file_get_contents('cases.json'), true) as $case) {
    try {
        echo caller($case['method'], $case['path'], $case['assertion'])['sub'] ?? 'open', "\n";
    } catch (Exception) {
        echo "refused\n";
    }
}
`,
}

// assertionCase is a request that a snippet checks.
type assertionCase struct {
	Method    string `json:"method"`
	Path      string `json:"path"`
	Assertion string `json:"assertion"`

	want string
}

// TestTheSnippetsOfTheGuideVerifyAssertions runs the snippets of docs/guide/assertion.md.
func TestTheSnippetsOfTheGuideVerifyAssertions(t *testing.T) {
	page, err := os.ReadFile("../../docs/guide/assertion.md")
	if err != nil {
		t.Fatal(err)
	}

	s := jetontest.Start(t, replayed)
	cases := assertionCases(t, s)

	for kind, name := range map[string]string{"python": "check.py", "js": "check.mjs", "php": "check.php"} {
		t.Run(kind, func(t *testing.T) {
			dir := t.TempDir()
			args := interpreter(t, kind, dir, filepath.Join(s.Dir(), "pubkey.pem"))

			_, snippet, _ := strings.Cut(string(page), "\n```"+kind+"\n")
			snippet, _, found := strings.Cut(snippet, "\n```\n")
			if !found {
				t.Fatalf("the page has no block of %s", kind)
			}
			for _, change := range [][2]string{
				{"https://localhost:8443", s.Issuer()},
				{"reports'", "app'"},
				{`reports"`, `app"`},
				{"/var/lib/reports/", dir + "/"},
			} {
				snippet = strings.ReplaceAll(snippet, change[0], change[1])
			}

			text, err := json.Marshal(cases)
			if err != nil {
				t.Fatal(err)
			}
			write(t, filepath.Join(dir, "cases.json"), string(text))
			write(t, filepath.Join(dir, name), snippet+asking[kind])

			p := e2e.Run(t, e2e.Command{
				Args: append(args, name),
				Dir:  dir,
				Env: []string{
					"PATH=" + os.Getenv("PATH"),
					"SSL_CERT_FILE=" + filepath.Join(s.Dir(), "pubkey.pem"),
					"NODE_EXTRA_CA_CERTS=" + filepath.Join(s.Dir(), "pubkey.pem"),
				},
			})
			if code := p.Code(t); code != 0 {
				t.Fatalf("%s ended with code %d: %s", kind, code, p.Err)
			}

			got := strings.Fields(p.Out.String())
			var want []string
			for _, c := range cases {
				want = append(want, c.want)
			}
			if !slices.Equal(got, want) {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}

// interpreter returns the command that runs a snippet in a folder.
func interpreter(t *testing.T, kind, dir, certificate string) []string {
	t.Helper()
	switch kind {
	case "python":
		const python = "/usr/bin/python3" // that of the packages, whatever PATH has
		if exec.Command(python, "-c", "import jwt, cryptography").Run() != nil {
			need.Missing(t, "python3 with the packages jwt and cryptography is not there")
		}
		return []string{python}
	case "js":
		modules, node := need.NodeModules(t, "../test/e2e/testdata/npm")
		if err := os.Symlink(modules, filepath.Join(dir, "node_modules")); err != nil {
			t.Fatal(err)
		}
		return node
	}

	return []string{need.Program(t, "php"), "-d", "openssl.cafile=" + certificate}
}

// assertionCases returns good and bad assertions.
func assertionCases(t *testing.T, s *jetontest.Server) []assertionCase {
	t.Helper()
	s.AddUser("diane", right)
	mine := s.AddToken(jetontest.NewToken{Name: "mine", User: "diane", Services: []string{"app", "other"}})
	bearer := row{"Authorization", "Bearer " + mine.Secret}
	get := func(header row) string {
		t.Helper()
		a := askAt(s, "traefik", header.and(bearer))
		if a.Status != http.StatusOK {
			t.Fatalf("got %d %s, want 200", a.Status, a.Body)
		}

		return a.Header.Get("Jeton-Assertion")
	}

	good := get(uri("/a%20b?q=1"))
	open := get(uri("/open/a"))
	other := get(uri("/").with("X-Forwarded-Host", "other.example:8443"))
	parts := strings.Split(good, ".")
	opened := strings.Split(open, ".")

	return []assertionCase{
		{"GET", "/a%20b", good, "diane"},
		{"GET", "/open/a", open, "open"},
		{"POST", "/a%20b", good, "refused"},
		{"GET", "/a b", good, "refused"},
		{"GET", "/a%20b", "", "refused"},
		{"GET", "/a%20b", "x.y.z", "refused"},
		{"GET", "/", other, "refused"},
		{"GET", "/open/a", parts[0] + "." + opened[1] + "." + parts[2], "refused"},
		{"GET", "/open/a", s.Token(s.AddClient("robot", "app")), "refused"},
	}
}

// write writes a file of a test.
func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

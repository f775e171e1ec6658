package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jeton-auth/jeton/internal/test/need"
)

// toolScript lists the files of a job, and then runs its program.
const toolScript = `env >environment.txt
folder=$(dirname "${%s%%%%:*}")
find "$folder/" -printf '%%m %%P\n' | sort >files.txt
echo "$folder" >folder.txt
`

// TestDockerAndKubectlOfAJobHaveItsToken runs the real clients. docker asks the registry itself, without its daemon.
func TestDockerAndKubectlOfAJobHaveItsToken(t *testing.T) {
	t.Parallel()
	h := newHelping(t)
	home := t.TempDir()
	for name, text := range map[string]string{
		".docker/config.json":       `{"auths":{"other.example":{"auth":"eDp5"}},"credsStore":"absent"}`,
		".docker/contexts/meta/far": "far",
		".kube/config": `{clusters: [{name: it, cluster: {server: "` + h.URL +
			`", certificate-authority: "` + h.Cert + `"}}], ` +
			`contexts: [{name: it, context: {cluster: it, user: admin}}], users: [{name: admin, user: {token: x}}]}`,
	} {
		path := filepath.Join(home, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	h.env = append(h.env, "HOME="+home, "DOCKER_HOST=tcp://127.0.0.1:9")

	for _, tc := range []struct {
		tool, variable string
		script         string
		want           string
		files          string
	}{
		{
			"docker", "DOCKER_CONFIG",
			`docker manifest inspect --insecure ` + h.host() + `/app:1 && cat "$DOCKER_CONFIG/contexts/meta/far"`,
			`"schemaVersion": 2`,
			"600 ca.pem\n600 docker/config.json\n700 \n700 docker\n777 docker/contexts\n",
		},
		{
			// The first file of the list is that of the job.
			"kubectl", "KUBECONFIG",
			`kubectl get --raw /who && kubectl --context it config view --minify -o 'jsonpath={.users[0].name}'`,
			"dianejeton-run",
			"600 ca.pem\n600 kubeconfig\n700 \n",
		},
	} {
		t.Run(tc.tool, func(t *testing.T) {
			if _, err := exec.LookPath(tc.tool); err != nil {
				need.Optional(t, tc.tool+" is not installed; the tests of cmd/jeton compare its configuration")
			}

			dir := t.TempDir()
			script := fmt.Sprintf(toolScript, tc.variable) + tc.script
			p := Run(t, Command{
				Args: []string{
					"env", "jeton", "run", "--for", h.URL, "--as", "job", "--" + tc.tool, "--", "sh", "-euc", script,
				},
				Env: h.env,
				Dir: dir,
			})
			if code := p.Code(t); code != 0 || !strings.Contains(p.Out.String(), tc.want) {
				t.Errorf("code %d, want 0 and %q:\n%s%s", code, tc.want, p.Out, p.Err)
			}

			read := func(name string) string {
				b, err := os.ReadFile(filepath.Join(dir, name))
				if err != nil {
					t.Fatal(err)
				}
				return string(b)
			}
			if files := read("files.txt"); files != tc.files {
				t.Errorf("files of the job:\n%s\nwant:\n%s", files, tc.files)
			}
			if _, err := os.Stat(strings.TrimSpace(read("folder.txt"))); !os.IsNotExist(err) {
				t.Errorf("the folder of the job after its end: %v, want none", err)
			}
			if text := read("environment.txt") + p.Out.String() + p.Err.String(); holdsToken(text) {
				t.Errorf("a token is in the environment or the output, want none:\n%s", text)
			}
		})
	}
}

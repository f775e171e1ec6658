//go:build unix

package e2e

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/jeton-auth/jeton/internal/test/need"
	"github.com/jeton-auth/jeton/internal/test/pgtest"
)

// What a job may do, and what it tries: jobUses requests in all, of which those of all jobs together to /shared are
// limited by the route.
const (
	jobUses   = 5
	jobShared = 2 // of the limit of the route, for each job: less than all of them try

	// jobsAtOnce is how many start or end at the same moment, but in a long run, where all start at once: tokens of one
	// user are made one after another, and 'jeton run' tries again.
	jobsAtOnce = 10
)

// jobScript waits for a line before it begins, so that all jobs run at once. It sends the token to no program as an
// argument. Both files are complete once they are there.
const jobScript = `set -e
printf %s "$JETON_TOKEN" >token.new
mv token.new token
read -r line
for path in shared own; do
  printf 'header = "Authorization: Bearer %s"\n' "$JETON_TOKEN" |
    curl -q -sS -Z -K - --cacert "$JETON_CACERT" -o /dev/null -w "$path %{http_code}\n" \
      "$JETON_URL/$path/[1-8]" 2>>curl.err
done >codes.new
mv codes.new codes
read -r line || true`

// run is a 'jeton run'.
type run struct {
	*Process
	dir     string
	input   *os.File
	killed  bool
	token   string
	shared  int // requests that were accepted
	own     int
	expired int // requests of a killed one that came after its lease
}

// TestUsesOfJobsAtOnceAreExactOverTwoNodes has many jobs of one user send more requests than they may, at two nodes,
// and kills some of them.
func TestUsesOfJobsAtOnceAreExactOverTwoNodes(t *testing.T) {
	t.Parallel()
	need.Program(t, "curl")
	jobs, lease, atOnce := 20, "20s", jobsAtOnce
	if need.Soaking() {
		// Two cores start them for longer than a short lease.
		jobs, lease, atOnce = 200, "60s", 200
	}

	list := jobNodes(t, jobs*jobShared)
	home := t.TempDir()
	for n, s := range list {
		r := Run(t, Command{
			Args: []string{
				Program(t), "login", s.URL, "--as", fmt.Sprint("node", n), "--username", "diane",
				"--cacert", s.Cert, "--password-stdin",
			},
			Env:   jobEnv(home),
			Stdin: strings.NewReader(crashPW),
		})
		if code := r.Code(t); code != 0 {
			t.Fatalf("jeton login exited with %d, want 0:\n%s", code, r.Err)
		}
	}

	var all []*run
	for len(all) < jobs {
		first := len(all)
		for n := first; n < min(first+atOnce, jobs); n++ {
			all = append(all, startJob(t, list[n%len(list)], fmt.Sprint("node", n%len(list)), home, lease))
		}
		for _, r := range all[first:] {
			r.token = r.await(t, "token")
		}
	}

	for n, r := range all {
		r.goOn(t)
		if n%5 == 4 {
			r.killed = true
			r.Signal(t, syscall.SIGKILL)
		}
	}
	for _, r := range all {
		r.count(t)
	}
	for some := range slices.Chunk(all, jobsAtOnce) {
		for _, r := range some {
			_ = r.input.Close()
		}
		for _, r := range some {
			r.end(t)
		}
	}

	judgeJobs(t, list, all)
}

// jobNodes starts two nodes on one database, with a limit of the route that all jobs share.
func jobNodes(t *testing.T, shared int) []*Server {
	t.Helper()
	pg := pgtest.Start(t)
	name, err := pg.Create(t.Context())
	if err != nil {
		t.Fatal(err)
	}

	var list []*Server
	for range 2 {
		o := Options{
			Config:  "testdata/jobs.yaml",
			DataDir: filepath.Join(t.TempDir(), "data"),
			Env:     []string{"DATABASE=" + pg.TCP(name), "SHARED=" + strconv.Itoa(shared)},
		}
		if len(list) > 0 {
			shareSecret(t, list[0].DataDir, o.DataDir)
		}
		list = append(list, Start(t, o))
	}

	return list
}

// jobEnv is the environment of a client whose wallet is in a folder.
func jobEnv(home string) []string {
	return []string{"JETON_HOME=" + filepath.Join(home, "jeton"), "JETON_WALLET_KEYRING=0", "TMPDIR=" + home}
}

// startJob starts a 'jeton run' of an identity.
func startJob(t *testing.T, s *Server, as, home, lease string) *run {
	t.Helper()
	in, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = out.Close() })

	r := &run{dir: t.TempDir(), input: out}
	r.Process = Run(t, Command{
		Args: []string{
			Program(t), "run", "--for", s.URL, "--as", as, "--max-uses", strconv.Itoa(jobUses), "--lease", lease,
			"--report", "--", "sh", "-c", jobScript,
		},
		Env:   jobEnv(home),
		Dir:   r.dir,
		Stdin: in,
	})
	_ = in.Close()

	return r
}

// await waits for a file of a job and returns what is in it.
func (r *run) await(t *testing.T, name string) string {
	t.Helper()
	var b []byte
	Wait(t, "a job to write its "+name, func() bool {
		select {
		case <-r.Ended():
			if !r.killed {
				t.Fatalf("jeton run ended before its command had written %s:\n%s", name, r.Err)
			}
		default:
		}

		var err error
		b, err = os.ReadFile(filepath.Join(r.dir, name))
		return err == nil
	})

	return string(b)
}

// goOn lets a job go on.
func (r *run) goOn(t *testing.T) {
	t.Helper()
	if _, err := r.input.WriteString("go on\n"); err != nil {
		t.Fatal(err)
	}
}

// count counts the requests of a job that were accepted.
func (r *run) count(t *testing.T) {
	t.Helper()
	for line := range strings.Lines(r.await(t, "codes")) {
		switch strings.TrimSpace(line) {
		case "shared 200":
			r.shared++
		case "own 200":
			r.own++
		case "shared 403", "own 403":
		case "shared 401", "own 401":
			r.expired++
		default:
			t.Errorf("a request of a job was answered %q, want 200 or 403", line)
		}
	}
}

// end waits for the end of a job.
func (r *run) end(t *testing.T) {
	t.Helper()
	code := r.Code(t)
	if r.killed {
		return
	}

	// Of many refusals not each has an event, so their number is not exact.
	want := fmt.Sprintf("jeton: %d of %d uses, ", jobUses, jobUses)
	if code != 0 || !strings.HasPrefix(r.Err.String(), want) {
		t.Errorf("jeton run exited with %d and wrote %q, want 0 and %q", code, r.Err, want)
	}
}

// judgeJobs compares what was accepted with the limits, and checks that no token is valid after its job.
func judgeJobs(t *testing.T, list []*Server, all []*run) {
	t.Helper()
	var clients []*Client
	for _, s := range list {
		clients = append(clients, s.Client(t))
	}

	// First those that are to be refused at once.
	killed, shared, own := 0, 0, 0
	for _, r := range all {
		shared += r.shared
		own += r.own
		sum := r.shared + r.own
		switch {
		case r.killed && r.expired > 0 && sum <= jobUses:
		case sum != jobUses || r.expired > 0:
			t.Errorf("a job was accepted %d times and %d of its requests came too late, want %d and 0",
				sum, r.expired, jobUses)
		}

		for n, c := range clients {
			if !r.killed {
				if status := tokenStatus(t, c, r.token); status != http.StatusUnauthorized {
					t.Errorf("the token of a job that has ended is answered %d by node %d, want 401", status, n)
				}
			}
		}
	}
	if want := len(all) * jobShared; shared != want {
		t.Errorf("all jobs together were accepted %d times at the limited route, want %d", shared, want)
	}

	for _, r := range all {
		if !r.killed {
			continue
		}
		killed++
		for _, c := range clients {
			Wait(t, "the lease of a killed job to end", func() bool {
				return tokenStatus(t, c, r.token) == http.StatusUnauthorized
			})
		}
	}

	t.Logf("%d jobs at once over %d nodes, %d of them killed: %d requests of %d accepted, %d of them at the limited "+
		"route; all tokens refused afterwards", len(all), len(list), killed, shared+own, len(all)*2*8, shared)
}

// tokenStatus returns how a node answers a request with a token.
func tokenStatus(t *testing.T, c *Client, tok string) int {
	t.Helper()
	a, err := c.json(http.MethodGet, "/own/again", "Authorization", "Bearer "+tok, nil)
	if err != nil {
		t.Fatal(err)
	}

	return a.Status
}

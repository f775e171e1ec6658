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

// machine is a network namespace: a machine with addresses of its own.
type machine struct{ name string }

// twoMachines makes two network namespaces that reach each other by the addresses 10.77.0.1 and
// 10.77.0.2 alone; the second one also has 192.0.2.9. It needs root, and the right to make
// namespaces, which some containers withhold.
func twoMachines(t *testing.T) (first, second machine) {
	t.Helper()
	need.Root(t)
	need.Program(t, "ip")

	first = machine{fmt.Sprintf("jeton-e2e-%d-a", os.Getpid())}
	second = machine{fmt.Sprintf("jeton-e2e-%d-b", os.Getpid())}
	for _, m := range []machine{first, second} {
		if err := ip("netns", "add", m.name); err != nil {
			need.Optional(t, fmt.Sprintf("root may not make a network namespace here: %v", err))
		}

		t.Cleanup(func() { _ = ip("netns", "delete", m.name) })
	}

	for _, command := range []string{
		"-n A link add eth0 type veth peer name eth0 netns B",
		"-n A address add 10.77.0.1/30 dev eth0",
		"-n B address add 10.77.0.2/30 dev eth0",
		"-n B address add 192.0.2.9/32 dev eth0",
		"-n A link set lo up",
		"-n B link set lo up",
		"-n A link set eth0 up",
		"-n B link set eth0 up",
		"-n A route add 192.0.2.9/32 dev eth0",
	} {
		words := strings.NewReplacer("A", first.name, "B", second.name).Replace(command)
		if err := ip(strings.Fields(words)...); err != nil {
			need.Optional(t, fmt.Sprintf("root may not make a link to a network namespace here: %v", err))
		}
	}

	return first, second
}

// ip runs the program of that name.
func ip(args ...string) error {
	out, err := exec.Command("ip", args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("ip %v: %w: %s", args, err, out)
	}

	return nil
}

// on returns the command that runs a program on the machine. With a file of host names, the program
// finds it as /etc/hosts: 'ip netns exec' makes a mount namespace, which ends with the program.
func (m machine) on(hosts string, args ...string) []string {
	command := []string{"ip", "netns", "exec", m.name}
	if hosts != "" {
		command = append(command, "sh", "-c", `mount --bind "$0" /etc/hosts && exec "$@"`, hosts)
	}

	return append(command, args...)
}

// TestAsRootPrometheusOfAnotherMachine checks the configuration of the guide, of Jeton and of
// Prometheus, with the real one: it finds node1.example.org on an address that is not loopback.
func TestAsRootPrometheusOfAnotherMachine(t *testing.T) {
	prometheus := need.Program(t, "prometheus")
	need.Program(t, "curl")
	node, other := twoMachines(t)

	dir := t.TempDir()
	hosts := filepath.Join(dir, "hosts")
	write(t, hosts, "127.0.0.1 localhost\n10.77.0.1 node1.example.org\n")
	write(t, filepath.Join(dir, "metrics.token"), "prometheus-0123456789\n")
	write(t, filepath.Join(dir, "jeton.yaml"), guideBlock(t, "yaml\nadmin:")+"  token_file: metrics.token\n"+
		"services: [{name: web, listen: '127.0.0.1:8443', login: {paths: [/login]}}]\n")
	write(t, filepath.Join(dir, "prometheus.yml"), "global: {scrape_interval: 1s}\n"+
		guideBlock(t, "text\nscrape_configs:"))

	s := Start(t, Options{
		Config:  filepath.Join(dir, "jeton.yaml"),
		DataDir: filepath.Join(dir, "data"),
		Under:   node.on(""),
	})

	write(t, filepath.Join(dir, "pubkey.pem"), read(t, s.Cert))

	Run(t, Command{
		Args: other.on(
			hosts, prometheus,
			"--config.file=prometheus.yml",
			"--storage.tsdb.path=tsdb",
			"--web.listen-address=127.0.0.1:9090",
		),
		Dir: dir,
	})

	// Prometheus adds the job and the target to what it has scraped.
	const (
		query   = "http://127.0.0.1:9090/api/v1/query?query=jeton_certificate_expiry_timestamp_seconds"
		scraped = `"instance":"node1.example.org:9180","job":"jeton"`
		ask     = `until curl -s "$0" | grep -qF "$1"; do sleep 0.2; done`
	)
	asking := Run(t, Command{Args: other.on(hosts, "sh", "-c", ask, query, scraped)})
	if code := asking.Code(t); code != 0 {
		t.Errorf("asking Prometheus exits with code %d, want 0", code)
	}

	for _, tc := range []struct{ name, from, path, want string }{
		{"readiness needs no token", "10.77.0.2", "readyz", "200"},
		{"metrics without the token", "10.77.0.2", "metrics", "401"},
		{"an address outside of allow", "192.0.2.9", "readyz", "403"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := Run(t, Command{
				Args: other.on(
					hosts, "curl", "-s", "--interface", tc.from, "--cacert", "pubkey.pem",
					"-o", os.DevNull, "-w", "%{http_code}", "https://node1.example.org:9180/"+tc.path,
				),
				Dir: dir,
			})
			if code := p.Code(t); code != 0 || p.Out.String() != tc.want {
				t.Errorf("GET /%s from %s = %s, curl exits with %d; want %s", tc.path, tc.from, p.Out, code, tc.want)
			}
		})
	}

	s.Stop(t)
}

// guideBlock returns the block of operate.md that begins with a kind and a first line.
func guideBlock(t *testing.T, begin string) string {
	t.Helper()

	_, after, found := strings.Cut(read(t, "../../../docs/guide/operate.md"), "```"+begin)
	block, _, closed := strings.Cut(after, "```")
	if !found || !closed {
		t.Fatalf("operate.md has no such block, want one that begins with %q", begin)
	}

	_, key, _ := strings.Cut(begin, "\n")

	return key + block
}

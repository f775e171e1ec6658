package examples_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jeton-auth/jeton/internal/test/e2e"
	"github.com/jeton-auth/jeton/internal/test/need"
)

// printed are the files of the example behind-a-proxy, by the proxy for which the command prints them.
var printed = map[string]string{
	"nginx":       "nginx.conf",
	"caddy":       "Caddyfile",
	"haproxy":     "haproxy.cfg",
	"haproxy-lua": "jeton.lua",
	"traefik":     "traefik.yaml",
	"envoy":       "envoy.yaml",
	"apache":      "apache.conf",
}

func TestTheExamplesOfProxiesAreAsPrinted(t *testing.T) {
	for kind, name := range printed {
		t.Run(kind, func(t *testing.T) {
			want, err := os.ReadFile(filepath.Join("behind-a-proxy", name))
			if err != nil {
				t.Fatal(err)
			}

			args := []string{"config", "proxy", kind, "reports", "--config", "behind-a-proxy/jeton.yaml"}
			p := e2e.Run(t, e2e.Command{Args: append([]string{e2e.Program(t)}, args...)})
			if code := p.Code(t); code != 0 {
				t.Fatalf("jeton %s ended with code %d: %s", strings.Join(args, " "), code, p.Err)
			}
			if p.Out.String() != string(want) {
				t.Errorf("%s is not what is printed; run 'jeton %s > %s'", name, strings.Join(args, " "), name)
			}
		})
	}
}

// TestProxiesReadTheExamples has the proxies check the files.
func TestProxiesReadTheExamples(t *testing.T) {
	dir := certified(t)

	for kind, args := range map[string][]string{
		"nginx":   {need.Program(t, "nginx", "/usr/sbin/nginx"), "-t", "-p", dir, "-c", "whole.conf", "-e", "stderr"},
		"caddy":   {need.Program(t, "caddy"), "validate", "--adapter", "caddyfile", "--config", "Caddyfile"},
		"haproxy": {need.Program(t, "haproxy", "/usr/sbin/haproxy"), "-c", "-f", "haproxy.cfg"},
		"apache":  {need.Program(t, "apache2", "/usr/sbin/apache2"), "-t", "-d", dir, "-f", "whole-apache.conf"},
	} {
		t.Run(kind, func(t *testing.T) {
			p := e2e.Run(t, e2e.Command{
				Args: args,
				Dir:  dir,
				Env:  []string{"HOME=" + dir, "XDG_DATA_HOME=" + dir, "XDG_CONFIG_HOME=" + dir},
			})
			if code := p.Code(t); code != 0 {
				t.Errorf("it ended with code %d: %s%s", code, p.Out, p.Err)
			}
		})
	}
}

// certified returns a folder with the files of the example, and what they need beside them.
func certified(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("behind-a-proxy")); err != nil {
		t.Fatal(err)
	}

	made := e2e.Run(t, e2e.Command{Dir: dir, Args: []string{
		need.Program(t, "openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
		"-keyout", "reports.key", "-out", "reports.crt", "-subj", "/CN=reports.example.org",
	}})
	if code := made.Code(t); code != 0 {
		t.Fatalf("openssl ended with code %d: %s", code, made.Err)
	}

	// nginx opens what it listens on, also to check a file.
	site, err := os.ReadFile(filepath.Join(dir, "nginx.conf"))
	if err != nil {
		t.Fatal(err)
	}
	listens := strings.Replace(string(site), "listen 443 ssl;", "listen unix:nginx.sock ssl;", 1)

	// HAProxy has both in one file, and the others take that for the certificate.
	var pair []byte
	for _, name := range []string{"reports.crt", "reports.key"} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		pair = append(pair, text...)
	}

	modules := "PidFile pid\nErrorLog /dev/stderr\nServerName localhost\n"
	for _, name := range []string{
		"mpm_event", "authn_core", "authz_core", "authz_user", "auth_openidc", "headers", "proxy", "proxy_http",
		"rewrite", "socache_shmcb", "ssl",
	} {
		modules += "LoadModule " + name + "_module /usr/lib/apache2/modules/mod_" + name + ".so\n"
	}

	// Nothing outside of the folder, which only root could write.
	nginx := "pid nginx.pid;\nerror_log stderr;\nevents {}\nhttp {\naccess_log off;\ninclude nginx.conf;\n"
	for _, name := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		nginx += name + "_temp_path tmp-" + name + ";\n"
	}

	const secrets = "OIDCClientSecret s3cret\nOIDCOAuthClientSecret s3cret\nOIDCCryptoPassphrase 0123456789abcdef\n"
	for name, text := range map[string]string{
		"reports.pem":       string(pair),
		"reports.secrets":   secrets,
		"nginx.conf":        listens,
		"whole.conf":        nginx + "}\n",
		"whole-apache.conf": modules + "Include apache.conf\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}

	return dir
}

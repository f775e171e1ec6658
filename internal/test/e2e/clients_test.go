package e2e

import (
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/jeton-auth/jeton/internal/test/need"
)

// python is the system's own, which has the packages.
const python = "/usr/bin/python3"

func TestPythonClients(t *testing.T) {
	if exec.Command(python, "-c", "import requests").Run() != nil {
		need.Missing(t, "python3 with the requests package is not there")
	}

	for name, script := range map[string]string{
		"cookie-login":    "cookie_login.py",
		"many-identities": "many_identities.py",
		"limited-info":    "limited_info.py",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			converse(t, Start(t, Options{Config: example(name)}), script)
		})
	}
}

// converse runs a script in the data directory, where it finds the certificate, and
// restarts the server on the same port when it asks for that.
func converse(t *testing.T, s *Server, script string, env ...string) {
	path, err := filepath.Abs(filepath.Join("testdata", script))
	if err != nil {
		t.Fatal(err)
	}

	in, answer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Close()

	p := Run(t, Command{
		Args:  []string{python, "-B", path},
		Dir:   s.DataDir,
		Env:   append(env, "URL="+s.URL),
		Stdin: in,
	})
	in.Close()
	at, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}

	s.Port = at.Port()

	for restarts := 0; ; restarts++ {
		ended := false
		Wait(t, script+" to say something", func() bool {
			select {
			case <-p.Ended():
				ended = true
			default:
			}

			return ended || strings.Count(p.Out.String(), "restart\n") > restarts
		})

		if ended {
			break
		}

		s = s.Restart(t)
		if _, err := answer.WriteString("restarted\n"); err != nil {
			t.Fatal(err)
		}
	}

	code := p.Code(t)
	if code != 0 || !strings.HasSuffix(p.Out.String(), "done\n") {
		t.Errorf("%s exited with %d, want 0 and done:\n%s%s", script, code, p.Out, p.Err)
	}
}

// curl sends a request with curl, and returns the head and body of the response.
func curl(t *testing.T, s *Server, args ...string) (head, body string) {
	t.Helper()
	args[len(args)-1] = s.URL + args[len(args)-1]
	p := Run(t, Command{
		Args: append([]string{"curl", "-q", "-sS", "-i", "--http1.1", "--cacert", s.Cert}, args...),
		Dir:  s.DataDir,
	})
	code := p.Code(t)
	if code != 0 {
		t.Fatalf("curl %v exited with %d, want 0:\n%s", args, code, p.Err)
	}

	head, body, _ = strings.Cut(p.Out.String(), "\r\n\r\n")
	return head, body
}

func TestCurl(t *testing.T) {
	need.Program(t, "curl")

	s := Start(t, Options{Config: example("limited-info")})
	jar := []string{"-b", "jar", "-c", "jar"}
	for _, tc := range []struct {
		name string
		args []string
		head string // pattern
		body string // pattern
	}{
		{
			"a login with nothing",
			[]string{"-d", "", "/login"},
			`^HTTP/1.1 401 Unauthorized\r\n(?s:.*)\nWWW-Authenticate: Basic realm="Login required"\r`,
			`^Verification failed$`,
		},
		{
			"a login of an unknown user",
			[]string{"-d", "username=Mallory&password=x", "/login"},
			`^HTTP/1.1 401 (?s:.*)realm="No such user"`,
			`^Verification failed$`,
		},
		{
			"a wrong password",
			[]string{"-d", "username=Carlos&password=x", "/login"},
			`^HTTP/1.1 403 Forbidden\r\n(?s:.*)realm="Password incorrect"`,
			`^Verification failed$`,
		},
		{
			"a request without a login",
			append(jar, "/limited-info"),
			`^HTTP/1.1 403 Forbidden\r\n(?s:.*)\nContent-Type: text/plain`,
			`^None denied access to resource$`,
		},
		{
			"a login",
			append(jar, "-d", "username=Carlos&password=carlos_pw", "/login"),
			`^HTTP/1.1 200 OK\r\n(?s:.*)app1-token=[^;]+; Path=/; Max-Age=86400; HttpOnly; Secure; SameSite=Lax`,
			`^Logged in$`,
		},
		{
			"the first use",
			append(jar, "/limited-info"),
			`(?m)^HTTP/1.1 200 OK\r\n(?s:.*)Jeton-Uses-Remaining: 2\r`,
			`^{"Carlos favorite number": ([1-9][0-9]?|100)}\n$`,
		},
		{
			"a look, which costs nothing",
			append(jar, "-I", "/limited-info"),
			`^HTTP/1.1 200 OK\r\n(?s:.*)Jeton-Uses-Remaining: 2\r`,
			`^$`,
		},
		{
			"a question about the route",
			append(jar, "-X", "OPTIONS", "/limited-info"),
			`^HTTP/1.1 204 No Content\r\n(?s:.*)Allow: GET, HEAD, OPTIONS\r`,
			`^$`,
		},
		{
			"the second use",
			append(jar, "/limited-info"),
			`Jeton-Uses-Remaining: 1\r`,
			`^{"Carlos favorite number": \d+}\n$`,
		},
		{
			"the third use",
			append(jar, "/limited-info"),
			`Jeton-Uses-Remaining: 0\r`,
			`^{"Carlos favorite number": \d+}\n$`,
		},
		{
			"a fourth",
			append(jar, "/limited-info"),
			`^HTTP/1.1 403 Forbidden\r\n(?s:.*)\nContent-Type: text/plain`,
			`^Carlos denied access to resource$`,
		},
		{
			"another route",
			append(jar, "/get-info"),
			`^HTTP/1.1 200 OK\r\n(?s:.*)\nContent-Type: application/json\r`,
			`^{"Secret-number": 42}\n$`,
		},
		{"a logout", append(jar, "-X", "POST", "/logout"), `^HTTP/1.1 200 OK`, `^Logged out$`},
		// The client may keep a deleted cookie. It is refused.
		{
			"after the logout",
			append(jar, "/get-info"),
			`^HTTP/1.1 403 Forbidden`,
			`^(None|Carlos) denied access to resource$`,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			head, body := curl(t, s, append([]string{}, tc.args...)...)
			if !regexp.MustCompile(tc.head).MatchString(head) || !regexp.MustCompile(tc.body).MatchString(body) {
				t.Errorf("got\n%s\n\n%s\nwant a head like %s and a body like %s", head, body, tc.head, tc.body)
			}
		})
	}
}

func TestMissingFilesOfTheConfigurationAreCreated(t *testing.T) {
	s := Start(t, Options{Config: example("cookie-login")})
	for name, mode := range map[string]os.FileMode{
		"pubkey.pem":   0o600,
		"private.pem":  0o600,
		"jeton.db":     0o600,
		"control.sock": 0o600,
	} {
		info, err := os.Stat(filepath.Join(s.DataDir, name))
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm()&^mode != 0 {
			t.Errorf("%s has mode %04o, want at most %04o", name, info.Mode().Perm(), mode)
		}
	}

	before, err := os.ReadFile(s.Cert)
	if err != nil {
		t.Fatal(err)
	}

	s = s.Restart(t)
	after, err := os.ReadFile(s.Cert)
	if err != nil {
		t.Fatal(err)
	}

	if string(before) != string(after) {
		t.Error("another certificate after a restart, want the one that clients trust")
	}
}

// Of 64 concurrent requests of a new login, exactly as many are accepted as it has uses.
func TestExactlyThreeOfSixtyFourPass(t *testing.T) {
	s := Start(t, Options{Config: example("limited-info")})
	c := s.Client(t)
	rounds := 5
	if need.Soaking() {
		rounds = 200
	}

	for range rounds {
		cookies := c.MustLogin(t, "Carlos", "carlos_pw")
		got := tally(64, func() int {
			a, err := c.Do(http.MethodGet, "/limited-info", cookies)
			if err != nil {
				t.Error(err)
			}
			return a.Status
		})
		if got[200] != 3 || got[403] != 61 {
			t.Fatalf("statuses = %v, want three 200 and sixty-one 403", got)
		}
	}
}

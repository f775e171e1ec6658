package e2e

import (
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/jeton-auth/jeton/internal/test/need"
)

// TestNoSecretIsShown runs a session with secrets that differ from all other text, some of
// them in places where they do not belong, and searches for them in everything that the
// program writes, answers to operators, or exposes of its process.
func TestNoSecretIsShown(t *testing.T) {
	o := Options{Config: counted, Env: []string{"JETON_LOG_LEVEL=debug"}, DataDir: filepath.Join(t.TempDir(), "data")}
	s := Start(t, o)
	c := s.Client(t)
	secrets := canaries{}
	printed := ""

	pw := secrets.add("a password", "canary-1-Zm9vYmFy")
	second := secrets.add("a second password", "canary-2-cXV1eHh5")
	wrong := secrets.add("a wrong password", "canary-3-d3Jvbmch")
	asName := secrets.add("a password in the field of the name", "canary-4-bmFtZWQh")
	printed += s.Must(t, pw, "user", "add", "diane", "--password-stdin")

	// Logins, right and wrong, in odd forms.
	cookies := c.MustLogin(t, "diane", pw)
	_, token, _ := strings.Cut(cookies, "=")
	secrets.add("the secret of a session", token)

	for _, form := range []string{
		url.Values{"username": {"diane"}, "password": {wrong}}.Encode(),
		url.Values{"username": {asName}, "password": {wrong}}.Encode(),
		url.Values{"username": {"diane", "diane"}, "password": {pw, wrong}}.Encode(),
		"username=diane&password=" + pw + "%zz",
		"{\"password\": \"" + pw,
	} {
		ask(t, s, c, http.MethodPost, "/login", "", form, nil)
	}

	// Secrets where they do not belong.
	places := []string{
		"/free?token=" + token + "&password=" + pw,
		"/login?username=diane&password=" + pw,
		"/three?" + token,
	}
	for _, path := range places {
		ask(t, s, c, http.MethodGet, path, cookies, "", nil)
		ask(t, s, c, http.MethodPost, path, "", "", nil)
	}

	basic := secrets.add("a Basic header", base64.StdEncoding.EncodeToString([]byte("diane:"+pw)))
	for _, header := range []http.Header{
		{
			"Authorization": {"Basic " + basic},
		}, {"Authorization": {"Bearer " + token}}, {"Proxy-Authorization": {"Basic " + basic}},
		{"Cookie": {cookies + "; " + cookies}}, {"Cookie": {"other=" + token}}, {"Cookie": {"__Host-jeton=" + pw}},
		{
			"X-Request-Id": {token},
		}, {
			"Referer": {"https://example.org/?password=" + pw},
		}, {"User-Agent": {pw}}, {"Origin": {"https://" + pw + ".example"}},
		{"X-Forwarded-For": {pw}}, {"Content-Type": {"text/" + pw}},
	} {
		ask(t, s, c, http.MethodGet, "/free", "", "", header)
		ask(t, s, c, http.MethodPost, "/three", cookies, "", header)
		ask(t, s, c, http.MethodPost, "/login", "", "username=diane&password="+wrong, header)
	}

	ids := []string{}
	for _, path := range []string{"/free", "/three"} {
		a := ask(t, s, c, http.MethodGet, path, cookies, "", nil)
		b := ask(t, s, c, http.MethodGet, path, cookies+"x", "", nil)
		ids = append(ids, a.Header.Get("X-Request-Id"), b.Header.Get("X-Request-Id"))
	}

	for _, text := range []string{
		"GET /" + token + " HTTP/9.9\r\n\r\n",
		"\x01\x02" + token + pw,
		"\r\n" + pw + "\r\n\r\n",
	} {
		sendNonHTTP(t, s, text)
	}

	contains(t, s.Err.String(), `"level":"DEBUG"`)

	// What operators see, and while a password is being hashed, what ps shows.
	printed += s.Must(t, second, "user", "passwd", "diane", "--password-stdin")
	cookies = c.MustLogin(t, "diane", second)
	_, token, _ = strings.Cut(cookies, "=")
	secrets.add("the secret of another session", token)

	for _, args := range [][]string{
		{"audit", "--json", "--last", "1000"}, {"audit", "--last", "1000"}, {"user", "list", "--output", "json"},
		{
			"session",
			"list",
			"--output",
			"json",
		}, {"status"}, {"explain", ids[0]}, {"explain", ids[1]}, {"explain", ids[2], "--output", "json"},
	} {
		printed += s.Must(t, "", args...)
	}

	if !strings.Contains(printed, `"bad_credential"`) || !strings.Contains(printed, "diane") {
		t.Errorf("audit log = %s, want the logins: without them it proves nothing", printed)
	}

	metrics := body(t, s.Admin+"/metrics")
	if !strings.Contains(metrics, "jeton_requests_total") {
		t.Errorf("metrics = %s, want jeton_requests_total", metrics)
	}

	processes := arguments(t, s.PID)
	if !strings.Contains(processes, "hasher") {
		t.Errorf("processes, want the hasher among them:\n%s", processes)
	}

	// A hash is not a password, but it must not leave the data directory either.
	phc := regexp.MustCompile(`\$argon2id\$[!-~]+`)
	for where, text := range map[string]string{
		"commands":  printed,
		"metrics":   metrics,
		"processes": processes,
		"log":       s.Err.String(),
	} {
		hash := phc.FindString(text)
		if hash != "" {
			t.Errorf("%s have %s, want no hash of a password", where, hash)
		}
	}

	for where, text := range map[string]string{
		"output":    s.Out.String(),
		"log":       s.Err.String(),
		"commands":  printed,
		"metrics":   metrics,
		"processes": processes,
	} {
		secrets.search(t, where, text)
	}

	secrets.searchFolder(t, s.DataDir)
	s.Stop(t)
	secrets.search(t, "log at the end", s.Err.String())
	secrets.searchFolder(t, s.DataDir)
	t.Logf(
		"%d secrets looked for in %d bytes of log, %d of commands, %d of metrics, and the data directory: 0 found",
		len(secrets), len(s.Err.String()), len(printed), len(metrics),
	)
}

// A path is recorded, so that an operator sees what was refused. The query behind it is not:
// it may hold secrets.
func TestAPathIsRecordedWithoutItsQuery(t *testing.T) {
	s := Start(t, Options{Config: counted})
	c := s.Client(t)
	for range 5 {
		id := c.MustDo(t, http.MethodGet, "/free?token=canary-in-the-query", "").Header.Get("X-Request-Id")
		// It is there at once, also while it is being written.
		record := s.Must(t, "", "audit", "--json")
		contains(t, record, `"target":"GET /free"`, id)
		canaries{"canary-in-the-query": "a query"}.search(t, "record", record)
	}
}

// canaries are secrets, each with its name.
type canaries map[string]string

// add remembers a secret and what it is.
func (c canaries) add(what, secret string) string {
	c[secret] = what
	return secret
}

// search looks for every secret, also in the forms that logs and files could have it in.
func (c canaries) search(t *testing.T, where, text string) {
	t.Helper()

	for secret, what := range c {
		for form, s := range map[string]string{
			"as it is":  secret,
			"escaped":   url.QueryEscape(secret),
			"in base64": base64.StdEncoding.EncodeToString([]byte(secret)),
		} {
			i := strings.Index(text, s)
			if i >= 0 {
				around := text[max(0, i-80):min(len(text), i+len(s)+20)]
				t.Errorf("%s has …%q…, want no %s (%s)", where, around, what, form)
			}
		}
	}
}

// searchFolder searches all files of a folder. Too few files mean that it is the wrong
// folder.
func (c canaries) searchFolder(t *testing.T, dir string) {
	t.Helper()
	seen := 0

	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}

		b, err := os.ReadFile(path)
		if err == nil {
			seen++
			c.search(t, path, string(b))
		}

		return err
	})
	if err != nil || seen < 3 {
		t.Errorf("%d files seen in %s, %v; want at least 3", seen, dir, err)
	}
}

// ask sends a request with headers. Any response is fine but an internal error.
func ask(t *testing.T, s *Server, c *Client, method, path, cookies, form string, header http.Header) Answer {
	t.Helper()
	r, err := http.NewRequest(method, s.URL+path, strings.NewReader(form))
	if err != nil {
		t.Fatal(err)
	}

	if cookies != "" {
		r.Header.Set("Cookie", cookies)
	}
	if form != "" {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}

	for name, values := range header {
		r.Header[name] = values
	}

	answer, err := c.http.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()

	b, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode >= 500 {
		t.Errorf("%s %s = %d %s, %v; want no fault of the server", method, path, answer.StatusCode, b, err)
	}

	return Answer{answer.StatusCode, answer.Header, string(b)}
}

func body(t *testing.T, url string) string {
	t.Helper()
	answer, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()

	b, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}

	return string(b)
}

// arguments returns what a list of processes shows of the server and of its children:
// their arguments and environments.
func arguments(t *testing.T, pid int) string {
	t.Helper()
	entries, err := os.ReadDir("/proc")
	if err != nil {
		need.Missing(t, "this system has no process list in /proc")
	}

	text := ""
	for _, e := range entries {
		stat, err := os.ReadFile(filepath.Join("/proc", e.Name(), "status"))
		if err != nil || e.Name() != fmt.Sprint(pid) && !strings.Contains(
			string(stat),
			fmt.Sprintf("\nPPid:\t%d\n", pid),
		) {
			continue
		}

		for _, name := range []string{"cmdline", "environ"} {
			b, err := os.ReadFile(filepath.Join("/proc", e.Name(), name))
			if err != nil {
				t.Error(err)
			}
			text += string(b) + "\n"
		}
	}

	return text
}

// sendNonHTTP sends bytes that are not HTTP, over TLS and in plain text.
func sendNonHTTP(t *testing.T, s *Server, text string) {
	t.Helper()
	address := strings.TrimPrefix(s.URL, "https://")
	plain, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}

	secure, err := tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true}) // nothing is believed
	if err != nil {
		t.Fatal(err)
	}

	for _, conn := range []interface {
		net.Conn
		CloseWrite() error
	}{plain.(*net.TCPConn), secure} {
		_, _ = io.WriteString(conn, text)
		_ = conn.CloseWrite()
		_, _ = io.Copy(io.Discard, conn)
		conn.Close()
	}
}

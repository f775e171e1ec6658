package revoke

import (
	"bytes"
	"encoding/json"
	"encoding/pem"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jeton-auth/jeton/internal/test/pgtest"
	"github.com/jeton-auth/jeton/jetontest"
)

const probed = `
services:
  - name: shop
    listen: localhost:0
    login: {paths: [/login]}
    logout: /logout
    routes:
      - {match: GET /whoami, respond: {template: '{{.Name}}'}}
      - {match: GET /open, open: true, respond: {text: open}}
      - {match: GET /counted, max_uses: 3, respond: {text: counted}}
`

const probePassword = "correct horse battery"

// run runs the command as the user probe, and returns what it prints.
func run(t *testing.T, args ...string) (string, error) {
	t.Helper()

	var out bytes.Buffer
	args = append([]string{"--user", "probe", "--password-stdin"}, args...)
	err := Run(t.Context(), args, Streams{In: strings.NewReader(probePassword), Out: &out, Err: t.Output()})

	return out.String(), err
}

// certs returns the flags that trust the certificates of servers.
func certs(t *testing.T, servers ...*jetontest.Server) []string {
	t.Helper()
	var flags []string
	for _, s := range servers {
		flags = append(flags, "--cacert", filepath.Join(s.Dir(), "pubkey.pem"))
	}

	return flags
}

func TestRevokeAtTwoNodes(t *testing.T) {
	cluster := pgtest.Start(t)
	name, err := cluster.Create(t.Context())
	if err != nil {
		t.Fatal(err)
	}

	secret := filepath.Join(t.TempDir(), "keys.secret")
	if err := os.WriteFile(secret, []byte(strings.Repeat("0f", 32)), 0o600); err != nil {
		t.Fatal(err)
	}

	conf := "keys_secret_file: " + secret + "\ndatabase: {url: '" + cluster.URL(name) + "'}\n" + probed
	one, two := jetontest.Start(t, conf), jetontest.Start(t, conf)
	one.AddUser("probe", probePassword)

	args := append(
		certs(t, one, two), one.URL("shop"), two.URL("shop"), "--connections", "3", "--after", "300ms",
		"--rounds",
	)

	out, err := run(t, append(args, "6", "--json")...)
	if err != nil {
		t.Fatal(err)
	}

	var r result
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		t.Fatalf("%v in %s", err, out)
	}

	if r.Rounds != 6 || len(r.Nodes) != 2 || r.Nodes[0] != one.URL("shop") || r.Connections != 3 || r.Late != 0 ||
		r.Unclear != 0 {
		t.Errorf("what was measured: %s", out)
	}

	// Each of six connections has had at least one use in each round.
	if r.Accepted < 36 || r.LastAccepted.Max > 0 || r.Acknowledged.Min <= 0 {
		t.Errorf("figures: %s", out)
	}

	for _, s := range []spread{r.LastAccepted, r.Acknowledged} {
		if s.Min > s.P50 || s.P50 > s.P99 || s.P99 > s.Max {
			t.Errorf("figures are not in order: %+v", s)
		}
	}

	out, err = run(t, append(args, "1")...)
	if err != nil || !strings.HasPrefix(
		out,
		"1 rounds at 2 nodes; ",
	) || !strings.Contains(out, " let through, 0 of them too late\n") ||
		!strings.Contains(
			out,
			"\nlast accepted - acknowledged  -",
		) || !strings.Contains(out, "\nlogout acknowledged after ") {
		t.Errorf("%v, the table is\n%s", err, out)
	}
}

func TestRevokeAtOneNode(t *testing.T) {
	s := jetontest.Start(t, "throttle: {pair_burst: 1000000, account_burst: 1000000, source_burst: 1000000}\n"+probed)
	s.AddUser("probe", probePassword)
	args := append(certs(t, s), s.URL("shop"), "--connections", "2", "--after", "5ms", "--rounds", "2")
	if out, err := run(t, args...); err != nil || !strings.HasPrefix(out, "2 rounds at 1 nodes; ") {
		t.Errorf("%v %s", err, out)
	}

	for _, tc := range []struct {
		name string
		args []string
		says string
	}{
		{"a route without a login", []string{"--path", "/open"}, "needs no login"},
		{"a counted route", []string{"--path", "/counted"}, "/counted is counted"},
		{
			"an unknown route",
			[]string{"--path", "/nowhere"},
			"with a new session = 404",
		},
		{"an unknown user", []string{"--user", "unknown"}, "log in as unknown at " + s.URL("shop")},
		{"no round", []string{"--rounds", "0"}, "1 or more"},
		{"an invalid URL", []string{"localhost"}, "of a node: want one as in"},
		{"plain http to another machine", []string{"http://n1.example"}, "plain http to another machine"},
		{"a path with a blank", []string{"--path", "/who ami"}, "invalid path"},
		{"a node that does not answer", []string{"http://127.0.0.1:1"}, "connect to http://127.0.0.1:1"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			out, err := run(t, append(args, tc.args...)...)
			if err == nil || !strings.Contains(err.Error(), tc.says) || out != "" {
				t.Errorf("Run = %q, %v, want no output and an error with %q", out, err, tc.says)
			}
		})
	}
}

// A server that forgets a session later than it says is what the command is for.
func TestRevokeFindsABreach(t *testing.T) {
	for _, tc := range []struct {
		name string
		late bool
	}{
		{"a server that keeps its promise", false},
		{"a server that answers before it forgets", true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var ended atomic.Bool

			m := http.NewServeMux()
			m.HandleFunc("GET /.well-known/jeton", func(w http.ResponseWriter, _ *http.Request) {
				_, _ = w.Write([]byte(`{"login":"/in","logout":"/out"}`))
			})

			m.HandleFunc("POST /in", func(w http.ResponseWriter, r *http.Request) {
				ended.Store(false)
				if r.FormValue("username") != "probe" || r.FormValue("password") != probePassword {
					http.Error(w, "no", http.StatusUnauthorized)
					return
				}

				http.SetCookie(w, &http.Cookie{Name: "s", Value: "1"})
			})

			m.HandleFunc("POST /out", func(http.ResponseWriter, *http.Request) { ended.Store(!tc.late) })
			m.HandleFunc("GET /whoami", func(w http.ResponseWriter, r *http.Request) {
				if _, err := r.Cookie("s"); err != nil || ended.Load() {
					http.Error(w, "no", http.StatusUnauthorized)
				}
			})

			s := httptest.NewTLSServer(m)
			t.Cleanup(s.Close)
			cert := filepath.Join(t.TempDir(), "cert.pem")
			text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
			if err := os.WriteFile(cert, text, 0o600); err != nil {
				t.Fatal(err)
			}

			out, err := run(t, s.URL, "--cacert", cert, "--rounds", "2", "--after", "50ms", "--json")
			var r result
			if err := json.Unmarshal([]byte(out), &r); err != nil {
				t.Fatalf("%v in %s", err, out)
			}

			if !tc.late {
				if err != nil || r.Late != 0 || r.LastAccepted.Max > 0 {
					t.Errorf("%v %s", err, out)
				}
				return
			}

			if err == nil || !strings.HasPrefix(
				err.Error(),
				"a session was ACCEPTED AFTER ITS LOGOUT: ",
			) || !strings.Contains(err.Error(), s.URL) {
				t.Errorf("the error is %v", err)
			}

			if r.Late == 0 || r.LastAccepted.Min <= 0 {
				t.Errorf("the figures are %s", out)
			}
		})
	}
}

func TestSpread(t *testing.T) {
	var hundred []time.Duration
	for i := range 100 {
		hundred = append(hundred, time.Duration(100-i)*time.Millisecond)
	}

	for _, tc := range []struct {
		name    string
		figures []time.Duration
		want    spread
	}{
		{"one round is everything", []time.Duration{-5 * time.Millisecond}, spread{-5000, -5000, -5000, -5000}},
		{"a hundred rounds, in any order", hundred, spread{1000, 50000, 99000, 100000}},
		{"what is a little above 0 stays above", []time.Duration{-1, 1}, spread{0, 0, 1, 1}},
		{"two rounds", []time.Duration{2 * time.Microsecond, time.Microsecond}, spread{1, 1, 2, 2}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := spreadOf(tc.figures); got != tc.want {
				t.Errorf("spreadOf = %+v, want %+v", got, tc.want)
			}
		})
	}

	if got := (spread{-1500, 0, 7, 2_000_000}).row("x"); strings.Join(got, " ") != "x -1.5ms 0s 7µs 2s" {
		t.Errorf("row = %q", got)
	}
	if err := (&result{worst: round{last: 0}}).breach(); err != nil {
		t.Errorf("at the very instant of the answer: %v", errors.Unwrap(err))
	}
}

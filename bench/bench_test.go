//go:build linux

package main

import (
	"encoding/xml"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	secrets "github.com/jeton-auth/jeton/internal/secret"
	"github.com/jeton-auth/jeton/internal/test/need"
)

func TestMain(m *testing.M) {
	// The benchmark starts itself again in a role; here it is the test that is started.
	if len(os.Args) > 1 && roles[os.Args[1]] != nil {
		main()
		return
	}

	os.Exit(m.Run())
}

func newTestBench(t *testing.T) *bench {
	t.Helper()
	b, err := newBench(t.Context(), options{
		run:      100 * time.Millisecond,
		warm:     20 * time.Millisecond,
		rounds:   1,
		sessions: 50,
		many:     200,
	})
	if err != nil {
		t.Fatal(err)
	}

	t.Cleanup(b.close)
	return b
}

func TestEveryServerAnswersTheLoad(t *testing.T) {
	b := newTestBench(t)
	bare, err := b.bareUp(t.Context(), b.sessions, shared)
	if err != nil {
		t.Fatal(err)
	}

	t.Cleanup(bare.stop)
	jeton, err := b.jetonUp(t.Context(), b.sessions, shared)
	if err != nil {
		t.Fatal(err)
	}

	t.Cleanup(jeton.stop)
	if err := b.warmUp(t.Context(), jeton, b.sessions); err != nil {
		t.Error(err)
	}

	for _, tc := range []struct {
		name string
		p    *process
		load load
	}{
		{"bare, check", bare, check(b.sessions)},
		{"jeton, check", jeton, check(b.sessions)},
		{"jeton, use", jeton, use(b.sessions)},
		{"jeton, login", jeton, load{
			Kind:     kindLogin,
			Path:     "/login",
			Users:    users,
			Password: password,
			Conns:    2,
		}},
		{
			"jeton, check in an open loop",
			jeton,
			load{
				Kind:     kindCookie,
				Path:     "/check",
				Sessions: b.sessions,
				Rate:     200,
			},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			// An answer that is not a 200 is an error.
			s, err := b.get(tc.p, shared, tc.load)(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if s.rate <= 0 || s.p50 <= 0 || s.p99 < s.p50 {
				t.Errorf("sample %+v: want a rate, and p50 <= p99", s)
			}
		})
	}
}

func TestEveryTokenServiceAnswersTheLoad(t *testing.T) {
	b := newTestBench(t)
	client, err := newKeyPair(clientRSA)
	if err != nil {
		t.Fatal(err)
	}

	jeton, err := b.authorityUp(t.Context(), stored{sessions: 5, tokens: 5}, client, shared)
	if err != nil {
		t.Fatal(err)
	}

	t.Cleanup(jeton.stop)
	jwts, err := jeton.signedTokens(t.Context(), 5)
	if err != nil {
		t.Fatal(err)
	}

	assertion, err := client.assertion()
	if err != nil {
		t.Fatal(err)
	}

	text, err := personal(4)
	if err != nil {
		t.Fatal(err)
	}

	answers := t.TempDir()
	for name, answer := range map[string]string{
		"EdDSA":      jwts[0],
		"ES256":      jwts[0],
		"RS256":      jwts[0],
		"introspect": "{}",
	} {
		if err := os.WriteFile(bareAnswer(answers, name), []byte(answer), 0o600); err != nil {
			t.Fatal(err)
		}
	}

	bare, err := b.bareSignUp(t.Context(), answers, shared)
	if err != nil {
		t.Fatal(err)
	}

	t.Cleanup(bare.stop)
	timed, err := posted(
		t.Context(), http.DefaultClient, "http://"+jeton.timed.addr+"/login", "", "text/plain", assertion,
	)
	if err != nil {
		t.Fatal(err)
	}

	shown := func(value string) load {
		return load{
			Kind:  kindHeader,
			Path:  "/check",
			Lines: value,
			Lined: 1,
		}
	}
	form := func(path, body string) load {
		return load{
			Kind:   kindBody,
			Path:   path,
			Header: formHead(),
			Lines:  body,
			Lined:  1,
		}
	}

	for _, tc := range []struct {
		name string
		p    *process
		load load // Lines is the line itself
		good bool
	}{
		{"a session", jeton.process, check(5), true},
		{"a password", jeton.process, shown(basic(userName(0), password)), true},
		{"a wrong password", jeton.process, shown(basic(userName(0), "wrong")), false},
		{"an opaque token", jeton.process, shown("Bearer " + text), true},
		{"a token that is not stored", jeton.process, shown("Bearer " + text + "x"), false},
		{"a token as a password", jeton.process, shown(basic("x", text)), true},
		{"a JWT", jeton.process, shown("Bearer " + jwts[4]), true},
		{"a JWT as a name", jeton.process, shown(basic(jwts[4], "x")), true},
		{"issuing by EdDSA", jeton.issuer, form("/oauth2/token", wishForm(service)), true},
		{"issuing by ES256", jeton.issuer, form("/oauth2/token", wishForm("es256")), true},
		{"issuing by RS256", jeton.issuer, form("/oauth2/token", wishForm("rs256")), true},
		{"introspection", jeton.issuer, form("/oauth2/introspect", lookForm(text)), true},
		{"a login by assertion", jeton.timed, load{
			Kind:  kindBody,
			Path:  "/login",
			Lines: assertion,
			Lined: 1,
		}, true},
		{"a token as the body", jeton.timed, load{
			Kind:  kindBody,
			Path:  "/",
			Lines: string(timed),
			Lined: 1,
		}, true},
		{"bare, EdDSA", bare, form("/EdDSA", wishForm(service)), true},
		{"bare, ES256", bare, form("/ES256", wishForm(service)), true},
		{"bare, RS256", bare, form("/RS256", wishForm(service)), true},
		{"bare, introspection", bare, form("/introspect", lookForm(text)), true},
		{"bare, introspection of nothing", bare, form("/introspect", "token="), false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l := tc.load
			if l.Lines != "" {
				l.Lines, err = b.lines(1, always(l.Lines))
				if err != nil {
					t.Fatal(err)
				}
			}

			l.Conns = 2
			s, err := b.get(tc.p, shared, l)(t.Context())
			if (err == nil) != tc.good || tc.good && s.rate <= 0 {
				t.Errorf("sample %+v, %v; want a rate: %t", s, err, tc.good)
			}
		})
	}

	b.sessions = 10
	if err := b.openid(t.Context()); err != nil {
		t.Errorf("the relying parties: %v", err)
	}
}

func TestWarmingSendsEveryRequestOnceAndWaitsForAllAnswers(t *testing.T) {
	var asked sync.Map

	slow := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		who := r.Header.Get("Authorization")
		n, _ := asked.LoadOrStore(who, new(atomic.Int32))
		n.(*atomic.Int32).Add(1)

		if who == "line 0" { // answered last of all
			<-slow
		} else if who == "line 99" {
			close(slow)
		}

		_, _ = w.Write([]byte("ok"))
	}))

	t.Cleanup(server.Close)
	b := &bench{dir: t.TempDir()}
	l, err := b.shown(100, func(i int) (string, error) { return fmt.Sprint("line ", i), nil })
	if err != nil {
		t.Fatal(err)
	}

	if err := b.warmWith(t.Context(), &process{addr: server.Listener.Addr().String()}, l); err != nil {
		t.Fatal(err)
	}

	for i := range 100 {
		n, ok := asked.Load(fmt.Sprint("line ", i))
		if !ok || n.(*atomic.Int32).Load() != 1 {
			t.Errorf("line %d was not sent once", i)
		}
	}
}

func TestTheFirstCheckOfATokenIsMeasuredForEveryAlgorithm(t *testing.T) {
	b := newTestBench(t)
	for _, alg := range algs {
		l, err := b.firstCheck(t.Context(), alg)
		if err != nil {
			t.Fatal(err)
		}
		if l.Whole <= 0 || l.Raw <= 0 {
			t.Errorf("%s: %+v, want rates", alg, l)
		}
	}
}

func TestFlaskWithPyJWTAnswersTheLoad(t *testing.T) {
	if _, err := pyJWTVersions(t.Context()); err != nil {
		need.Missing(t, err.Error())
	}

	b := newTestBench(t)
	client, err := newKeyPair(clientRSA)
	if err != nil {
		t.Fatal(err)
	}

	flask, err := b.startPyJWT(t.Context(), client, nil)
	if err != nil {
		t.Fatal(err)
	}

	t.Cleanup(flask.stop)
	assertion, err := client.assertion()
	if err != nil {
		t.Fatal(err)
	}

	at := "http://" + flask.addr
	text, err := posted(t.Context(), http.DefaultClient, at+"/login", "", "text/plain", assertion)
	if err != nil {
		t.Fatal(err)
	}

	if _, err := posted(t.Context(), http.DefaultClient, at+"/", "", "text/plain", string(text)); err != nil {
		t.Error(err)
	}

	for path, body := range map[string]string{"/": assertion, "/login": string(text)} {
		if _, err := posted(t.Context(), http.DefaultClient, at+path, "", "text/plain", body); err == nil {
			t.Errorf("POST %s accepts what another key has signed, want a refusal", path)
		}
	}
}

func TestAWrongCookieIsNotMeasured(t *testing.T) {
	b := newTestBench(t)
	bare, err := b.bareUp(t.Context(), 1, shared)
	if err != nil {
		t.Fatal(err)
	}

	t.Cleanup(bare.stop)
	if s, err := b.get(bare, shared, check(1000))(t.Context()); err == nil {
		t.Errorf("measured %+v from refusals", s)
	}
}

func TestParseAnswer(t *testing.T) {
	whole := "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nX: y\r\n\r\nabc"
	for _, tc := range []struct {
		name  string
		bytes string
		want  answer
		fails bool
	}{
		{"a whole answer", whole, answer{200, len(whole), false}, false},
		{"a whole answer and the next", whole + "HTTP", answer{200, len(whole), false}, false},
		{"half a body", whole[:len(whole)-1], answer{}, false},
		{"half a head", whole[:20], answer{}, false},
		{
			"the last of its connection",
			"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
			answer{503, 59, true},
			false,
		},
		{"a body of unknown length", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", answer{}, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := parseAnswer([]byte(tc.bytes))
			if got != tc.want && !tc.fails || (err != nil) != tc.fails {
				t.Errorf("parseAnswer(%q) = %+v, %v; want %+v", tc.bytes, got, err, tc.want)
			}
		})
	}
}

func TestQuantilesAreWithinTwoPercent(t *testing.T) {
	var h hist
	for i := 1; i <= 100_000; i++ {
		h.add(time.Duration(i) * time.Microsecond)
	}

	for q, want := range map[float64]time.Duration{.5: 50 * time.Millisecond, .99: 99 * time.Millisecond} {
		got := h.quantile(q)
		if got < want*98/100 || got > want*102/100 {
			t.Errorf("quantile(%v) = %v, want %v", q, got, want)
		}
	}
}

func TestTheReportKeepsTheTextAroundIt(t *testing.T) {
	path := t.TempDir() + "/performance.md"
	only := []string{"nodes", "revoke"}
	allBegin, end := marks(nil)
	begin, _ := marks(only)
	if err := os.WriteFile(
		path, []byte("before\n"+allBegin+"all\n"+end+"between\n"+begin+"old\n"+end+"after\n"), 0o600,
	); err != nil {
		t.Fatal(err)
	}

	r := report{machine: "a machine"}
	r.block("Block")
	r.add(row{
		what:  "fast",
		value: 1234,
		unit:  "req/s",
		aim:   ">= 1",
		met:   met(true),
	})
	r.add(row{
		what:  "slow",
		value: 1,
		unit:  "ms",
		aim:   "<= 0.5 ms",
		met:   met(false),
	})

	if err := r.save(path, []string{"scale"}); err == nil {
		t.Error("a run that the page has no place for was written into it")
	}
	if err := r.save(path, only); err != nil {
		t.Fatal(err)
	}

	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}

	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	if lines[0] != "before" || lines[2] != "all" || lines[4] != "between" ||
		lines[len(lines)-1] != "after" || slices.Contains(lines, "old") {
		t.Errorf("the report is %q", lines)
	}

	for _, want := range []string{"| fast | 1,234 req/s |  | >= 1 | yes |", "- Block; slow: aim <= 0.5 ms"} {
		if !strings.Contains(string(b), want) {
			t.Errorf("the report lacks %q:\n%s", want, b)
		}
	}

	if err := r.save(t.TempDir()+"/new.md", nil); err != nil {
		t.Error(err)
	}
}

// TestTheSummaryIsWrittenIntoAPage writes one measurement into a page, and the chart beside it.
func TestTheSummaryIsWrittenIntoAPage(t *testing.T) {
	path := t.TempDir() + "/performance.md"
	text := "before\n" + summaryBegin + "old\n" + summaryEnd + "after\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}

	r := report{machine: "a machine."}
	r.headline("a & b", "c", []sample{{rate: 900, cpu: 50, others: .5}}, []sample{{rate: 1000, cpu: 40, others: .5}})
	if err := r.saveSummary(path); err != nil {
		t.Fatal(err)
	}

	page, err := os.ReadFile(path)
	want := "before\n" + summaryBegin + "a machine. Other work on the machine: 0.50 cores.\n\n" +
		"| | a second, on one core | CPU us each | beside | that, on one core | ratio by CPU | ratio by rate |\n" +
		"| --- | --- | --- | --- | --- | --- | --- |\n| a & b | 20,000 | 50.0 | c | 25,000 | 0.80 | 0.90 |\n" +
		summaryEnd + "after\n"
	if err != nil || string(page) != want {
		t.Errorf("the page is %q, %v, want %q", page, err, want)
	}

	chart, err := os.ReadFile(strings.TrimSuffix(path, ".md") + ".svg")
	if err != nil || xml.Unmarshal(chart, new(any)) != nil || !strings.Contains(string(chart), "a &amp; b") {
		t.Errorf("the chart is %q, %v, want valid XML", chart, err)
	}

	if err := r.saveSummary(t.TempDir() + "/none.md"); err == nil {
		t.Error("a summary was written into a page that does not exist")
	}
}

// A server caches few sessions whose IDs have another form: all checks of the
// others would be read from the store.
func TestSeededIDsHaveTheFormOfRealOnes(t *testing.T) {
	now := time.Now()
	for _, i := range []int{0, 1, 10_000_000} {
		id, err := handle("s_", i, now)
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := secrets.ReadID("s_", id); !ok {
			t.Errorf("the id of session %d is %q", i, id)
		}
	}
}

//go:build linux

package main

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"
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
	b, err := newBench(t.Context(), options{run: 100 * time.Millisecond, warm: 20 * time.Millisecond, rounds: 1, sessions: 50, many: 200})
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
		{"jeton, login", jeton, load{Kind: kindLogin, Path: "/login", Users: users, Password: password, Conns: 2}},
		{"jeton, check in an open loop", jeton, load{Kind: kindCookie, Path: "/check", Sessions: b.sessions, Rate: 200}},
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
		{"the last of its connection", "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", answer{503, 59, true}, false},
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
		if got := h.quantile(q); got < want*98/100 || got > want*102/100 {
			t.Errorf("quantile(%v) = %v, want %v", q, got, want)
		}
	}
}

func TestTheReportKeepsWhatPeopleWrote(t *testing.T) {
	path := t.TempDir() + "/performance.md"
	if err := os.WriteFile(path, []byte("before\n"+markBegin+"old\n"+markEnd+"after\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := report{machine: "a machine"}
	r.block("Block")
	r.add(row{what: "fast", value: 1234, unit: "req/s", aim: ">= 1", met: met(true)})
	r.add(row{what: "slow", value: 1, unit: "ms", aim: "<= 0.5 ms", met: met(false)})
	if err := r.save(path); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	if lines[0] != "before" || lines[len(lines)-1] != "after" || slices.Contains(lines, "old") {
		t.Errorf("the report is %q", lines)
	}
	for _, want := range []string{"| fast | 1,234 req/s |  | >= 1 | yes |", "- Block; slow: aim <= 0.5 ms"} {
		if !strings.Contains(string(b), want) {
			t.Errorf("the report lacks %q:\n%s", want, b)
		}
	}
	if err := r.save(t.TempDir() + "/new.md"); err != nil {
		t.Error(err)
	}
}

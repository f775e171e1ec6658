package balance_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jeton-auth/jeton/internal/balance"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// newPool returns a pool of servers named a, b and so on, and its clock.
func newPool(t *testing.T, names string) (pool *balance.Pool, now *time.Time) {
	t.Helper()

	at := time.Unix(1_000_000, 0)
	var servers []*balance.Server
	for name := range strings.SplitSeq(names, "") {
		servers = append(servers, &balance.Server{URL: &url.URL{Scheme: "http", Host: name}})
	}

	return balance.New(balance.Config{
		Servers: servers,
		Now:     func() time.Time { return at },
		Log:     slog.New(slog.DiscardHandler),
	}), &at
}

// picked returns the names of the servers that n requests go to, which do not end.
func picked(p *balance.Pool, n int) string {
	var names strings.Builder
	for range n {
		names.WriteString(p.Pick(nil).URL.Host)
	}

	return names.String()
}

func TestRequestsGoWhereTheFewestAre(t *testing.T) {
	p, _ := newPool(t, "abc")

	// Three requests stay at each server, then two of them end at one.
	first := picked(p, 9)
	for _, s := range p.Servers {
		if n := strings.Count(first, s.URL.Host); n != 3 {
			t.Errorf("%d of 9 requests go to %s (%s), want 3", n, s.URL.Host, first)
		}
	}

	p.Servers[1].Done()
	p.Servers[1].Done()
	if got := picked(p, 2); got != "bb" {
		t.Errorf("the next two requests go to %s, want bb", got)
	}
}

func TestIdleServersTakeTurns(t *testing.T) {
	p, _ := newPool(t, "ab")

	var got strings.Builder
	for range 4 {
		s := p.Pick(nil)
		got.WriteString(s.URL.Host)
		s.Done()
	}

	if got.String() != "abab" && got.String() != "baba" {
		t.Errorf("requests go to %s, want one after the other", got.String())
	}
}

func TestAServerThatFailedRests(t *testing.T) {
	p, now := newPool(t, "ab")
	a := p.Servers[0]

	p.Failed(a, errors.New("connection refused"))
	if got := picked(p, 3); got != "bbb" {
		t.Errorf("requests go to %s while a rests, want bbb", got)
	}

	*now = now.Add(time.Minute)
	if got := picked(p, 3); got != "aaa" {
		t.Errorf("requests go to %s after the rest, want aaa", got)
	}
}

func TestWhereNoServerIsHealthyAllAreTried(t *testing.T) {
	p, _ := newPool(t, "ab")
	for _, s := range p.Servers {
		p.Failed(s, errors.New("connection refused"))
	}

	first := p.Pick(nil)
	second := p.Pick([]*balance.Server{first})
	if second == nil || second == first {
		t.Fatalf("the second server is %v after %v, want the other one", second, first)
	}

	if third := p.Pick([]*balance.Server{first, second}); third != nil {
		t.Errorf("the third server is %v, want none", third.URL)
	}
}

// lines keeps what is logged, and reports each line.
type lines chan string

func (l lines) Write(line []byte) (int, error) {
	l <- string(line)
	return len(line), nil
}

// await waits for a line with a text.
func (l lines) await(t *testing.T, text string) {
	t.Helper()

	for {
		select {
		case line := <-l:
			if strings.Contains(line, text) {
				return
			}
		case <-time.After(time.Minute):
			t.Fatalf("no line with %q within a minute", text)
		}
	}
}

func TestHealthChecks(t *testing.T) {
	var status atomic.Int64
	path := make(chan string, 1)
	status.Store(200)

	checked := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case path <- r.URL.Path:
		default:
		}
		w.WriteHeader(int(status.Load()))
	}))
	defer checked.Close()

	at, err := url.Parse(checked.URL + "/base")
	if err != nil {
		t.Fatal(err)
	}

	log := make(lines, 1000)
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()

	p := balance.New(balance.Config{
		Servers: []*balance.Server{{URL: at}, {URL: &url.URL{Scheme: "http", Host: "127.0.0.1:1"}}},
		Check: &balance.Check{
			Transport: transport,
			Path:      "/healthz",
			Interval:  time.Millisecond,
			Timeout:   time.Minute,
			Failures:  2,
		},
		Now: time.Now,
		Log: slog.New(slog.NewTextHandler(log, nil)),
	})

	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		p.Run(ctx)
	}()

	log.await(t, "unhealthy\" upstream=127.0.0.1:1 ")
	for range 3 {
		if s := p.Pick(nil); s.URL != at {
			t.Errorf("a request goes to %v, want %v: the other one does not answer", s.URL, at)
		}
	}
	if got := <-path; got != "/base/healthz" {
		t.Errorf("the check asks for %s, want /base/healthz", got)
	}

	for _, bad := range []int64{302, 404, 500} {
		status.Store(bad)
		log.await(t, "unhealthy")
		status.Store(204)
		log.await(t, "healthy again")
	}

	cancel()
	<-ended
}

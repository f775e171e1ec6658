package server

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/api"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/gate"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/web"
)

// lines is a log that a test reads while it is written.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// serveRoutes serves the routes.
func serveRoutes(t *testing.T, rows ...web.Route) (*httptest.Server, *lines) {
	t.Helper()
	out := &lines{}
	log := slog.New(slog.NewJSONHandler(out, nil))
	d, err := newMux(mux{
		name:    "test",
		gate:    gate.New(nil, nil, audit.New(audit.Config{Now: time.Now}), time.Now),
		log:     log,
		metrics: newMetrics("test", nil),
	}, rows)
	if err != nil {
		t.Fatal(err)
	}

	s := httptest.NewUnstartedServer(&front{only: &site{service: d}, now: time.Now, log: log})
	s.Config.ErrorLog = web.ErrorLog(log.With("listen", "test"))
	s.Start()
	t.Cleanup(s.Close)

	return s, out
}

func TestRouteWithoutAccessRule(t *testing.T) {
	row := web.Route{Pattern: "GET /x", Handle: func(*web.Reply, *http.Request) error { return nil }}
	_, err := newMux(mux{
		name:    "shop",
		gate:    gate.New(nil, nil, nil, time.Now),
		metrics: newMetrics("test", nil),
	}, []web.Route{row})
	if err == nil || !strings.Contains(err.Error(), "shop: route GET /x has no access rule") {
		t.Errorf("newMux = %v, want an error that names the route", err)
	}
}

func TestRoutesThatConflict(t *testing.T) {
	row := web.Route{Pattern: "GET /x", Access: policy.Open}
	for _, rows := range [][]web.Route{{row, row}, {{Pattern: "no pattern at all {", Access: policy.Open}}} {
		if _, err := newMux(mux{
			name:    "shop",
			gate:    gate.New(nil, nil, nil, time.Now),
			metrics: newMetrics("test", nil),
		}, rows); err == nil {
			t.Errorf("newMux(%v) = nil, want an error", rows)
		}
	}
}

func TestPanic(t *testing.T) {
	s, out := serveRoutes(t,
		web.Route{
			Pattern: "GET /at-once",
			Access:  policy.Open,
			Handle:  func(*web.Reply, *http.Request) error { panic("the inside") },
		},
		web.Route{Pattern: "GET /halfway", Access: policy.Open, Handle: func(w *web.Reply, _ *http.Request) error {
			_, _ = io.WriteString(w, "half")
			_ = http.NewResponseController(w).Flush()
			panic("the inside")
		}},
	)

	t.Run("before the response", func(t *testing.T) {
		resp, err := http.Get(s.URL + "/at-once")
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()

		body, _ := io.ReadAll(resp.Body)
		id := resp.Header.Get(jeton.HeaderRequestID)
		if resp.StatusCode != 500 || id == "" || !strings.Contains(
			string(body),
			id,
		) || strings.Contains(string(body), "inside") {
			t.Errorf("%d %s, want 500 with the id of the request", resp.StatusCode, body)
		}

		log := out.String()
		if !strings.Contains(
			log,
			id,
		) || !strings.Contains(log, "the inside") || !strings.Contains(log, "mux_test.go") {
			t.Errorf("logged %q, want the id, the panic and its stack", log)
		}
	})

	t.Run("an incomplete response is not taken for a complete one", func(t *testing.T) {
		resp, err := http.Get(s.URL + "/halfway")
		if err != nil {
			return
		}
		defer resp.Body.Close()

		if body, err := io.ReadAll(resp.Body); err == nil {
			t.Errorf("read %q without an error, want an error", body)
		}
	})

	t.Run("the server continues", func(t *testing.T) {
		resp, err := http.Get(s.URL + "/nothing")
		if err != nil {
			t.Fatal(err)
		}
		if _ = resp.Body.Close(); resp.StatusCode != 404 {
			t.Errorf("%d, want 404", resp.StatusCode)
		}
	})
}

func TestUnknownErrorsAreNotSent(t *testing.T) {
	s, out := serveRoutes(t, web.Route{Pattern: "GET /x/{rest...}", Access: policy.Open, Handle: func(
		*web.Reply,
		*http.Request,
	) error {
		return errors.New("select * from users: disk I/O error")
	}})

	resp, err := http.Get(s.URL + "/x/jtn_s_secret?password=canary")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()

	body, _ := io.ReadAll(resp.Body)
	if resp.StatusCode != 500 || strings.Contains(string(body), "select") {
		t.Errorf("response = %d %s, want 500 without the text of the error", resp.StatusCode, body)
	}

	log := out.String()
	if !strings.Contains(log, "disk I/O error") || !strings.Contains(
		log,
		resp.Header.Get(jeton.HeaderRequestID),
	) || strings.Contains(log, "jtn_s_secret") || strings.Contains(log, "canary") {
		t.Errorf("log = %q, want the text of the error and the request ID, and no secret", log)
	}
}

// TestOperatorRoutesOnANetworkListener checks that only the control socket serves operators'
// routes.
func TestOperatorRoutesOnANetworkListener(t *testing.T) {
	// The handlers have no server: one that is reached panics.
	rows := api.New(api.Config{Operator: true, Prefix: "/api/v1"}).Table().Routes()
	rows = slices.DeleteFunc(rows, func(row web.Route) bool {
		path := strings.SplitN(row.Pattern, "/api/v1", 2)[1]
		return path == "/openapi.json" || path == "/docs" || path == "/{rest...}"
	})
	if len(rows) < 37 {
		t.Errorf("the control socket has %d routes for operators, want at least 37", len(rows))
	}

	s, _ := serveRoutes(t, rows...)
	for _, row := range rows {
		t.Run(row.Pattern, func(t *testing.T) {
			method, path, _ := strings.Cut(row.Pattern, " ")
			r, _ := http.NewRequestWithContext(
				t.Context(), method,
				s.URL+strings.NewReplacer("{name}", "diane", "{request}", "x").Replace(path),
				strings.NewReader("{}"),
			)
			r.Header.Set("Content-Type", "application/json")
			r.Header.Set("Remote-User", "operator")
			r.SetBasicAuth("operator", "")

			resp, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			if _ = resp.Body.Close(); resp.StatusCode != 403 || resp.Header.Get(jeton.HeaderError) != "forbidden" ||
				!row.Access.NeedsOperator() {
				t.Errorf(
					"%d %s, access %s, want 403 forbidden",
					resp.StatusCode, resp.Header.Get(jeton.HeaderError), row.Access,
				)
			}
		})
	}
}

func TestListenKey(t *testing.T) {
	if listenKey("localhost:0", "a") == listenKey("localhost:0", "b") {
		t.Error("two listeners share port 0, want two")
	}
	if listenKey("localhost:80", "a") != listenKey("localhost:80", "b") {
		t.Error("two services have two listeners at one address, want one")
	}
}

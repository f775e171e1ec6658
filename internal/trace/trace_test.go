package trace

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jeton-auth/jeton/internal/outbound"
)

const (
	traceID  = "4bf92f3577b34da6a3ce929d0e0e4736"
	parentID = "00f067aa0ba902b7"
	sampled  = "00-" + traceID + "-" + parentID + "-01"
)

// received is the whole of an export, with the names of JSON of opentelemetry-proto 1; a name that is not here is an
// error.
type received struct {
	ResourceSpans []struct {
		Resource   struct{ Attributes []keyValue }
		ScopeSpans []struct {
			Scope struct{ Name, Version string }
			Spans []struct {
				TraceID      string `json:"traceId"`
				SpanID       string `json:"spanId"`
				ParentSpanID string `json:"parentSpanId"`
				Flags        uint32
				Name         string
				Kind         int
				Start        string `json:"startTimeUnixNano"`
				End          string `json:"endTimeUnixNano"`
				Attributes   []keyValue
				Status       struct{ Code int }
			}
		}
	}
}

// keyValue is an attribute.
type keyValue struct {
	Key   string
	Value struct {
		StringValue *string
		IntValue    *string
	}
}

// collector answers exports with some responses in turn, and with 200 after them.
type collector struct {
	*httptest.Server
	bodies chan []byte
	header chan http.Header
}

func newCollector(t *testing.T, answers ...http.HandlerFunc) *collector {
	t.Helper()
	r := &collector{bodies: make(chan []byte, 100), header: make(chan http.Header, 100)}
	var n atomic.Int64
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, in *http.Request) {
		body, _ := io.ReadAll(in.Body)
		r.bodies <- body
		r.header <- in.Header

		if i := int(n.Add(1)) - 1; i < len(answers) {
			answers[i](w, in)
		}
	}))
	t.Cleanup(r.Close)

	return r
}

// tracer returns a tracer that sends to the collector.
func (r *collector) tracer(t *testing.T, c Config) *Tracer {
	t.Helper()
	client, err := outbound.Target{Private: true}.Client("http")
	if err != nil {
		t.Fatal(err)
	}

	c.Endpoint, c.Client = r.URL+"/v1/traces", client
	c.Dropped, c.Log = &atomic.Int64{}, slog.New(slog.DiscardHandler)
	c.sendEvery, c.retryWait = time.Millisecond, time.Millisecond

	return New(c)
}

// start runs a tracer that sends to the collector, until the test ends.
func (r *collector) start(t *testing.T, c Config) *Tracer {
	t.Helper()
	tracer := r.tracer(t, c)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		tracer.Run(ctx)
		close(ended)
	}()
	t.Cleanup(func() { cancel(); <-ended })

	return tracer
}

// next returns an export.
func (r *collector) next(t *testing.T) []byte {
	t.Helper()
	eventually(t, "an export", func() bool { return len(r.header) > 0 })
	<-r.header

	return <-r.bodies
}

// eventually waits until ok returns true.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("timeout; want %s", what)
		}
	}
}

func TestASpanIsExportedAsTheProtocolHasIt(t *testing.T) {
	r := newCollector(t)
	tracer := r.start(t, Config{
		Percent:  100,
		Version:  "v1.2.3",
		Instance: "node-1",
		Header:   http.Header{"Authorization": {"Bearer key"}},
	})

	s := tracer.Begin(sampled)
	began := time.Unix(1_800_000_000, 5)
	tracer.End(s, Result{
		Method:    "POST",
		Route:     "/orders/{id}",
		Service:   "shop",
		Outcome:   "ok",
		RequestID: "r1",
		Upstream:  "10.0.0.1:80",
		Status:    502,
		Began:     began,
		Ended:     began.Add(time.Second),
	})

	var got received
	eventually(t, "an export", func() bool { return len(r.header) > 0 })
	d := json.NewDecoder(bytes.NewReader(<-r.bodies))
	d.DisallowUnknownFields()
	if err := d.Decode(&got); err != nil {
		t.Fatalf("the export is not of the protocol: %v", err)
	}

	span := got.ResourceSpans[0].ScopeSpans[0].Spans[0]
	if span.TraceID != traceID || span.ParentSpanID != parentID ||
		s.Traceparent() != "00-"+traceID+"-"+span.SpanID+"-01" {
		t.Errorf("ids = %s, %s, child of %s, want the trace and the parent of the request", span.TraceID, span.SpanID,
			span.ParentSpanID)
	}
	if span.Name != "POST /orders/{id}" || span.Kind != 2 || span.Flags != 1 || span.Status.Code != 2 {
		t.Errorf("span = %+v, want POST /orders/{id} of a server, with an error", span)
	}
	if span.Start != "1800000000000000005" || span.End != "1800000001000000005" {
		t.Errorf("times = %s to %s, want those of the request in nanoseconds", span.Start, span.End)
	}

	const want = "http.request.method=POST http.route=/orders/{id} jeton.service=shop jeton.outcome=ok " +
		"jeton.request_id=r1 jeton.upstream=10.0.0.1:80 http.response.status_code=502"
	if text := textOf(span.Attributes); text != want {
		t.Errorf("attributes = %s, want %s", text, want)
	}
	const wantSender = "service.name=jeton service.version=v1.2.3 service.instance.id=node-1"
	if text := textOf(got.ResourceSpans[0].Resource.Attributes); text != wantSender {
		t.Errorf("attributes of the sender = %s, want %s", text, wantSender)
	}

	h := <-r.header
	if h.Get("Content-Type") != "application/json" || h.Get("Authorization") != "Bearer key" {
		t.Errorf("header = %v, want JSON and the configured one", h)
	}
}

// textOf returns attributes as text.
func textOf(list []keyValue) string {
	var out []string
	for _, a := range list {
		switch {
		case a.Value.StringValue != nil:
			out = append(out, a.Key+"="+*a.Value.StringValue)
		case a.Value.IntValue != nil:
			out = append(out, a.Key+"="+*a.Value.IntValue)
		}
	}

	return strings.Join(out, " ")
}

func TestWhichRequestsAreTraced(t *testing.T) {
	for _, tc := range []struct {
		name    string
		parent  string
		percent int
		want    string // of Traceparent
	}{
		{"a parent that is sampled", sampled, 0, "00-" + traceID + "-[0-9a-f]{16}-01"},
		{"a parent with other flags as well", sampled[:53] + "03", 0, "00-" + traceID + "-[0-9a-f]{16}-01"},
		{"a parent that is not sampled", sampled[:53] + "00", 100, ""},
		{"no parent, all", "", 100, "00-[0-9a-f]{32}-[0-9a-f]{16}-01"},
		{"no parent, none", "", 0, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := New(Config{Percent: tc.percent}).Begin(tc.parent)
			switch {
			case s.Traced() != (tc.want != ""):
				t.Errorf("traced = %v, want %v", s.Traced(), !s.Traced())
			case s.Traced() && !regexp.MustCompile("^"+tc.want+"$").MatchString(s.Traceparent()):
				t.Errorf("Traceparent = %s, want %s", s.Traceparent(), tc.want)
			}
		})
	}
}

func TestAFullQueueDropsSpansAndCountsThem(t *testing.T) {
	var dropped atomic.Int64
	tracer := New(Config{
		Percent:   100,
		Dropped:   &dropped,
		Log:       slog.New(slog.DiscardHandler),
		queueSize: 2,
	})
	for range 5 {
		tracer.End(tracer.Begin(""), Result{}) // would block here if it waited
	}
	tracer.End(Span{}, Result{}) // was not traced

	if got := dropped.Load(); got != 3 {
		t.Errorf("dropped = %d, want 3 of 5", got)
	}
}

func TestASpanThatEndsAfterTheLastExportIsCounted(t *testing.T) {
	r := newCollector(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	tracer := r.tracer(t, Config{Percent: 100})
	before, during := tracer.Begin(""), tracer.Begin("")
	tracer.End(before, Result{Route: "/before"})
	tracer.Run(ctx)
	tracer.End(during, Result{Route: "/during"})

	if got := tracer.c.Dropped.Load(); len(r.bodies) != 1 || got != 1 || len(tracer.queue) != 0 {
		t.Errorf("exports = %d, dropped = %d, waiting = %d, want 1, 1 and 0", len(r.bodies), got, len(tracer.queue))
	}
}

func TestWhatTheCollectorDoesNotTakeIsDropped(t *testing.T) {
	redirect := func(w http.ResponseWriter, in *http.Request) {
		http.Redirect(w, in, "/elsewhere", http.StatusTemporaryRedirect)
	}
	status := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
	}
	partly := func(text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, `{"partialSuccess": {"rejectedSpans": `+text+`, "errorMessage": "no"}}`)
		}
	}

	for _, tc := range []struct {
		name    string
		answers []http.HandlerFunc
		sent    int
		dropped int64
	}{
		{"all are taken", nil, 1, 0},
		{"the collector is busy for a moment", []http.HandlerFunc{status(503), status(429)}, 3, 0},
		{"the collector stays busy", []http.HandlerFunc{status(503), status(502), status(504)}, 3, 2},
		{"the collector refuses", []http.HandlerFunc{status(400)}, 1, 2},
		{"the collector takes one, and says so with a string", []http.HandlerFunc{partly(`"1"`)}, 1, 1},
		{"the collector takes one, and says so with a number", []http.HandlerFunc{partly("1")}, 1, 1},
		{"a redirect is not followed with the header", []http.HandlerFunc{redirect}, 1, 2},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newCollector(t, tc.answers...)
			tracer := r.start(t, Config{Percent: 100})
			list := []finished{{Span: tracer.Begin("")}, {Span: tracer.Begin("")}}
			if err := tracer.export(t.Context(), list); err != nil {
				tracer.c.Dropped.Add(int64(len(list)))
			}

			if got := tracer.c.Dropped.Load(); got != tc.dropped || len(r.bodies) != tc.sent {
				t.Errorf("dropped = %d after %d exports, want %d after %d", got, len(r.bodies), tc.dropped, tc.sent)
			}
		})
	}
}

func TestACollectorThatHangsIsGivenUp(t *testing.T) {
	r := newCollector(t, func(_ http.ResponseWriter, in *http.Request) { <-in.Context().Done() })
	tracer := r.start(t, Config{Percent: 100, sendLimit: 100 * time.Millisecond})

	tracer.End(tracer.Begin(""), Result{})
	eventually(t, "the span to be dropped", func() bool { return tracer.c.Dropped.Load() > 0 })

	// On a busy machine, the first export may be given up before it arrives. The first that arrives hangs.
	eventually(t, "an export after the one that hangs", func() bool {
		tracer.End(tracer.Begin(""), Result{})
		return len(r.bodies) > 1
	})
}

func TestSpansThatWaitAreExportedAtTheEnd(t *testing.T) {
	r := newCollector(t)
	tracer := New(Config{
		Percent:   100,
		Endpoint:  r.URL,
		Client:    r.Client(),
		Dropped:   &atomic.Int64{},
		Log:       slog.New(slog.DiscardHandler),
		sendEvery: time.Hour,
		closeTime: time.Minute,
		batchSize: 2,
	})
	for range 3 {
		tracer.End(tracer.Begin(""), Result{Method: "BREW"})
	}

	ended, cancel := context.WithCancel(t.Context())
	cancel()
	tracer.Run(ended)
	if got := len(r.bodies); got != 2 {
		t.Errorf("exports at the end = %d, want 2 batches of at most 2 spans", got)
	}
	if first := string(r.next(t)); strings.Contains(first, "BREW") || !strings.Contains(first, `"_OTHER"`) {
		t.Errorf("export = %s, want no method that a caller has invented", first)
	}
}

func TestTheLogHasNoURLOfTheCollector(t *testing.T) {
	r := newCollector(t)
	r.Close()
	var text strings.Builder
	tracer := New(Config{
		Percent:   100,
		Endpoint:  r.URL + "/v1/traces?api-key=s3cret",
		Client:    r.Client(),
		Dropped:   &atomic.Int64{},
		Log:       slog.New(slog.NewTextHandler(&text, nil)),
		sendEvery: time.Hour,
		closeTime: time.Minute,
		batchSize: 2,
	})
	tracer.End(tracer.Begin(""), Result{})

	ended, cancel := context.WithCancel(t.Context())
	cancel()
	tracer.Run(ended)
	if got := text.String(); !strings.Contains(got, "not exported") || strings.Contains(got, "s3cret") {
		t.Errorf("log = %q, want that spans were not exported, without the URL", got)
	}
}

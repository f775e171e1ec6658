// Package trace makes a span for each request and exports it by OTLP over HTTP, in JSON.
//
// It promises that tracing delays no request: spans wait in a bounded queue, and one that finds it full is dropped and
// counted, as are those that the collector does not take. A span has the method, the pattern of the route, the outcome
// and the id of the request; never a path, a query, a header or the name of a user. Which headers of a caller may begin
// a trace is for packages web and server, which also say what happened to the request.
package trace

import (
	"cmp"
	"crypto/rand"
	"encoding/hex"
	"log/slog"
	mathrand "math/rand/v2"
	"net/http"
	"sync/atomic"
	"time"
)

// Config is what New needs.
type Config struct {
	Endpoint string      // URL of the collector, with the path, which usually is /v1/traces
	Header   http.Header // of each export, such as Authorization; may be nil
	Client   *http.Client
	Percent  int    // of the requests without a trace of their own that get one
	Version  string // of this program
	Instance string // distinguishes this server from others
	Log      *slog.Logger
	// Dropped counts spans that were not exported. Tracers that follow each other share it.
	Dropped *atomic.Int64

	// For tests; zero: the default below.
	queueSize, batchSize int
	sendEvery, sendLimit time.Duration
	retryWait, closeTime time.Duration
}

// Defaults of Config. The queue holds a few seconds of a busy server, in about a megabyte.
const (
	defaultQueueSize = 4096
	defaultBatchSize = 512
	defaultSendEvery = time.Second
	defaultSendLimit = 5 * time.Second // for one attempt
	defaultRetryWait = time.Second
	defaultCloseTime = time.Second // for what is left at the end
)

// Tracer makes spans. Its methods are safe for concurrent use.
type Tracer struct {
	c     Config
	queue chan finished
	full  atomic.Bool // for the log
	ended atomic.Bool // Run has ended: spans are dropped
}

// Span is a request that is being traced. The zero value is one that is not.
type Span struct{ trace, id, parent string }

// Result is what happened to a request. Fields that are "" are left out.
type Result struct {
	Method, Route, Service string
	Outcome, RequestID     string
	Upstream               string // host and port
	Status                 int
	Began, Ended           time.Time
}

// finished is a span that has ended and waits to be exported.
type finished struct {
	Span
	Result
}

// New returns a tracer. It exports nothing until Run is called.
func New(c Config) *Tracer {
	c.queueSize = cmp.Or(c.queueSize, defaultQueueSize)
	c.batchSize = cmp.Or(c.batchSize, defaultBatchSize)
	c.sendEvery = cmp.Or(c.sendEvery, defaultSendEvery)
	c.sendLimit = cmp.Or(c.sendLimit, defaultSendLimit)
	c.retryWait = cmp.Or(c.retryWait, defaultRetryWait)
	c.closeTime = cmp.Or(c.closeTime, defaultCloseTime)

	return &Tracer{c: c, queue: make(chan finished, c.queueSize)}
}

// Begin begins a span. parent is a valid Traceparent of a peer that is trusted, or "". A request with a parent is
// traced if the parent is (its flag "sampled"); of the others, the configured share.
func (t *Tracer) Begin(parent string) Span {
	s := Span{}
	if parent != "" {
		// W3C Trace Context, section 3.2: version (2 digits), trace-id (32), parent-id (16) and trace-flags (2), all in
		// hexadecimal and separated by dashes.
		flags, err := hex.DecodeString(parent[53:55])
		if err != nil || flags[0]&1 == 0 {
			return Span{}
		}
		s.trace, s.parent = parent[3:35], parent[36:52]
	} else if t.c.Percent < 100 && mathrand.IntN(100) >= t.c.Percent {
		return Span{}
	}

	var b [24]byte
	_, _ = rand.Read(b[:]) // it does not fail
	if s.trace == "" {
		s.trace = hex.EncodeToString(b[:16])
	}
	s.id = hex.EncodeToString(b[16:])

	return s
}

// Traced reports whether the request has a span.
func (s Span) Traced() bool { return s.id != "" }

// TraceID returns the id of the trace.
func (s Span) TraceID() string { return s.trace }

// Traceparent returns the header for the next server, whose spans become children of this one.
func (s Span) Traceparent() string { return "00-" + s.trace + "-" + s.id + "-01" }

// End ends a span. It never waits.
func (t *Tracer) End(s Span, r Result) {
	if !s.Traced() {
		return
	}

	select {
	case t.queue <- finished{s, r}:
		t.full.Store(false)
		if t.ended.Load() {
			t.dropQueue()
		}
	default:
		t.c.Dropped.Add(1)
		if !t.full.Swap(true) {
			t.c.Log.Warn("spans are dropped: the queue is full; check that the collector is up and fast enough")
		}
	}
}

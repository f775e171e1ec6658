package server

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/config"
	"github.com/jeton-auth/jeton/internal/outbound"
	"github.com/jeton-auth/jeton/internal/trace"
	"github.com/jeton-auth/jeton/internal/web"

	"github.com/prometheus/client_golang/prometheus"
)

// tracer returns what makes and exports the spans of a configuration, or nil without tracing.
func (s *Server) tracer(conf *config.Config) (*trace.Tracer, error) {
	if conf.Tracing == nil {
		return nil, nil
	}

	endpoint, err := url.Parse(conf.Tracing.Endpoint)
	if err != nil {
		return nil, err
	}
	client, err := outbound.Target{CA: conf.Tracing.CAFile, Private: true}.Client(endpoint.Scheme)
	if err != nil {
		return nil, err
	}

	return trace.New(trace.Config{
		Endpoint: conf.Tracing.Endpoint,
		Header:   conf.Tracing.Headers(),
		Client:   client,
		Percent:  conf.Tracing.Sample,
		Version:  s.c.Version,
		Instance: s.instance,
		Log:      s.c.Log,
		Dropped:  &s.spansDropped,
	}), nil
}

// traceRequests makes the listeners of services, of decisions and of the authorization server trace their requests.
func traceRequests(wanted map[string]*planned, tracer *trace.Tracer) {
	for _, p := range wanted {
		if p.front.redirect == nil {
			p.front.tracer = tracer
		}
	}
}

// export returns the work that sends the spans of all listeners: that of the server, of which a listener may go.
func export(tracer *trace.Tracer) []func(context.Context) {
	if tracer == nil {
		return nil
	}
	return []func(context.Context){tracer.Run}
}

// countSpans adds the number of spans that were not exported.
func (m *metrics) countSpans(dropped func() int64) {
	m.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{
		Name: "jeton_spans_dropped_total",
		Help: "Spans of requests that were not exported: too many waited, or the collector did not take them.",
	}, func() float64 { return float64(dropped()) }))
}

// beginSpan begins the span of a request, if requests are traced. The trace of a peer that is not trusted counts for
// nothing: with it, a caller could choose which requests are recorded.
func (f *front) beginSpan(w *web.Reply, r *http.Request) {
	if f.tracer == nil {
		return
	}

	parent := ""
	if w.TraceID != "" {
		parent = r.Header.Get(web.HeaderTraceParent)
	}

	w.Span = f.tracer.Begin(parent)
	if w.Span.Traced() {
		w.TraceID = w.Span.TraceID()
	}
}

// endSpan ends the span of a request.
func (f *front) endSpan(w *web.Reply, r *http.Request, service string) {
	if f.tracer == nil || !w.Span.Traced() {
		return
	}

	outcome := audit.OK
	if w.Refused != "" {
		outcome = w.Refused
	}

	// The pattern of a route may begin with its method, which a span has apart.
	route := w.Route
	if _, path, ok := strings.Cut(route, " "); ok {
		route = path
	}

	f.tracer.End(w.Span, trace.Result{
		Method:    r.Method,
		Route:     route,
		Service:   service,
		Outcome:   outcome,
		RequestID: w.ID,
		Upstream:  w.Upstream,
		Status:    w.Status(),
		Began:     w.Start,
		Ended:     f.now(),
	})
}

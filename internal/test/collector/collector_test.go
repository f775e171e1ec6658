// Package collector sends the traces of a server to the receiver of the OpenTelemetry Collector. It is a module of its
// own, so that the product does not need it, and part of 'make soak'.
package collector

import (
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/receiver/otlpreceiver"
	"go.opentelemetry.io/collector/receiver/receivertest"

	"github.com/jeton-auth/jeton/internal/test/need"
	"github.com/jeton-auth/jeton/jetontest"
)

// patience is how long an event may take; only a fault takes that long.
const patience = 5 * time.Minute

// startCollector starts the receiver of OTLP over HTTP at an address, and returns what keeps the spans.
func startCollector(t *testing.T, address string) *consumertest.TracesSink {
	t.Helper()
	factory := otlpreceiver.NewFactory()
	conf := factory.CreateDefaultConfig()
	text := map[string]any{"protocols": map[string]any{"http": map[string]any{"endpoint": address}}}
	if err := confmap.NewFromStringMap(text).Unmarshal(conf); err != nil {
		t.Fatal(err)
	}

	sink := new(consumertest.TracesSink)
	r, err := factory.CreateTraces(t.Context(), receivertest.NewNopSettings(factory.Type()), conf, sink)
	if err != nil {
		t.Fatal(err)
	}
	var host component.Host = componenttest.NewNopHost()
	if err := r.Start(t.Context(), host); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Shutdown(t.Context()) })

	return sink
}

// spans returns what has come.
func spans(sink *consumertest.TracesSink) (list []ptrace.Span, resources []string) {
	for _, traces := range sink.AllTraces() {
		for _, resource := range traces.ResourceSpans().All() {
			name, _ := resource.Resource().Attributes().Get("service.name")
			resources = append(resources, name.AsString())
			for _, scope := range resource.ScopeSpans().All() {
				for _, span := range scope.Spans().All() {
					list = append(list, span)
				}
			}
		}
	}

	return list, resources
}

// await returns the spans once there are n.
func await(t *testing.T, sink *consumertest.TracesSink, n int) ([]ptrace.Span, []string) {
	t.Helper()
	for limit := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		list, resources := spans(sink)
		if len(list) >= n {
			return list, resources
		}
		if time.Now().After(limit) {
			t.Fatalf("the collector has %d spans, want %d", len(list), n)
		}
	}
}

// start starts a server that exports to an address.
func start(t *testing.T, address string) *jetontest.Server {
	t.Helper()
	return jetontest.Start(t, fmt.Sprintf(`
trusted_proxies: [127.0.0.1]
admin: {listen: "127.0.0.1:0"}
tracing: {endpoint: 'http://%s/v1/traces', sample: 100}
services:
  - name: shop
    listen: localhost:0
    login: {paths: [/login]}
    routes:
      - {match: "GET /open/{id}", open: true, respond: {text: ok}}
      - {match: /closed, respond: {text: ok}}
`, address), jetontest.Log(io.Discard, slog.LevelError))
}

// freeAddress returns an address of loopback at which no program listens.
func freeAddress(t *testing.T) string {
	t.Helper()
	port, err := jetontest.FreePort()
	if err != nil {
		t.Fatal(err)
	}

	return net.JoinHostPort("127.0.0.1", port)
}

func TestTheCollectorReadsNamesParentsAndAttributesOfSpans(t *testing.T) {
	need.Soak(t)
	address := freeAddress(t)
	sink := startCollector(t, address)
	s := start(t, address)

	const traceID, parent = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
	opened := s.Ask("GET", "shop", "/open/7", "Traceparent", "00-"+traceID+"-"+parent+"-01")
	closed := s.Ask("GET", "shop", "/closed")
	if opened.Status != http.StatusOK || closed.Status != http.StatusUnauthorized {
		t.Fatalf("answers = %d and %d, want 200 and 401", opened.Status, closed.Status)
	}

	list, resources := await(t, sink, 2)
	if len(list) != 2 || resources[0] != "jeton" {
		t.Fatalf("spans = %d of %v, want 2 of jeton", len(list), resources)
	}
	for i, want := range []struct {
		name, route, status, outcome, request string
	}{
		{"GET /open/{id}", "/open/{id}", "200", "ok", opened.Request()},
		{"GET /closed", "/closed", "401", "", closed.Request()},
	} {
		got := list[i]
		about := map[string]string{}
		for key, value := range got.Attributes().All() {
			about[key] = value.AsString()
		}

		if got.Name() != want.name || got.Kind() != ptrace.SpanKindServer || !got.EndTimestamp().AsTime().
			After(got.StartTimestamp().AsTime()) {
			t.Errorf("span %d = %s, %v, want %s of a server, with its times", i, got.Name(), got.Kind(), want.name)
		}
		if about["http.route"] != want.route || about["http.response.status_code"] != want.status ||
			about["jeton.service"] != "shop" || about["jeton.request_id"] != want.request ||
			about["jeton.outcome"] == "" ||
			want.outcome != "" && about["jeton.outcome"] != want.outcome {
			t.Errorf("attributes of span %d = %v, want %+v", i, about, want)
		}
	}

	if got := list[0]; got.TraceID().String() != traceID || got.ParentSpanID().String() != parent {
		t.Errorf("span = %v below %v, want it in the trace of the proxy", got.TraceID(), got.ParentSpanID())
	}
	if got := list[1]; got.TraceID().IsEmpty() || !got.ParentSpanID().IsEmpty() {
		t.Errorf("span = %v below %v, want a trace of its own", got.TraceID(), got.ParentSpanID())
	}
}

func TestRequestsAreAnsweredWhileTheCollectorIsAway(t *testing.T) {
	need.Soak(t)
	address := freeAddress(t)
	s := start(t, address)

	// More than the queue holds. Each would wait for the exporter if a request did.
	for i := range 5000 {
		if a := s.Ask("GET", "shop", "/open/"+strconv.Itoa(i)); a.Status != http.StatusOK {
			t.Fatalf("answer %d without the collector = %d, want 200", i, a.Status)
		}
	}

	sink := startCollector(t, address)
	for limit := time.Now().Add(patience); ; time.Sleep(100 * time.Millisecond) {
		s.Ask("GET", "shop", "/open/again")
		if list, _ := spans(sink); len(list) > 0 {
			if !strings.HasPrefix(list[0].Name(), "GET /open/") {
				t.Errorf("the first span = %s, want one of the route", list[0].Name())
			}
			return
		}
		if time.Now().After(limit) {
			t.Fatal("no span is exported after the collector came back")
		}
	}
}

package server

import (
	"net/http"
	"time"

	"jeton"
	"jeton/internal/web"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// metrics are what operators' tools watch. Labels are of closed sets: services and
// patterns of the configuration, codes of package jeton; never a name or a path.
type metrics struct {
	registry *prometheus.Registry
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
}

func newMetrics(version string, lost func() int64) *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "jeton_requests_total", Help: "Requests answered, by outcome: ok, or the code of the refusal.",
		}, []string{"service", "route", "outcome"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "jeton_request_duration_seconds", Help: "Time from a request's head to its answer.",
			Buckets: []float64{.0001, .0005, .001, .005, .01, .05, .1, .5, 1, 5},
		}, []string{"service"}),
	}
	info := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "jeton_build_info", Help: "Always 1; the label says which build this is."}, []string{"version"})
	info.WithLabelValues(version).Set(1)
	m.registry.MustRegister(m.requests, m.duration, info,
		prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "jeton_audit_lost_total", Help: "Events that came faster than they are recorded; the record says how many are missing."},
			func() float64 { return float64(lost()) }),
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

func (m *metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}

// rowMetrics are the counters of one row, looked up once.
type rowMetrics struct {
	all            *metrics
	service, route string
	ok             prometheus.Counter
	duration       prometheus.Observer
}

func (m *metrics) row(service, route string) rowMetrics {
	return rowMetrics{m, service, route, m.requests.WithLabelValues(service, route, "ok"), m.duration.WithLabelValues(service)}
}

func (r rowMetrics) observe(w *web.Reply, err error) {
	if err == nil {
		r.ok.Inc()
	} else {
		r.all.requests.WithLabelValues(r.service, r.route, jeton.Code(err)).Inc()
	}
	r.duration.Observe(time.Since(w.Start).Seconds())
}

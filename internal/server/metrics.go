package server

import (
	"math"
	"net/http"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/openid"
	"github.com/jeton-auth/jeton/internal/password"
	"github.com/jeton-auth/jeton/internal/store/postgres"
	"github.com/jeton-auth/jeton/internal/web"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// metrics are the Prometheus metrics of a server. Labels come from closed sets: services and
// patterns of the configuration, codes of package jeton; never a user name or a path.
type metrics struct {
	registry *prometheus.Registry
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
}

// newMetrics makes the metrics of a server; without a core, as in tests, only those of requests.
func newMetrics(version string, k *core) *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "jeton_requests_total", Help: "Requests answered, by outcome: ok, or the code of the refusal.",
		}, []string{"service", "route", "outcome"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "jeton_request_duration_seconds", Help: "Time from a request's header to the end of its response.",
			Buckets: []float64{.0001, .0005, .001, .005, .01, .05, .1, .5, 1, 5},
		}, []string{"service"}),
	}

	info := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "jeton_build_info",
		Help: "Always 1; the label is the version of the build.",
	}, []string{"version"})
	info.WithLabelValues(version).Set(1)
	m.registry.MustRegister(
		m.requests, m.duration, info, collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)

	if k == nil {
		return m
	}

	m.registry.MustRegister(newWork(k.counts.Taken, k.hasher.Waiting)...)
	m.registry.MustRegister(newHasherTimes(k.hasher.Times)...)
	m.registry.MustRegister(
		k.logoutCount,
		k.mailCount,
		newMailQueue(k.db.CountMails),
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "jeton_audit_lost_total",
			Help: "Audit events that were dropped: they came too fast, or the database could not be written. " +
				"The audit log has their number.",
		},
			func() float64 { return float64(k.audit.Dropped()) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "jeton_audit_summed_total",
			Help: "Refusals without an audit event of their own: once a minute, another event has their number.",
		},
			func() float64 { return float64(k.audit.Summed()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "jeton_audit_bytes",
			Help: "About how many bytes the audit log has in the database; at most audit.max_size.",
		},
			func() float64 { return float64(k.audit.Bytes()) }))

	// On SQLite there are no other nodes to wait for, and no connection to lose.
	shared, many := k.db.(*postgres.DB)
	if many {
		m.registry.MustRegister(k.invalidation, database{shared.Stats})
	}

	return m
}

// newWork measures uses, and passwords that wait to be hashed.
func newWork(taken func() int64, waiting func() (now, limit, workers int)) []prometheus.Collector {
	return []prometheus.Collector{
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "jeton_uses_total",
			Help: "Uses of counted logins and tokens that were taken. A refused request takes none.",
		}, func() float64 { return float64(taken()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "jeton_hasher_waiting",
			Help: "Passwords that wait to be hashed.",
		}, func() float64 { now, _, _ := waiting(); return float64(now) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "jeton_hasher_queue_max",
			Help: "Passwords that may wait; further logins are answered 503 busy: hashing.queue.",
		}, func() float64 { _, limit, _ := waiting(); return float64(limit) }),
	}
}

// newHasherTimes measures how long passwords take. Two scrapes give the mean between them.
func newHasherTimes(times func() password.Times) []prometheus.Collector {
	return []prometheus.Collector{
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "jeton_hasher_passwords_total",
			Help: "Passwords that were hashed or checked.",
		}, func() float64 { return float64(times().Passwords) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "jeton_hasher_wait_seconds_total",
			Help: "Time that passwords waited for the hasher, all together; it grows when more come than it can check.",
		}, func() float64 { return times().Waited.Seconds() }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "jeton_hasher_work_seconds_total",
			Help: "Time in which passwords were checked, all together; it grows when other programs are busy.",
		}, func() float64 { return times().Worked.Seconds() }),
	}
}

// countLost adds the number of log lines that could not be written: those of the log (none with nil), and those of the
// file of requests.
func (m *metrics) countLost(lines, requests func() int64) {
	if lines == nil {
		lines = func() int64 { return 0 }
	}

	m.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{
		Name: "jeton_log_lost_total",
		Help: "Log lines that could not be written, for example because their reader has gone.",
	}, func() float64 { return float64(lines() + requests()) }))
}

// newLogoutCounter counts logout tokens for relying parties.
func newLogoutCounter() *prometheus.CounterVec {
	c := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "jeton_backchannel_logouts_total",
		Help: "Logout tokens for relying parties, by outcome: sent; failed, and tried again for an hour; given_up.",
	}, []string{"outcome"})
	for _, outcome := range []string{openid.LogoutSent, openid.LogoutFailed, openid.LogoutGivenUp} {
		c.WithLabelValues(outcome)
	}

	return c
}

// countFailedOrders adds the number of certificates that were ordered in vain.
func (m *metrics) countFailedOrders(failed func() int64) {
	m.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{
		Name: "jeton_acme_failed_orders_total",
		Help: "Orders that the certificate authority refused or did not answer. Each is tried again.",
	}, func() float64 { return float64(failed()) }))
}

// newInvalidationHistogram measures how long changes take to reach all nodes.
func newInvalidationHistogram() prometheus.Histogram {
	return prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "jeton_database_end_seconds",
		Help: "Time from the commit of a logout, revocation or changed password until no node uses a cached value " +
			"from before.",
		Buckets: []float64{.001, .002, .005, .01, .02, .05, .1, .2, .5, 1, 10},
	})
}

// database collects the state of the shared database.
type database struct{ stats func() postgres.Stats }

var (
	databaseUp = prometheus.NewDesc(
		"jeton_database_up",
		"1 while the database answers this node, else 0: then every request that needs it is answered 503.",
		nil, nil,
	)
	databaseAge = prometheus.NewDesc(
		"jeton_database_heard_age_seconds",
		"Age of this node's lease, and so of its cache; +Inf while it has no lease and may not use its cache.",
		nil, nil,
	)
	databaseConns = prometheus.NewDesc(
		"jeton_database_connections",
		"Connections of this node's pool, by state. Two more, for the node protocol, are not counted.",
		[]string{"state"}, nil,
	)
	databaseMost = prometheus.NewDesc(
		"jeton_database_connections_max", "Connections that the pool may have: database.connections.", nil,
		nil,
	)
	databaseWaited = prometheus.NewDesc(
		"jeton_database_connection_waits_total",
		"How often a statement had to wait for a connection of the pool.", nil, nil,
	)
)

// Describe implements prometheus.Collector.
func (d database) Describe(to chan<- *prometheus.Desc) { prometheus.DescribeByCollect(d, to) }

// Collect implements prometheus.Collector.
func (d database) Collect(to chan<- prometheus.Metric) {
	s := d.stats()
	gauge := func(desc *prometheus.Desc, v float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, v, labels...)
	}

	up, age := 0.0, math.Inf(1)
	if s.Up {
		up = 1
	}
	if !s.LeaseRenewed.IsZero() {
		age = time.Since(s.LeaseRenewed).Seconds()
	}

	gauge(databaseUp, up)
	gauge(databaseAge, age)
	gauge(databaseConns, float64(s.InUse), "in_use")
	gauge(databaseConns, float64(s.Open-s.InUse), "idle")
	gauge(databaseMost, float64(s.Max))

	to <- prometheus.MustNewConstMetric(databaseWaited, prometheus.CounterValue, float64(s.Waited))
}

// handler answers GET /metrics in the text format of Prometheus.
func (m *metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}

// routeMetrics are the metrics of one route, looked up once.
type routeMetrics struct {
	all            *metrics
	service, route string
	ok             prometheus.Counter
	duration       prometheus.Observer
}

// route returns the metrics of a route. The look-up by labels is done here once, not for
// every request.
func (m *metrics) route(service, route string) routeMetrics {
	return routeMetrics{
		m,
		service,
		route,
		m.requests.WithLabelValues(service, route, "ok"),
		m.duration.WithLabelValues(service),
	}
}

// observe counts one request by its outcome, and how long it took since the reply was made.
func (r routeMetrics) observe(w *web.Reply, err error) {
	if err == nil {
		r.ok.Inc()
	} else {
		r.all.requests.WithLabelValues(r.service, r.route, jeton.Code(err)).Inc()
	}

	r.duration.Observe(time.Since(w.Start).Seconds())
}

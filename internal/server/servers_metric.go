package server

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/jeton-auth/jeton/internal/gateway"
)

// serviceUpstreams are the servers behind a service.
type serviceUpstreams struct {
	service string
	list    func() []gateway.Upstream
}

// upstreams collects whether the servers behind services get requests.
type upstreams struct{ all func() []serviceUpstreams }

// upstreamUp is the metric of one server.
var upstreamUp = prometheus.NewDesc(
	"jeton_upstream_up",
	"1 while a server of an upstream gets requests, 0 while it is unhealthy, or rests after no connection to it could "+
		"be opened. Of upstreams with several servers.",
	[]string{"service", "upstream"}, nil,
)

// Describe implements prometheus.Collector. It cannot ask for metrics: which servers there are changes with a reload.
func (u upstreams) Describe(to chan<- *prometheus.Desc) { to <- upstreamUp }

// Collect implements prometheus.Collector.
func (u upstreams) Collect(to chan<- prometheus.Metric) {
	for _, s := range u.all() {
		up := map[string]float64{}
		for _, one := range s.list() {
			// Routes can check the same server in different ways: it is up if it is up for all of them.
			before, seen := up[one.Host]
			up[one.Host] = 0
			if one.Up && (!seen || before == 1) {
				up[one.Host] = 1
			}
		}

		for host, value := range up {
			to <- prometheus.MustNewConstMetric(upstreamUp, prometheus.GaugeValue, value, s.service, host)
		}
	}
}

// servedUpstreams returns the servers behind all services.
func (s *Server) servedUpstreams() []serviceUpstreams {
	s.mu.Lock()
	defer s.mu.Unlock()

	var list []serviceUpstreams
	for _, service := range s.conf.Services {
		d := muxOf(s.listeners[listenKey(service.Listen, service.Name)], service.Name)
		if d != nil && d.upstreams != nil {
			list = append(list, serviceUpstreams{service.Name, d.upstreams})
		}
	}

	return list
}

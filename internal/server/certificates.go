package server

import (
	"context"
	"crypto/tls"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/jeton-auth/jeton/internal/acme"
)

// servedCertificate is a certificate in use.
type servedCertificate struct {
	service string // or a listener of ours, such as adminName
	file    string
	pair    *tls.Certificate

	// Of an authority: pair is served for the names of orders that have no certificate yet.
	orders  []string
	ordered *acme.Certificates
}

// warn logs a warning if clients refuse the certificate now, or will soon.
func (c servedCertificate) warn(now time.Time, log *slog.Logger) {
	if len(c.orders) > 0 {
		c.warnOrdered(now, log)
		return
	}

	leaf := c.pair.Leaf
	warning, fix := validity(leaf, now)
	if warning == "" {
		return
	}

	log.Warn(
		"clients refuse a certificate, or will soon",
		"warning", warning+"; "+fix,
		"service", c.service,
		"file", c.file,
		"valid_from", leaf.NotBefore,
		"expires", leaf.NotAfter,
	)
}

// certificates are the certificates in use, for metrics and warnings. It is safe for concurrent use.
type certificates struct {
	mu     sync.Mutex
	list   []servedCertificate
	warned time.Time // when the last warnings were due
}

// set replaces all, whose warnings have been logged.
func (c *certificates) set(list []servedCertificate, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.list = list
	c.warned = now
}

// replace exchanges a certificate that was renewed.
func (c *certificates) replace(old, pair *tls.Certificate) {
	c.mu.Lock()
	defer c.mu.Unlock()

	for i := range c.list {
		if c.list[i].pair == old {
			c.list[i].pair = pair
		}
	}
}

// all returns the certificates in use.
func (c *certificates) all() []servedCertificate {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.list)
}

// warnDaily logs what is wrong with certificates if that was a day ago.
func (c *certificates) warnDaily(now time.Time, log *slog.Logger) {
	c.mu.Lock()
	passed := now.Sub(c.warned)
	due := passed < 0 || passed >= 24*time.Hour // negative: the clock was set back
	if due {
		c.warned = now
	}
	c.mu.Unlock()

	if !due {
		return
	}

	for _, one := range c.all() {
		one.warn(now, log)
	}
}

// watchCertificates renews the self-signed certificate and warns of others, until ctx ends.
func (s *Server) watchCertificates(ctx context.Context) {
	// More often than daily: a machine may sleep, and the clock is what counts.
	tick := time.NewTicker(time.Hour)
	defer tick.Stop()

	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			s.renewSelfSigned()
			s.certificates.warnDaily(s.c.Now(), s.c.Log)
		}
	}
}

var certificateEnd = prometheus.NewDesc(
	"jeton_certificate_expiry_timestamp_seconds",
	"When the certificate of a service expires, in seconds since 1970; of several of acme, the first.",
	[]string{"service"}, nil,
)

// Describe implements prometheus.Collector.
func (c *certificates) Describe(to chan<- *prometheus.Desc) {
	to <- certificateEnd
	to <- missingDesc
}

// Collect implements prometheus.Collector.
func (c *certificates) Collect(to chan<- prometheus.Metric) {
	for _, one := range c.all() {
		leaf := one.pair.Leaf
		if len(one.orders) > 0 {
			var missing int
			leaf, missing = one.firstEnd()
			to <- prometheus.MustNewConstMetric(missingDesc, prometheus.GaugeValue, float64(missing), one.service)
		}
		if leaf != nil {
			end := float64(leaf.NotAfter.Unix())
			to <- prometheus.MustNewConstMetric(certificateEnd, prometheus.GaugeValue, end, one.service)
		}
	}
}

package server

import (
	"context"
	"crypto/x509"
	"log/slog"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/jeton-auth/jeton/internal/acme"
	"github.com/jeton-auth/jeton/internal/config"
)

// prepareOrders loads the certificates that a certificate authority has issued before. The caller holds mu.
func (s *Server) prepareOrders(ctx context.Context, conf *config.Config) error {
	s.ordered = nil
	if conf.ACME == nil {
		return nil
	}

	var names []string
	for _, at := range endpoints(conf) {
		names = append(names, at.orders...)
	}

	ordered, err := s.acme.Prepare(ctx, acme.Settings{
		Directory: conf.ACME.Directory,
		Email:     conf.ACME.Email,
		CAFile:    conf.ACME.CAFile,
		Storage:   s.core.dir.file(conf.ACME.Storage),
		Names:     unique(names),
		HTTP:      conf.Redirect != nil,
	})
	s.ordered = ordered

	return err
}

// order makes a listener serve the certificates of an authority, and answer its challenges.
func (p *planned) order(certs *acme.Certificates) {
	if p.tls.GetCertificate != nil {
		return
	}

	p.tls.GetCertificate = certs.Certificate
	p.tls.NextProtos = append(p.tls.NextProtos, acme.Protocol)
	p.ordered = certs
}

// startOrders makes the orders of a configuration part of its work. bound has the port of each listener.
func (s *Server) startOrders(conf *config.Config, wanted map[string]*planned, bound map[string]string) {
	var ports acme.Ports
	if conf.Redirect != nil {
		ports.HTTP, _ = strconv.Atoi(bound[listenKey(conf.Redirect.Listen, redirectName)])
	}

	for key, p := range wanted {
		if p.ordered == nil {
			continue
		}

		ports.TLS, _ = strconv.Atoi(bound[key])
		p.work = append(p.work, func(ctx context.Context) { p.ordered.Run(ctx, ports) })

		return // one is enough: all listeners have the same certificates
	}
}

// warnOrdered logs a warning for each host name without a certificate that clients accept. Certificates of an
// authority are renewed when a third of their lifetime is left: half of that later, renewal has failed for a while.
func (c servedCertificate) warnOrdered(now time.Time, log *slog.Logger) {
	for _, name := range c.orders {
		leaf := c.ordered.Leaf(name)
		if leaf == nil {
			log.Warn("no certificate from the authority yet: clients refuse the self-signed one",
				"service", c.service, "host", name)
			continue
		}
		if leaf.NotAfter.Sub(now) < leaf.NotAfter.Sub(leaf.NotBefore)/6 {
			log.Warn("the certificate authority does not renew the certificate; look at the messages of acme",
				"service", c.service, "host", name, "expires", leaf.NotAfter)
		}
	}
}

var missingDesc = prometheus.NewDesc(
	"jeton_acme_missing_certificates",
	"Host names of a service for which the certificate authority has issued no certificate yet.",
	[]string{"service"}, nil,
)

// firstEnd returns the certificate that expires first, or nil, and how many host names have none.
func (c servedCertificate) firstEnd() (first *x509.Certificate, missing int) {
	for _, name := range c.orders {
		leaf := c.ordered.Leaf(name)
		switch {
		case leaf == nil:
			missing++
		case first == nil || leaf.NotAfter.Before(first.NotAfter):
			first = leaf
		}
	}

	return first, missing
}

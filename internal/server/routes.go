package server

import (
	"context"
	"os"
	"slices"
	"strings"

	"github.com/jeton-auth/jeton/internal/config"
	"github.com/jeton-auth/jeton/internal/forward"
	"github.com/jeton-auth/jeton/internal/web"
)

// Row is a row of the printed route table.
type Row struct {
	Listen  string `json:"listen"`
	Service string `json:"service"`
	Pattern string `json:"pattern"`
	Access  string `json:"access"`
}

// Table returns the routes of a configuration, in its order.
func Table(ctx context.Context, conf *config.Config) ([]Row, error) {
	dir, err := os.MkdirTemp("", "jeton-routes-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)

	// The routes do not depend on what is stored.
	alone := *conf
	alone.Database = nil
	alone.KeysSecretFile = ""

	s, err := New(Config{File: &alone, DataDir: dir})
	if err != nil {
		return nil, err
	}

	held, err := lockDataDir(dir)
	if err != nil {
		return nil, err
	}

	s.core, err = openCore(ctx, s.c, s.conf, held)
	if err != nil {
		return nil, err
	}
	defer s.core.close()

	s.metrics = newMetrics(s.c.Version, s.core)

	return s.table(ctx)
}

// table returns the routes of a server that listens nowhere yet.
func (s *Server) table(ctx context.Context) ([]Row, error) {
	var table []Row
	add := func(listen, name string, rows []web.Route) {
		for _, r := range rows {
			table = append(table, Row{listen, name, r.Pattern, r.Access.String()})
		}
	}

	for _, service := range s.conf.Services {
		if service.Forwarded() {
			f, err := s.forwardedService(ctx, s.conf, service)
			if err != nil {
				return nil, err
			}
			add(s.conf.Forward.Listen+" "+service.URL, service.Name, slices.Concat(f.own.routes, f.judge.routes))

			continue
		}

		d, err := s.serviceMux(ctx, s.conf, service)
		if err != nil {
			return nil, err
		}
		add(strings.TrimSpace(service.Listen+" "+service.Host), service.Name, d.routes)
	}

	if s.conf.Forward != nil {
		for _, path := range forward.Paths() {
			table = append(table, Row{s.conf.Forward.Listen, forward.Name, path, "forward.trusted_proxies"})
		}
	}

	issuer := s.conf.Issuer
	if issuer != nil {
		d, err := s.issuerMux(s.conf)
		if err != nil {
			return nil, err
		}
		add(strings.TrimSpace(issuer.Listen+" "+issuer.Host), d.name, d.routes)
	}

	d, err := s.adminMux(s.conf.Admin)
	if err != nil {
		return nil, err
	}

	add(s.conf.Admin.Listen, d.name, d.routes)

	add(controlListen, "control", s.core.controlRoutes(s.c, nil, nil, s.conf, s.current))

	return table, nil
}

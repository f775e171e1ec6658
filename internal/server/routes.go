package server

import (
	"context"
	"os"
	"strings"

	"github.com/jeton-auth/jeton/internal/config"
	"github.com/jeton-auth/jeton/internal/web"
)

// Row is a line of the printed route table.
type Row struct {
	Listen  string `json:"listen"`
	Door    string `json:"door"`
	Pattern string `json:"pattern"`
	Access  string `json:"access"`
}

// Table returns the rows of every door of a configuration, in its order.
func Table(ctx context.Context, conf *config.Config) ([]Row, error) {
	dir, err := os.MkdirTemp("", "jeton-routes-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)

	// What the doors are does not hang on what is stored.
	alone := *conf
	alone.Database, alone.KeysSecretFile = nil, ""
	conf = &alone
	s, err := New(Config{File: conf, DataDir: dir})
	if err != nil {
		return nil, err
	}

	s.core, err = openCore(ctx, s.c, conf)
	if err != nil {
		return nil, err
	}
	defer s.core.close()

	s.metrics = newMetrics(s.c.Version, s.core)
	var table []Row

	add := func(listen, name string, rows []web.Route) {
		for _, r := range rows {
			table = append(table, Row{listen, name, r.Pattern, r.Access.String()})
		}
	}

	for _, service := range conf.Services {
		d, err := s.serviceDoor(ctx, conf, service)
		if err != nil {
			return nil, err
		}
		add(strings.TrimSpace(service.Listen+" "+service.Host), service.Name, d.rows)
	}

	if c := conf.Issuer; c != nil {
		d, err := s.issuerDoor(conf)
		if err != nil {
			return nil, err
		}
		add(strings.TrimSpace(c.Listen+" "+c.Host), d.name, d.rows)
	}

	d, err := s.adminDoor()
	if err != nil {
		return nil, err
	}

	add(conf.Admin.Listen, d.name, d.rows)
	control, err := s.core.controlRoutes(s.c, nil, s.current)
	if err != nil {
		return nil, err
	}

	add(controlListen, "control", control)

	return table, nil
}

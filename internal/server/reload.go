package server

import (
	"context"
	"errors"

	"github.com/jeton-auth/jeton/internal/config"
	"github.com/jeton-auth/jeton/internal/oauth"
)

// Reload reads the configuration anew and takes it over whole; on an error the one that
// is running stays.
func (s *Server) Reload(ctx context.Context) error {
	if s.c.Load == nil {
		return errors.New("there is no configuration file to read again")
	}
	if !s.up.Load() {
		return errors.New("the server has not started yet")
	}

	conf, err := s.c.Load()
	if err != nil {
		return err
	}
	if err := s.takeOver(ctx, conf); err != nil {
		return err
	}

	s.c.Log.Info("configuration reloaded", "path", conf.Path)

	return nil
}

// takeOver makes conf what the server does: people, services, routes, listeners and
// certificates. Everything that can fail is done before anything changes.
func (s *Server) takeOver(ctx context.Context, conf *config.Config) error {
	s.mu.Lock()
	defer s.mu.Unlock()

	if s.draining.Load() {
		return errDraining
	}

	people, err := declared(conf)
	if err != nil {
		return err
	}

	clients, err := s.core.software(conf)
	if err != nil {
		return err
	}

	wanted, err := s.plan(ctx, conf)
	if err != nil {
		return err
	}
	if err := s.core.keys.Configure(ctx, needs(conf)); err != nil {
		return err
	}

	opened, err := s.bind(wanted)
	if err != nil {
		return err
	}

	err = s.core.accounts.Declare(ctx, people)
	if err == nil {
		err = s.takeIssuer(ctx, conf, clients)
	}
	if err == nil {
		err = s.endOfProcess(ctx, conf)
	}

	if err != nil {
		closeAll(opened)
		return err
	}

	for listen, l := range s.listeners {
		next, stays := wanted[listen]
		if stays {
			l.front.Store(next.front)
			l.tls.Store(next.tls)
		} else if listen != controlListen {
			delete(s.listeners, listen)
			s.close(context.WithoutCancel(ctx), l)
		}
	}

	for _, l := range opened {
		s.listeners[l.listen] = l
		s.serve(l)
	}

	if s.up.Load() {
		s.noteChanges(conf)
	}

	s.conf = conf

	return nil
}

// noteChanges tells the operator what a reload does not change, and what it has weakened.
func (s *Server) noteChanges(conf *config.Config) {
	for key, same := range map[string]bool{
		"hashing":          s.conf.Hashing == conf.Hashing,
		"throttle":         s.conf.Throttle == conf.Throttle,
		"audit":            s.conf.Audit == conf.Audit,
		"cache":            s.conf.Cache == conf.Cache,
		"log":              s.conf.Log == conf.Log,
		"data_dir":         s.conf.DataDir == conf.DataDir,
		"database":         s.conf.Database.Same(conf.Database),
		"keys_secret_file": s.conf.KeysSecretFile == conf.KeysSecretFile,
	} {
		if !same {
			s.c.Log.Warn("this part of the configuration changes with a restart only", "key", key)
		}
	}

	for _, service := range conf.Services {
		for _, weak := range weaknesses(service) {
			s.c.Log.Warn("service is weaker than the default", "service", service.Name, "option", weak)
		}
	}

	if conf.Issuer != nil {
		for _, weak := range oauth.Weaknesses(*conf.Issuer) {
			s.c.Log.Warn("the authorization server is weaker than the default", "option", weak)
		}
	}
}

package server

import (
	"context"
	"errors"
	"os"

	"github.com/jeton-auth/jeton/internal/account"
	"github.com/jeton-auth/jeton/internal/client"
	"github.com/jeton-auth/jeton/internal/config"
	"github.com/jeton-auth/jeton/internal/mail"
	"github.com/jeton-auth/jeton/internal/oauth"
)

// Reload reads the configuration again and applies it completely. On an error the current one
// stays.
func (s *Server) Reload(ctx context.Context) error {
	if s.c.Load == nil {
		return errors.New("there is no configuration file to reload")
	}
	if !s.up.Load() {
		return errStarting
	}

	// Also when the configuration turns out to be invalid: the operator's commands need it.
	if err := s.restoreControl(ctx); err != nil {
		return err
	}

	conf, err := s.c.Load()
	if err != nil {
		return err
	}
	if err := s.apply(ctx, conf); err != nil {
		return err
	}

	s.c.Log.Info("configuration reloaded", "path", conf.Path)

	return nil
}

// apply makes conf the current configuration: users, clients, keys, services, routes,
// listeners and certificates. Everything that can fail happens before the first listener
// changes.
func (s *Server) apply(ctx context.Context, conf *config.Config) error {
	s.mu.Lock()
	defer s.mu.Unlock()

	// A listener that is opened after drain has closed them all would stay open.
	if s.draining.Load() {
		return errDraining
	}

	stored, err := s.core.declarations(conf)
	if err != nil {
		return err
	}

	tracer, err := s.tracer(conf)
	if err != nil {
		return err
	}
	wanted, err := s.plan(ctx, conf, tracer)
	if err != nil {
		return err
	}

	// Before anything is stored, so that an address in use changes nothing.
	opened, requests, err := s.openFor(conf, wanted)
	if err != nil {
		return err
	}
	if err := s.store(ctx, conf, stored); err != nil {
		closeAll(opened)
		_ = requests.Close() // no harm if there is none
		return err
	}

	s.requestFile.exchange(requests)
	bound := s.bound(opened)
	s.noteAddresses(conf, bound)
	s.connections.limits.Store(&connectionLimits{conf.Limits, append(proxies(conf), forwardProxies(conf)...)})
	s.exchange(ctx, wanted, opened)
	s.exchangeWork(conf, wanted, bound, export(tracer))

	var inUse []servedCertificate
	for _, p := range wanted {
		inUse = append(inUse, p.certificates...)
	}
	s.certificates.set(inUse, s.c.Now())

	if s.up.Load() {
		s.warnOfRestart(conf)
		s.warnOfWeaknesses(conf)
	}

	// Last: the steps above compare it with the configuration before.
	s.conf = conf

	return nil
}

// exchangeWork ends the work of the configuration before and starts that of conf: of its listeners, and shared, which
// belongs to none of them. bound has the port of each listener.
func (s *Server) exchangeWork(
	conf *config.Config,
	wanted map[string]*planned,
	bound map[string]string,
	shared []func(context.Context),
) {
	s.startOrders(conf, wanted, bound)
	s.work.replace(wanted, shared)

	// Not earlier: the orders of the configuration before have ended.
	if conf.ACME == nil {
		s.acme.Forget()
	}
}

// openFor opens the listeners and the file that a configuration needs, all of them or none.
func (s *Server) openFor(conf *config.Config, wanted map[string]*planned) ([]*listener, *os.File, error) {
	requests, err := s.openRequestFile(conf)
	if err != nil {
		return nil, nil, err
	}

	opened, err := s.bind(conf, wanted)
	if err != nil {
		_ = requests.Close() // no harm if there is none
	}

	return opened, requests, err
}

// noteAddresses keeps the addresses that browsers use. bound has the port of each listener.
func (s *Server) noteAddresses(conf *config.Config, bound map[string]string) {
	s.origins.set(conf, bound)
	s.addresses.set(conf, bound)
}

// declarations are what a configuration declares, and how it sends mail.
type declarations struct {
	users   []account.Account
	clients []client.Client
	mailer  *mail.Mailer
	rules   []string // IDs of those by which tokens are issued
}

// declarations reads the files that a configuration names. It changes nothing.
func (k *core) declarations(conf *config.Config) (d declarations, err error) {
	d.users, err = declared(conf)
	if err != nil {
		return d, err
	}

	d.clients, err = k.declaredClients(conf)
	if err != nil {
		return d, err
	}

	d.mailer, err = k.mailer(conf)
	if err != nil {
		return d, err
	}

	d.rules, err = issuingRules(conf)

	return d, err
}

// store writes what a configuration declares and needs. Keys come last: a user may have the address of another one, and
// a key that was made for a configuration that is refused would stay.
func (s *Server) store(ctx context.Context, conf *config.Config, d declarations) error {
	if err := s.claimParty(ctx, conf); err != nil {
		return err
	}
	if err := s.core.accounts.Declare(ctx, d.users); err != nil {
		return err
	}
	if err := s.core.clients.Declare(ctx, d.clients); err != nil {
		return err
	}
	if err := s.core.clients.SetDocuments(ctx, s.core.documentHosts(conf)); err != nil {
		return err
	}
	if err := s.core.keys.Configure(ctx, needs(conf)); err != nil {
		return err
	}

	// Only now: a configuration that is refused must change nothing.
	s.core.mails.SetMailer(d.mailer)
	s.core.accounts.SetPolicy(passwordPolicy(conf))
	s.core.setProviders(conf)
	s.core.tokens.SetMaxPerUser(conf.PersonalTokens.MaxPerUser)
	s.core.tokens.SetRules(d.rules)
	if conf.Issuer != nil {
		s.core.tokens.SetIssuer(conf.Issuer.URL)
		s.core.logouts.SetIssuer(conf.Issuer.URL)
	}

	return nil
}

// exchange gives open listeners their new routes and certificates, closes those that are no
// longer wanted, and serves the new ones. The control socket stays.
func (s *Server) exchange(ctx context.Context, wanted map[string]*planned, opened []*listener) {
	for key, l := range s.listeners {
		next, stays := wanted[key]
		if stays {
			// Connections stay open: their next request finds the new routes.
			l.front.Store(next.front)
			l.tls.Store(next.tls)
		} else if key != controlListen {
			delete(s.listeners, key)
			// Its requests finish, also when the caller of Reload has given up.
			s.close(context.WithoutCancel(ctx), l)
		}
	}

	for _, l := range opened {
		s.listeners[l.listen] = l
		s.serve(l)
	}
}

// warnOfRestart logs which changed keys a reload does not apply.
func (s *Server) warnOfRestart(conf *config.Config) {
	for key, same := range map[string]bool{
		"hashing":          s.conf.Hashing == conf.Hashing,
		"throttle":         s.conf.Throttle == conf.Throttle,
		"audit":            s.conf.Audit == conf.Audit,
		"cache":            s.conf.Cache == conf.Cache,
		"log.level":        s.conf.Log.Level == conf.Log.Level,
		"log.format":       s.conf.Log.Format == conf.Log.Format,
		"data_dir":         s.conf.DataDir == conf.DataDir,
		"database":         s.conf.Database.Same(conf.Database),
		"keys_secret_file": s.conf.KeysSecretFile == conf.KeysSecretFile,
	} {
		if !same {
			s.c.Log.Warn("a change of this key needs a restart", "key", key)
		}
	}
}

// warnOfWeaknesses logs the warnings of a configuration, and every option that is weaker than the default.
func (s *Server) warnOfWeaknesses(conf *config.Config) {
	for _, w := range conf.Warnings {
		s.c.Log.Warn("the configuration may not do what it should", "warning", w.String())
	}

	if conf.Database != nil {
		for _, weak := range conf.Database.Weaknesses() {
			s.c.Log.Warn("the database connection is weaker than the default", "option", weak)
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

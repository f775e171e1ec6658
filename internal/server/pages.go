package server

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/jeton-auth/jeton/internal/config"
	"github.com/jeton-auth/jeton/internal/factor/passkey"
	"github.com/jeton-auth/jeton/internal/pages"
	"github.com/jeton-auth/jeton/internal/ticket"
	"github.com/jeton-auth/jeton/internal/web"
)

// builtPages is the pages of a configuration, which its authorization server and its services share.
type builtPages struct {
	conf  *config.Config
	pages *pages.Pages
	api   *apiCaller // of the pages; issuerMux lets it call its mux
}

// pages returns the pages of a configuration, or nil if it has none. The caller holds mu, or has a server that listens
// nowhere.
func (s *Server) pages(conf *config.Config) (*pages.Pages, error) {
	if conf.Issuer == nil || !conf.Issuer.Pages {
		return nil, nil
	}
	if s.builtPages.conf == conf {
		return s.builtPages.pages, nil
	}

	api := &apiCaller{}
	logo, err := s.logo(conf.Issuer.Brand.Logo)
	if err != nil {
		return nil, fmt.Errorf("issuer.brand.logo: %w", err)
	}

	c := pages.Config{
		Issuer:   *conf.Issuer,
		Logo:     logo,
		Logins:   s.core.logins,
		Sessions: s.core.sessions,
		Accounts: s.core.accounts,
		Clients:  s.core.clients,
		Targets:  s.targets(conf),
		Tickets:  s.core.tickets,
		Invites:  s.core.invites,
		API:      api,
		Now:      s.c.Now,
		Log:      s.c.Log,

		Managers:    s.core.allManagers(conf),
		MinPassword: conf.Passwords.MinLength,
		Mail:        conf.Mail != nil,
	}
	if party, ok := passkeyParty(conf); ok {
		c.Party = &party
	}
	c.Upstreams, err = s.upstreams(conf)
	if err != nil {
		return nil, err
	}
	for _, service := range conf.Services {
		shown := pages.Service{Name: service.Name, URL: service.URL}
		if service.Login.SignIn {
			shown.Origins = func() []string { return s.origins.of(service.Name) }
		}
		c.Services = append(c.Services, shown)
	}

	p, err := pages.New(c)
	if err != nil {
		return nil, err
	}
	s.builtPages = builtPages{conf, p, api}

	return p, nil
}

// passkeyParty returns the relying party of passkeys, if the sign-in page has an address at which browsers allow any.
func passkeyParty(conf *config.Config) (passkey.Party, bool) {
	if conf.Issuer == nil || !conf.Issuer.Pages {
		return passkey.Party{}, false
	}

	p, err := passkey.NewParty(conf.Issuer.URL, conf.Issuer.Brand.Name)

	return p, err == nil
}

// claimParty makes the host of the sign-in page that of the passkeys. It returns an error if there are passkeys for
// another one, which would all be useless: browsers offer them at that host alone.
func (s *Server) claimParty(ctx context.Context, conf *config.Config) error {
	p, ok := passkeyParty(conf)
	if !ok {
		return nil
	}
	if err := s.core.factors.ClaimParty(ctx, p.ID); err != nil {
		return fmt.Errorf("issuer.url: %w", err)
	}

	return nil
}

// notices returns what shows a user at a service, or at the authorization server, what happened.
func (s *Server) notices(conf *config.Config) (web.Notices, error) {
	p, err := s.pages(conf)
	if err != nil || p == nil {
		return web.PlainNotice, err
	}

	return p.Notice, nil
}

// setupLifetime is how long the link for the first administrator is valid.
const setupLifetime = time.Hour

// setupLink returns the address of the page that adds the first administrator, or "" if there is none. The link of an
// earlier start ends.
func (s *Server) setupLink(ctx context.Context, conf *config.Config) string {
	if conf.Issuer == nil || !conf.Issuer.Pages {
		return ""
	}

	err := s.core.tickets.End(ctx, ticket.Setup, 0)
	if err != nil {
		s.c.Log.Warn("no link for the first administrator", "error", err)
		return ""
	}

	secret, err := s.core.tickets.Issue(ctx, ticket.Ticket{
		Purpose: ticket.Setup,
		Expires: s.c.Now().Add(setupLifetime),
	})
	if err != nil {
		s.c.Log.Warn("no link for the first administrator", "error", err)
		return ""
	}

	return conf.Issuer.URL + pages.SetupPath(secret)
}

// logo reads the file of a logo, or nothing if there is none.
func (s *Server) logo(name string) ([]byte, error) {
	if name == "" {
		return nil, nil
	}

	f, err := os.Open(s.core.dir.file(name))
	if err != nil {
		return nil, err
	}
	defer f.Close()

	// One byte more than the limit shows that the file is longer.
	logo, err := io.ReadAll(io.LimitReader(f, pages.MaxLogo+1))
	if err == nil && len(logo) > pages.MaxLogo {
		err = fmt.Errorf("%s is over %d KiB", f.Name(), pages.MaxLogo>>10)
	}

	return logo, err
}

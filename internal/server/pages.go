package server

import (
	"fmt"
	"io"
	"os"

	"github.com/jeton-auth/jeton/internal/config"
	"github.com/jeton-auth/jeton/internal/gate"
	"github.com/jeton-auth/jeton/internal/pages"
)

// pages builds the pages of the authorization server.
func (s *Server) pages(conf *config.Config, service *gate.Service) (*pages.Pages, error) {
	logo, err := s.logo(conf.Issuer.Brand.Logo)
	if err != nil {
		return nil, fmt.Errorf("issuer.brand.logo: %w", err)
	}

	c := pages.Config{
		Issuer:   *conf.Issuer,
		Logo:     logo,
		Service:  service,
		Logins:   s.core.logins,
		Sessions: s.core.sessions,
		Accounts: s.core.accounts,
		Now:      s.c.Now,
		Log:      s.c.Log,
	}
	for _, service := range conf.Services {
		c.Services = append(c.Services, pages.Service{Name: service.Name})
	}

	return pages.New(c)
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

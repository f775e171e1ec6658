//go:build !walletonly

package main

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"path/filepath"
	"strings"

	"github.com/jeton-auth/jeton/internal/config"
	"github.com/jeton-auth/jeton/internal/forward"

	"github.com/spf13/cobra"
)

// proxyFlags are the flags of 'jeton config proxy'.
type proxyFlags struct {
	place
	backend string
	names   string
}

// configProxy implements 'jeton config proxy'.
func configProxy() *cobra.Command {
	var f proxyFlags
	c := &cobra.Command{
		Use:   "proxy PROXY SERVICE",
		Short: "Print the configuration with which another proxy asks about a service",
		Args:  exactArgs("PROXY", "SERVICE"),
		Long: `Print the complete configuration with which a proxy asks Jeton before it passes a request of the
service on. Proxies: ` + strings.Join(forward.Kinds(), ", ") + `.
The service has url and no listen, and the configuration a section forward. Print it again after a
change of either. Apache cannot ask: it signs users in as a client of the issuer, with openid and the
redirect URI /.jeton/callback at the service, and no rules of routes are judged.`,
		Example: `  jeton config proxy nginx app --backend 127.0.0.1:3000 > app.conf`,
		RunE: func(c *cobra.Command, args []string) error {
			text, err := f.print(args[0], args[1])
			if err != nil {
				return err
			}

			_, err = fmt.Fprint(c.OutOrStdout(), text)
			return err
		},
	}

	c.Flags().StringVar(&f.backend, "backend", "127.0.0.1:8080", "address and port of the service itself")

	c.Flags().StringVar(&f.names, "names", "", "also send the identity under the header names of another product: "+
		strings.Join(forward.Products(), ", "))

	return withFlags(c, &f.place)
}

// print returns the configuration of a proxy for a service.
func (f *proxyFlags) print(kind, name string) (string, error) {
	aliases, err := forward.AliasesOf(f.names)
	if err != nil {
		return "", usage{fmt.Errorf("--names: %w", err)}
	}

	conf, dir, err := f.open()
	if err != nil {
		return "", err
	}

	s, err := forwardedService(conf, name)
	if err != nil {
		return "", err
	}

	u, err := url.Parse(s.URL)
	if err != nil {
		return "", err
	}

	p := forward.Proxied{
		Service: s.Name,
		Scheme:  u.Scheme,
		Host:    strings.ToLower(u.Hostname()),
		Listen:  map[string]string{"http": "80", "https": "443"}[u.Scheme],
		Jeton:   decides(conf.Forward.Listen, dir),
		Backend: f.backend,
		Aliases: aliases,
	}
	if u.Port() != "" && u.Port() != p.Listen {
		p.Port = ":" + u.Port()
		p.Listen = u.Port()
	}
	if kind == "apache" {
		p.Party, err = party(conf, s, dir)
		if err != nil {
			return "", err
		}
	}
	for _, path := range append([]string{s.Login.Token, s.Logout}, s.Login.Paths...) {
		if path != "" {
			p.Own = append(p.Own, path)
		}
	}

	return forward.Configuration(kind, p)
}

// forwardedService returns the service of a name that another proxy serves.
func forwardedService(conf *config.Config, name string) (config.Service, error) {
	var others []string
	for _, s := range conf.Services {
		switch {
		case !s.Forwarded():
		case s.Name == name:
			return s, nil
		default:
			others = append(others, s.Name)
		}
	}

	return config.Service{}, fmt.Errorf("no service %.60q has url and no listen; there are %q", name, others)
}

// decides returns where a proxy on this machine reaches the listener of the section forward.
func decides(listen, dataDir string) string {
	path, ok := config.Socket(listen)
	if ok {
		if !filepath.IsAbs(path) {
			path = filepath.Join(dataDir, path)
		}
		return "unix:" + path
	}

	host, port, err := net.SplitHostPort(listen)
	address, notAddress := netip.ParseAddr(host)
	if err == nil && (host == "" || notAddress == nil && address.IsUnspecified()) {
		return "127.0.0.1:" + port
	}

	return listen
}

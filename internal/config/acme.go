package config

import (
	"net/url"
	"slices"

	"github.com/jeton-auth/jeton/internal/web"
)

// ACME is the certificate authority that issues certificates for host names (RFC 8555).
type ACME struct {
	AgreeToTerms bool   `yaml:"agree_to_terms" required:"true" doc:"You have read the terms of the certificate authority and agree. Its directory names them."`
	Email        string `yaml:"email" absent:"none" doc:"Mail address of the account, for messages of the certificate authority."`
	Directory    string `yaml:"directory" default:"https://acme-v02.api.letsencrypt.org/directory" doc:"URL of the directory of the certificate authority."`
	CAFile       string `yaml:"ca_file" absent:"the authorities that the system trusts" doc:"PEM certificates that prove the server of the directory, for an authority of your own. Relative to this file."`
	Storage      string `yaml:"storage" default:"acme" doc:"Folder for certificates, their keys and the key of the account, mode 0700. Relative to the data directory. Nodes of one database need one folder that all of them can write."`
}

// CertificateHosts returns the names that the certificate of a service needs: those in host, hosts and url.
func (s *Service) CertificateHosts() []string {
	return certificateHosts(append([]string{s.Host}, s.Hosts...), s.URL)
}

// CertificateHosts returns the names that the certificate of the authorization server needs.
func (i *Issuer) CertificateHosts() []string { return certificateHosts([]string{i.Host}, i.URL) }

// certificateHosts returns the names, each once, with that in an address.
func certificateHosts(names []string, address string) []string {
	u, err := url.Parse(address)
	if err == nil {
		names = append(names, u.Host)
	}

	var list []string
	for _, name := range names {
		name = web.Hostname(name)
		if name != "" && !slices.Contains(list, name) {
			list = append(list, name)
		}
	}

	return list
}

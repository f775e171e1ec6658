package config

import (
	"net"
	"net/mail"
	"strings"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/outbound"
)

// Mail is how users get mail. One of SMTP, Directory and Console is set.
type Mail struct {
	From      string `yaml:"from" required:"true" doc:"Address of the sender, as in jeton@example.org or \"Example <jeton@example.org>\"."`
	Language  string `yaml:"language" default:"en" enum:"en,de" doc:"Language of notices. A mail that a user asks for at a page has the language of the page."`
	SMTP      *SMTP  `yaml:"smtp" absent:"see directory and console" doc:"The mail server."`
	Directory string `yaml:"directory" absent:"see smtp" doc:"Directory in which each mail becomes a file (.eml) instead of being sent. Relative to the data directory. The files have links that set passwords."`
	Console   bool   `yaml:"console" doc:"Print each mail on standard error instead of sending it, to try things out. It shows links that set passwords."`
}

// SMTP is a mail server to which mail is submitted (RFC 6409).
type SMTP struct {
	Host         string `yaml:"host" required:"true" doc:"Host name, which its certificate must have."`
	Port         int    `yaml:"port" default:"587" min:"1" max:"65535" doc:"Port."`
	TLS          string `yaml:"tls" default:"starttls" enum:"starttls,implicit,off" doc:"starttls: TLS is required after STARTTLS, usually on port 587. implicit: TLS from the first byte, usually on port 465 (RFC 8314). off: no TLS, for a mail server on this machine."`
	CA           string `yaml:"ca" absent:"the system's authorities" doc:"PEM file with the certificate authority of the mail server. Relative to the data directory."`
	User         string `yaml:"user" absent:"no authentication" doc:"User name at the mail server."`
	PasswordFile string `yaml:"password_file" absent:"none" doc:"File with the password, mode 0600 or 0640. Relative to this file."`

	password jeton.Secret
}

// Password returns the password at the mail server, or the zero value.
func (s SMTP) Password() jeton.Secret { return s.password }

// mailPassword reads the file with the password at the mail server.
func (c checker) mailPassword(s *SMTP, folder string) {
	if c.Has(&s.PasswordFile) {
		s.password = c.secretFile(&s.PasswordFile, folder, 1, "the password on one line, without spaces")
	}
}

// mail checks how users get mail.
func (c checker) mail() {
	m := c.conf.Mail
	if m == nil {
		return
	}

	if c.conf.Issuer == nil || !c.conf.Issuer.Pages {
		c.Fault(m, "needs the pages that its links lead to; configure issuer, and do not set issuer.pages to false")
	}
	if _, err := mail.ParseAddress(m.From); err != nil && c.Valid(&m.From) {
		c.Fault(&m.From, "invalid address: want one such as jeton@example.org")
	}

	ways := 0
	for _, set := range []bool{m.SMTP != nil, c.Has(&m.Directory), m.Console} {
		if set {
			ways++
		}
	}
	if ways != 1 {
		c.Fault(m, "want one of smtp, directory and console")
	}

	if c.Has(&m.Directory) {
		c.notEmpty(&m.Directory)
	}
	if m.SMTP != nil {
		c.smtp(m.SMTP)
	}
}

// smtp checks a mail server.
func (c checker) smtp(s *SMTP) {
	if c.Valid(&s.Host) && (s.Host == "" || strings.ContainsAny(s.Host, "/: \t@") && net.ParseIP(s.Host) == nil) {
		c.Fault(&s.Host, "invalid host name: want one such as mail.example.org; the port has a key of its own")
	}
	if s.TLS == "off" && !outbound.Loopback(s.Host) {
		c.Fault(&s.TLS, "off is for a mail server on this machine; want starttls or implicit")
	}
	if s.TLS == "off" && s.User != "" {
		c.Fault(&s.User, "set with tls: off, which would show the password to the network; remove one")
	}
	if (s.User == "") != !c.Has(&s.PasswordFile) {
		c.Fault(s, "want user and password_file, or neither")
	}
	if c.Has(&s.CA) {
		c.notEmpty(&s.CA)
	}
}

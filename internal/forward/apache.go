package forward

import (
	"errors"
	"slices"
	"strings"
)

// Party is what Apache needs to sign users in itself, as a relying party: it cannot ask about each request.
type Party struct {
	Issuer string // URL of the authorization server
	CA     string // file with the authority that vouches for it; "": one of the system
	Client string // name of the client that Apache is
	Tokens bool   // the service accepts tokens, and the client introspects them
}

// ApachePath is the path at a service behind Apache to which browsers return after a sign-in.
const ApachePath = "/.jeton/callback"

// Finish returns ApachePath.
func (Party) Finish() string { return ApachePath }

// checkApache returns an error for a service that Apache cannot serve.
func (p Proxied) checkApache() error {
	switch {
	case p.Party == nil:
		return errors.New("apache signs users in as a client of the issuer, and there is none")
	case len(p.Own) > 0:
		return errors.New("apache has sessions of its own, without the login and the logout of the service")
	}

	texts := []string{p.Party.Issuer, p.Party.Client}
	if p.Party.CA != "" {
		texts = append(texts, p.Party.CA)
	}
	for _, text := range texts {
		if !safe.MatchString(text) {
			return unsafe(text)
		}
	}

	return nil
}

// Cookie returns the name of the cookie with the session of Apache.
func (p Proxied) Cookie() string {
	if p.Scheme == "https" {
		return "__Host-apache-" + p.Service
	}
	return "apache-" + p.Service
}

// Pattern returns a regular expression of the address that browsers use.
func (p Proxied) Pattern() string {
	return "^" + p.Scheme + "://" + strings.ReplaceAll(p.Host, ".", `\.`) + p.Port + "/"
}

// ClientSpellings returns the headers of a client that Apache must remove, one by one, in every spelling that servers
// read as the same.
func (p Proxied) ClientSpellings() []string {
	names := []string{"X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Forwarded-Port"}
	for _, name := range p.ClientHeaders() {
		if !strings.Contains(name, "_") {
			names = append(names, name)
		}
	}
	for _, a := range p.Aliases {
		names = append(names, a.Name)
	}

	var list []string
	for _, name := range names {
		list = append(list, spellings(name)...)
	}
	slices.Sort(list)

	return slices.Compact(list)
}

// spellings returns a name with a dash or an underscore at each of its dashes.
func spellings(name string) []string {
	first, rest, more := strings.Cut(name, "-")
	if !more {
		return []string{name}
	}

	var list []string
	for _, end := range spellings(rest) {
		list = append(list, first+"-"+end, first+"_"+end)
	}

	return list
}

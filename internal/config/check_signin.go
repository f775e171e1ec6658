package config

import (
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// The paths of a service with login.sign_in: where a sign-in starts, where it returns to, and what the page after a
// sign-out loads.
const (
	StartPath     = "/.jeton/start"
	FinishPath    = "/.jeton/finish"
	SignedOutPath = "/.jeton/signed-out"
)

// The paths of a service with tokens: where a credential makes and renews a token for one job, where a token ends
// itself, and where a program asks a user for a token and whether it was approved.
const (
	LeasePath        = "/.jeton/leases"
	LeaseRenewPath   = "/.jeton/leases/renew"
	TokenEndPath     = "/.jeton/token/end"
	TokenRequestPath = "/.jeton/token/requests"
	TokenPollPath    = "/.jeton/token/requests/poll"
)

// needsSignIn reports whether some route needs a session, or any credential, and callers have no
// other way to get one.
func (s *Service) needsSignIn() bool {
	if len(s.issued()) > 0 || len(s.Accept) > 0 {
		return false
	}

	return slices.ContainsFunc(s.Routes, func(r Route) bool {
		return !r.Open && (len(r.Accept) == 0 || slices.Contains(r.Accept, acceptSession))
	})
}

// signIn checks where browsers go to sign in, and where they come back to.
func (c checker) signIn(s *Service) {
	if c.Has(&s.URL) && c.Valid(&s.URL) {
		c.publicURL(s)
	}
	if !s.Login.SignIn {
		return
	}

	switch {
	case c.conf.Issuer == nil:
		c.Fault(&s.Login.SignIn, "needs the sign-in page of the authorization server; add an issuer section")
	case !c.conf.Issuer.Pages:
		c.Fault(&s.Login.SignIn, "needs the sign-in page, and issuer.pages is false; set it to true, or remove this")
	}

	// The authorization server sends browsers to addresses of this file only.
	if s.URL == "" && len(s.HostNames()) == 0 {
		c.Fault(&s.Login.SignIn, "needs the address that browsers use for the service; add host, hosts or url")
	}
}

// publicURL checks the address that browsers use for a service.
func (c checker) publicURL(s *Service) {
	const want = "one such as https://app.example.org or https://example.org/app"

	u, err := url.Parse(s.URL)
	switch {
	case err != nil || u.Scheme != "https" && u.Scheme != "http" || !isHost(u.Hostname()) || u.User != nil:
		c.Fault(&s.URL, "invalid URL: want %s", want)
	case strings.ContainsAny(s.URL, "?#\\") || u.Path != "" && (!isClean(u.Path) || strings.HasSuffix(u.Path, "/")):
		c.Fault(&s.URL, "invalid URL: want %s, without a slash at the end, query and fragment", want)
	case u.Scheme == "http" && !s.PlainHTTP:
		c.Fault(&s.URL, "invalid URL: want https://, as the service has TLS")
	}
}

// HostNames returns the host names and addresses that browsers use for a service without url: host
// and hosts, or else the host in listen. It is empty if that is every address of the machine.
func (s *Service) HostNames() []string {
	var names []string
	if s.Host != "" {
		names = append(names, s.Host)
	}
	names = append(names, s.Hosts...)

	bound, _, _ := net.SplitHostPort(s.Listen) // that it is valid is checked elsewhere
	address, err := netip.ParseAddr(bound)
	switch {
	case s.Host != "" || bound == "" || err == nil && address.IsUnspecified():
	case bound == "localhost" || err == nil && address.IsLoopback():
		names = append(names, "localhost", "127.0.0.1", "::1")
	default:
		names = append(names, bound)
	}

	for i, name := range names {
		names[i] = strings.ToLower(name)
	}

	return slices.Compact(names)
}

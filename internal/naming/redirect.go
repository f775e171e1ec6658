package naming

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
)

const maxRedirectURI = 2000 // bytes

// Sector returns the host that the redirect addresses of a client have in common, or an error if they have none
// (OpenID Connect Core 1.0, section 8.1). That of a program is the user's machine, which is no sector.
func Sector(uris []string) (string, error) {
	sector := ""
	for _, uri := range uris {
		u, err := url.Parse(uri)
		if err != nil || u.Scheme != "https" {
			return "", fmt.Errorf("%.100s has no host of the client's own", uri)
		}

		host := strings.ToLower(u.Hostname())
		if sector != "" && host != sector {
			return "", fmt.Errorf("the redirect addresses have several hosts")
		}
		sector = host
	}

	return sector, nil
}

// SectorIdentifier checks the name of a sector: a host name in lower case.
func SectorIdentifier(name string) error {
	u, err := url.Parse("https://" + name)
	if err != nil || name == "" || u.Hostname() != name || u.Host != name || name != strings.ToLower(name) {
		return fmt.Errorf("want a host name in lower case, such as app.example.org")
	}
	return nil
}

// RedirectURI returns an error for an address that no browser may be sent back to: it must be https://, or http://
// on this machine, or of a scheme that a program owns, such as com.example.app:/done (RFC 8252, section 7.1).
func RedirectURI(uri string) error {
	strange := func(r rune) bool { return r <= ' ' || r >= 0x7f || r == '\\' || r == '#' }
	if uri == "" || len(uri) > maxRedirectURI || strings.ContainsFunc(uri, strange) {
		return fmt.Errorf("want 1 to %d printable ASCII characters without space, # and \\", maxRedirectURI)
	}

	u, err := url.Parse(uri)
	switch {
	case err != nil || u.Scheme == "" || u.User != nil:
		return fmt.Errorf("want an address such as https://app.example.org/callback, without a user name")
	case u.Scheme == "https" && u.Hostname() != "":
		return nil
	case u.Scheme == "http" && slices.Contains([]string{"localhost", "127.0.0.1", "::1"}, u.Hostname()):
		return nil
	case u.Scheme == "http" || u.Scheme == "https":
		return fmt.Errorf("want https://, or http:// on 127.0.0.1, [::1] or localhost")
	case !strings.Contains(u.Scheme, "."):
		return fmt.Errorf("want a scheme that is the reverse of a domain, such as com.example.app:/done")
	}

	return nil
}

package wallet

import (
	"bufio"
	"bytes"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"unicode"

	"github.com/jeton-auth/jeton"
)

// Origin is scheme, host and port of a server in one normal form (RFC 6454, section 4), such
// as https://app.example or https://127.0.0.1:8443. Two URLs belong to the same server for
// the wallet exactly if their Origins are equal.
type Origin string

// ParseOrigin returns the origin of rawURL: the scheme http or https, the host in lower case
// and, if international, in its ASCII form (RFC 5891), and the port unless it is the
// scheme's default. Path and query are ignored. A URL with a user is refused, and so is a
// host that systems read in different ways: 127.1, 0x7f000001, or one with a trailing dot.
//
// The error is jeton.ErrInvalid and does not repeat the URL, which may hold a secret.
func ParseOrigin(rawURL string) (Origin, error) {
	u, err := url.Parse(rawURL)
	if err != nil {
		return "", jeton.WithDetail(jeton.ErrInvalid, "invalid URL: want https://host or https://host:port")
	}
	return originOf(u)
}

// originOf is ParseOrigin for a parsed URL. Its errors do not repeat the URL either.
func originOf(u *url.URL) (Origin, error) {
	scheme := strings.ToLower(u.Scheme)
	own := map[string]string{"http": "80", "https": "443"}[scheme]
	switch {
	case own == "":
		return "", jeton.WithDetail(jeton.ErrInvalid, "URL must begin with https:// or http://")
	case u.User != nil:
		return "", jeton.WithDetail(jeton.ErrInvalid, "URL must not contain a user name or password")
	case u.Opaque != "" || u.Host == "":
		return "", jeton.WithDetail(jeton.ErrInvalid, "URL has no host")
	}

	host, err := normalHost(u.Hostname())
	if err != nil {
		return "", err
	}

	port, err := normalPort(u.Port())
	if err != nil {
		return "", err
	}
	// The default port is left out, so that one server has one form (RFC 6454, section 4).
	if port == "" || port == own {
		return Origin(scheme + "://" + host), nil
	}

	return Origin(scheme + "://" + host + ":" + port), nil
}

// normalHost returns host as it is written in an Origin, IPv6 addresses in brackets.
func normalHost(host string) (string, error) {
	if ip, err := netip.ParseAddr(host); err == nil {
		if ip.Zone() != "" {
			return "", jeton.WithDetail(jeton.ErrInvalid, "host must not contain a zone")
		}

		// ::ffff:127.0.0.1 and 127.0.0.1 are one server.
		ip = ip.Unmap()
		if ip.Is6() {
			return "[" + ip.String() + "]", nil
		}

		return ip.String(), nil
	}

	name, err := asciiHost(strings.ToLower(host))
	if err != nil {
		return "", err
	}
	if len(name) > 253 {
		return "", jeton.WithDetail(jeton.ErrInvalid, "host name is too long")
	}

	labels := strings.Split(name, ".")
	for _, l := range labels {
		if l == "" || len(l) > 63 || l[0] == '-' || l[len(l)-1] == '-' || strings.Trim(l, hostCharacters) != "" {
			return "", jeton.WithDetail(jeton.ErrInvalid, "invalid host name")
		}
	}

	// Some resolvers read such a name as an IPv4 address, others as a name.
	last := labels[len(labels)-1]
	if strings.Trim(last, "0123456789") == "" || strings.HasPrefix(last, "0x") {
		return "", jeton.WithDetail(jeton.ErrInvalid,
			"host looks like an address in an unusual form: want the form 127.0.0.1")
	}

	return name, nil
}

// hostCharacters are what a name of a host may have besides dots, in lower case. Underscores occur
// in container networks.
const hostCharacters = "abcdefghijklmnopqrstuvwxyz0123456789-_"

// asciiHost returns the form xn--… of an international name. Only net/http of the standard library
// has this conversion, for the requests that it writes: so a request is written and read again.
func asciiHost(name string) (string, error) {
	invalid := jeton.WithDetail(jeton.ErrInvalid, "invalid host name")
	international := false
	for _, r := range name {
		// Before the name is in a request, where a line break would begin a new header.
		if r <= unicode.MaxASCII && !strings.ContainsRune(hostCharacters+".", r) {
			return "", invalid
		}
		if r > unicode.MaxASCII && !unicode.In(r, unicode.L, unicode.M, unicode.Nd) {
			return "", invalid
		}

		international = international || r > unicode.MaxASCII
	}

	if !international {
		return name, nil
	}

	var written bytes.Buffer
	r := &http.Request{Method: http.MethodGet, URL: &url.URL{Path: "/"}, Host: name}
	if err := r.Write(&written); err != nil {
		return "", invalid
	}

	converted, err := http.ReadRequest(bufio.NewReader(&written))
	if err != nil {
		return "", invalid
	}

	return strings.ToLower(converted.Host), nil
}

// normalPort returns port without leading zeros, with which the same port would have many
// spellings.
func normalPort(port string) (string, error) {
	if port == "" {
		return "", nil
	}

	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 {
		return "", jeton.WithDetail(jeton.ErrInvalid, "port must be 1 to 65535")
	}

	return strconv.FormatUint(n, 10), nil
}

// Loopback reports whether the origin is this machine: localhost, 127.0.0.0/8 or ::1. Plain
// http is accepted only there, unless the caller allows it.
func (o Origin) Loopback() bool {
	host := o.hostname()
	if host == "localhost" {
		return true
	}

	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}

// secure reports whether requests to o use TLS.
func (o Origin) secure() bool { return strings.HasPrefix(string(o), "https://") }

// hostport returns the part after the scheme.
func (o Origin) hostport() string {
	_, rest, _ := strings.Cut(string(o), "://")
	return rest
}

func (o Origin) scheme() string {
	scheme, _, _ := strings.Cut(string(o), "://")
	return scheme
}

// hostname returns the host without port and brackets, as net/netip reads it.
func (o Origin) hostname() string {
	rest := o.hostport()
	host, _, err := net.SplitHostPort(rest)
	if err == nil {
		return host
	}

	return strings.Trim(rest, "[]")
}

// allow returns an error for an origin to which a password would be sent unencrypted over a
// network, unless plain http is allowed.
func (o Origin) allow(plain bool) error {
	if o.secure() || plain || o.Loopback() {
		return nil
	}
	return jeton.WithDetail(
		jeton.ErrInvalid,
		string(o)+" is plain http: passwords and sessions can be read on the network; use https, or allow http for it",
	)
}

// checkPath returns an error unless path is a plain absolute path: anything else might lead to
// another server.
func checkPath(path string) error {
	u, err := url.Parse(path)
	if err != nil || len(path) > 1024 || !strings.HasPrefix(path, "/") || strings.HasPrefix(path, "//") ||
		strings.ContainsAny(path, "\\?#") || u.Host != "" || u.Scheme != "" {
		return jeton.WithDetail(jeton.ErrInvalid,
			"invalid login or logout path: want one / at the beginning, and no query")
	}

	return nil
}

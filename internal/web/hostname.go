package web

import (
	"net"
	"strings"
)

// Hostname returns the form in which host names are compared, for the value of a header Host, for an address to
// listen on, or for a name in the configuration: without a port, without brackets around an IPv6 address, in lower
// case (RFC 3986, section 3.2.2), and without the dot at the end of an absolute name (RFC 1034, section 3.1).
func Hostname(host string) string {
	name, _, ok := splitHostPort(host)
	if ok {
		host = name
	}

	return strings.ToLower(strings.TrimSuffix(strings.Trim(host, "[]"), "."))
}

// splitHostPort is net.SplitHostPort for every request: most hosts have no port, and none makes an error for that.
func splitHostPort(host string) (name, port string, ok bool) {
	if !strings.Contains(host, ":") {
		return "", "", false
	}
	name, port, err := net.SplitHostPort(host)

	return name, port, err == nil
}

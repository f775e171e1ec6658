package naming

import (
	"errors"
	"net/url"
	"strings"
)

// DocumentPrefix is what the names of clients begin with that a document describes. No other client has one: see
// Client.
const DocumentPrefix = "https://"

// maxDocument is the maximum length of the address of such a document, in bytes. Users read it.
const maxDocument = 255

var errDocument = errors.New(
	"want https://HOST/PATH of at most 255 ASCII letters, digits and . _ - : / @ +, without a user name and " +
		"without . and .. in the path",
)

// Document checks the address of a client ID metadata document, which is the name of its client, and returns its host,
// with a port if it has one (draft-ietf-oauth-client-id-metadata-document, section 3). The rule is narrower than that:
// without queries and percent signs, an address has one spelling, and without ~ one in paths: see ClientInPath.
func Document(s string) (host string, err error) {
	rest, ok := strings.CutPrefix(s, DocumentPrefix)
	host, path, found := strings.Cut(rest, "/")
	if !ok || !found || path == "" || len(s) > maxDocument || !only(path, "._-:/@+") {
		return "", errDocument
	}

	for segment := range strings.SplitSeq(path, "/") {
		if segment == "." || segment == ".." {
			return "", errDocument
		}
	}

	return host, DocumentHost(host)
}

// DocumentHost checks the host of such an address.
func DocumentHost(host string) error {
	u, err := url.Parse(DocumentPrefix + host)
	if err != nil || host == "" || host != strings.ToLower(host) || !only(host, ".-:[]") || u.Host != host ||
		u.Hostname() == "" || strings.HasSuffix(host, ":") || u.Port() == "443" {
		return errors.New("want a host such as app.example.org or app.example.org:8443, in lower case and without :443")
	}

	return nil
}

// ClientInPath returns the name of a client as a segment of a path of ours. Proxies differ in what they take an encoded
// slash for, so those of an address become ~, as does https://.
func ClientInPath(name string) string {
	address, ok := strings.CutPrefix(name, DocumentPrefix)
	if !ok {
		return name
	}

	return "~" + strings.ReplaceAll(address, "/", "~")
}

// ClientOfPath returns the name of a client for what ClientInPath returns.
func ClientOfPath(segment string) string {
	address, ok := strings.CutPrefix(segment, "~")
	if !ok {
		return segment
	}

	return DocumentPrefix + strings.ReplaceAll(address, "~", "/")
}

package http1

import (
	"net/http"
	"net/textproto"
	"net/url"
	"strings"
)

// maxNames bounds the spellings of names that a connection remembers, and maxKnownName the length of one.
const (
	maxNames     = 64
	maxKnownName = 64
)

// usualNames is how many headers the first request of a connection has room for.
const usualNames = 8

// parse makes k.request the request of a header, or reports that it is not plain: net/http could read it in another
// way, or would refuse it. All texts of the request are parts of head.
func (k *conn) parse(head string) bool {
	line, rest, _ := strings.Cut(head, "\r\n")
	target, ok := strings.CutPrefix(line, "GET ")
	if ok {
		target, ok = strings.CutSuffix(target, " HTTP/1.1")
	}
	if k.l.c.Keep {
		// What keeps a path must not keep the whole header, with its secrets.
		target = strings.Clone(target)
	}
	path, query, asks := strings.Cut(target, "?")
	if !ok || !isPath(path) || asks && !isQuery(query) || k.l.c.Answers != nil && !k.l.c.Answers(path) {
		return false
	}

	k.renew()

	host, ok := k.parseHeader(rest)
	if !ok {
		return false
	}

	k.in.url = url.URL{Path: path, RawQuery: query}
	k.in.request = http.Request{
		Method:     http.MethodGet,
		URL:        &k.in.url,
		Proto:      "HTTP/1.1",
		ProtoMajor: 1,
		ProtoMinor: 1,
		Header:     k.header,
		Body:       http.NoBody,
		Host:       host,
		RemoteAddr: k.remote,
		RequestURI: target,
		Close:      k.closes(),
	}

	return true
}

// renew makes room for the next request.
func (k *conn) renew() {
	if !k.l.c.Keep {
		clear(k.header)
		k.values = k.values[:0]

		return
	}

	// As much as the request before had: those of one client are alike.
	k.in = &received{}
	k.values = make([]string, 0, max(len(k.header), usualNames))
	k.header = make(http.Header, len(k.header))
}

// parseHeader reads the lines of a header, up to the empty one. Host is apart from the others, as in http.Request.
func (k *conn) parseHeader(rest string) (host string, ok bool) {
	for rest != "\r\n" {
		var line string
		line, rest, _ = strings.Cut(rest, "\r\n")
		name, value, found := strings.Cut(line, ":")
		if !found || !isValue(value) {
			return "", false
		}

		name, ok = k.canonical(name)
		if !ok {
			return "", false
		}

		value = strings.Trim(value, " ")
		switch {
		case name == "Host" && host == "" && isHost(value):
			host = value
		case means(name, value):
			return "", false
		default:
			k.add(name, value)
		}
	}

	return host, host != ""
}

// add adds a line to the header. The values of all names share one array.
func (k *conn) add(name, value string) {
	old := k.header[name]
	if old != nil {
		k.header[name] = append(old, value)
		return
	}

	k.values = append(k.values, value)
	n := len(k.values)
	// Without room to grow into the next one. When the array grows, earlier values stay in the old one.
	k.header[name] = k.values[n-1 : n : n]
}

// canonical returns the canonical form of a name, or reports that it has other characters than letters, digits and
// dashes.
func (k *conn) canonical(name string) (string, bool) {
	known, ok := k.names[name]
	if ok {
		return known, true
	}

	if !isName(name) {
		return "", false
	}

	known = textproto.CanonicalMIMEHeaderKey(strings.Clone(name))
	if len(k.names) < maxNames && len(name) <= maxKnownName {
		k.names[strings.Clone(name)] = known
	}

	return known, true
}

// means reports whether a header changes how net/http reads a request, or what else belongs to it.
func means(name, value string) bool {
	switch name {
	case "Connection":
		return value != "" && !strings.EqualFold(value, "keep-alive") && !strings.EqualFold(value, "close")
	case "Host", "Content-Length", "Transfer-Encoding", "Trailer", "Te", "Expect", "Upgrade", "Http2-Settings",
		"Proxy-Connection", "Pragma":
		return true
	}
	return false
}

// closes reports whether a request is the last one of its connection.
func (k *conn) closes() bool {
	for _, value := range k.header["Connection"] {
		if strings.EqualFold(value, "close") {
			return true
		}
	}

	return false
}

// isName reports whether text is a header's name of letters, digits and dashes.
func isName(text string) bool {
	for i := range len(text) {
		if !isAlphanumeric(text[i]) && text[i] != '-' {
			return false
		}
	}
	return text != ""
}

// isValue reports whether text has printable characters of ASCII alone.
func isValue(text string) bool {
	for i := range len(text) {
		if text[i] < ' ' || text[i] > '~' {
			return false
		}
	}
	return true
}

// isHost reports whether text can be a host name or an IP address, with or without a port.
func isHost(text string) bool {
	for i := range len(text) {
		if !isAlphanumeric(text[i]) && strings.IndexByte(".-:[]", text[i]) < 0 {
			return false
		}
	}
	return text != ""
}

// isPath reports whether text is a path that has one reading: its characters are never encoded.
func isPath(text string) bool {
	for i := range len(text) {
		if !isAlphanumeric(text[i]) && strings.IndexByte("/-._~", text[i]) < 0 {
			return false
		}
	}
	return strings.HasPrefix(text, "/") && !strings.HasPrefix(text, "//")
}

// isQuery reports whether text is a query of such characters.
func isQuery(text string) bool {
	for i := range len(text) {
		if !isAlphanumeric(text[i]) && strings.IndexByte("-._~=&", text[i]) < 0 {
			return false
		}
	}
	return text != ""
}

func isAlphanumeric(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

package gateway

import (
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"net/http"
	"strings"
)

// isWebSocket reports whether a request is a well-formed opening handshake of a WebSocket (RFC
// 6455, section 4.2.1). Nothing else is tunnelled: over HTTP/2 after "Upgrade: h2c", a client
// could make any request with any identity.
//
// An Extended CONNECT (RFC 8441) does not get here. No listener offers it.
func isWebSocket(r *http.Request) bool {
	h := r.Header

	return r.Method == http.MethodGet &&
		r.ProtoMajor == 1 && r.ProtoMinor >= 1 &&
		r.ContentLength == 0 && len(r.TransferEncoding) == 0 &&
		hasOption(h["Connection"], "upgrade") &&
		onlyValue(h["Upgrade"], "websocket") &&
		onlyValue(h["Sec-Websocket-Version"], "13") &&
		len(h["Sec-Websocket-Key"]) == 1 && isKey(h.Get("Sec-WebSocket-Key"))
}

// hasOption reports whether a header with a list has an option. The option is in lower case.
func hasOption(lines []string, option string) bool {
	for _, line := range lines {
		for item := range strings.SplitSeq(line, ",") {
			if strings.EqualFold(strings.Trim(item, " \t"), option) {
				return true
			}
		}
	}

	return false
}

// onlyValue reports whether a header has one line with one value. The value is ASCII.
func onlyValue(lines []string, value string) bool {
	return len(lines) == 1 && strings.EqualFold(lines[0], value)
}

// isKey reports whether text is a Sec-WebSocket-Key: 16 bytes in base64.
func isKey(text string) bool {
	key, err := base64.StdEncoding.Strict().DecodeString(text)
	return err == nil && len(key) == 16 && len(text) == base64.StdEncoding.EncodedLen(16)
}

// errSwitch is a 101 that does not complete a WebSocket handshake.
var errSwitch = errors.New("101 Switching Protocols does not answer a WebSocket handshake (RFC 6455, section 4.2.2)")

// checkSwitch returns an error for a 101 that does not complete the WebSocket handshake of its
// request. The caller then closes the connection.
func checkSwitch(r *http.Response) error {
	if r.StatusCode != http.StatusSwitchingProtocols {
		return nil
	}

	asked := r.Request.Header.Get("Upgrade") != ""
	accept := acceptValue(r.Request.Header.Get("Sec-WebSocket-Key"))
	if !asked || !hasOption(r.Header["Connection"], "upgrade") || !onlyValue(r.Header["Upgrade"], "websocket") ||
		len(r.Header["Sec-Websocket-Accept"]) != 1 || r.Header.Get("Sec-WebSocket-Accept") != accept {
		return errSwitch
	}

	return nil
}

// acceptValue returns the Sec-WebSocket-Accept for a key (RFC 6455, section 4.2.2, step 5.4). It
// need not be secret, so SHA-1 does no harm.
func acceptValue(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}

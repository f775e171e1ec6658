package forward_test

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/jeton-auth/jeton/internal/test/e2e"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// The pseudo-header fields of a request for GET /a.
const (
	place = ":method: GET\n:scheme: http\n:authority: HOST"
	page2 = place + "\n:path: /a"
)

// frames are the attacks that HTTP/2 alone makes possible (RFC 9113, sections 8.2 and 8.3). The fields are sent as they
// are; \r, \n and \0 stand for the characters.
var frames = []vector{
	{"a caller with a token", page2 + "\nauthorization: Bearer TOKEN", cleaned},
	{"no credential", page2, refused},
	{"31: a path without a slash", place + "\n:path: open/a", refused},
	{"a path that is a star", place + "\n:path: *", refused},
	{"no path", place, refused},
	{"an empty path", place + "\n:path: ", refused},
	{"two paths, the open one last", page2 + "\n:path: /open/a", refused},
	{"two paths, the open one first", ":path: /open/a\n" + page2, refused},
	{"two methods", page2 + "\n:method: POST\nauthorization: Bearer TOKEN", refused},
	{"two authorities", page2 + "\n:authority: evil.example\nauthorization: Bearer TOKEN", refused},
	{"58: another Host", page2 + "\nhost: evil.example\nauthorization: Bearer TOKEN", either},
	{"58: another authority", ":method: GET\n:scheme: http\n:authority: evil.example\n:path: /open/a\nhost: HOST",
		refused},
	{"a Host alone", ":method: GET\n:scheme: http\n:path: /open/a\nhost: HOST", either},
	{"a path with a space", place + "\n:path: /a /open/a", refused},
	{"a request in the path", place + "\n:path: /open/a HTTP/1.1\\r\\nx: y", refused},
	{"a fragment", place + "\n:path: /a#/open/a", refused},
	{"a method with a space", ":method: GET /open/a\n:scheme: http\n:authority: HOST\n:path: /a", refused},
	{"a method with a line", ":method: GET\\r\\nx: y\n:scheme: http\n:authority: HOST\n:path: /open/a", refused},
	{"an authority with a path", ":method: GET\n:scheme: http\n:authority: HOST/open/a?\n:path: /a", refused},
	{"a header in a value", page2 + "\nauthorization: Bearer TOKEN\nx: y\\r\\nremote-user: eve", either},
	{"a header after a line feed", page2 + "\nauthorization: Bearer TOKEN\nx: y\\nremote-user: eve", either},
	{"a header in a name", page2 + "\nauthorization: Bearer TOKEN\nx\\r\\nremote-user: eve", either},
	{"a value with a zero", page2 + "\nauthorization: Bearer TOKEN\nx: y\\0eve", either},
	{"a name in capitals", page2 + "\nauthorization: Bearer TOKEN\nRemote-User: eve", either},
	{"5: an underscore", page2 + "\nauthorization: Bearer TOKEN\nremote_user: eve", either},
	{"a name with a space", page2 + "\nauthorization: Bearer TOKEN\nremote-user : eve", either},
	{"16: Connection deletes the user", page2 + "\nauthorization: Bearer TOKEN\nconnection: remote-user", either},
	{"chunks", page2 + "\nauthorization: Bearer TOKEN\ntransfer-encoding: chunked", either},
	{"a length that is not that of the body", page2 + "\nauthorization: Bearer TOKEN\ncontent-length: 40", either},
	{"two lengths", page2 + "\nauthorization: Bearer TOKEN\ncontent-length: 0\ncontent-length: 40", either},
	{"an upgrade", page2 + "\nauthorization: Bearer TOKEN\nupgrade: h2c", either},
	{"a path after the headers", place + "\nx: y\n:path: /open/a", either},
	{"an unknown pseudo-header", page2 + "\n:user: eve\nauthorization: Bearer TOKEN", either},
	{"the status of a response", page2 + "\n:status: 200\nauthorization: Bearer TOKEN", either},
	{"a scheme that is none", ":method: GET\n:scheme: http://evil.example/\n:authority: HOST\n:path: /a", refused},
	{"51: CONNECT", ":method: CONNECT\n:authority: HOST\nauthorization: Bearer TOKEN", refused},
	{"51: CONNECT to a protocol", ":method: CONNECT\n:protocol: websocket\n:scheme: http\n:authority: HOST\n:path: /a",
		refused},
	{"a cookie in two parts", page2 + "\ncookie: __Host-jeton-app=x\ncookie: jeton-app=y", refused},
	{"37: names that the caller has not", page2 + "\nauthorization: Bearer TOKEN\nremote-name: eve\nremote-groups: eve",
		cleaned},
	{"an assertion of the client", page2 + "\nauthorization: Bearer TOKEN\njeton-assertion: eve", cleaned},
	{"56: X-Original-URL", page2 + "\nx-original-url: http://HOST/open/a", refused},
	{"1: X-Forwarded-Uri", page2 + "\nx-forwarded-uri: /open/a", refused},
}

// framed2 returns the fields of a vector of HTTP/1.1 as fields of HTTP/2.
func framed2(v vector) vector {
	first, rest, _ := strings.Cut(v.text, "\n")
	method, target, _ := strings.Cut(first, " ")
	host, header := "HOST", []string{}
	for line := range strings.SplitSeq(rest, "\n") {
		name, value, _ := strings.Cut(line, ":")
		switch {
		case line == "":
		case name == "Host" && host == "HOST":
			host = strings.TrimSpace(value)
		default:
			header = append(header, strings.ToLower(name)+":"+value)
		}
	}

	text := ":method: " + method + "\n:scheme: http\n:authority: " + host + "\n:path: " + target
	if len(header) > 0 {
		text += "\n" + strings.Join(header, "\n")
	}
	if v.want == cleaned {
		v.want = either // what HTTP/1.1 lets pass may be malformed here
	}

	return vector{v.name, text, v.want}
}

// attackFrames sends all vectors in frames of HTTP/2.
func (f front) attackFrames(t *testing.T, token string) {
	list := frames
	for _, v := range vectors {
		list = append(list, framed2(v))
	}

	reached := 0
	for _, v := range list {
		if f.attackFrame(t, v, token) {
			reached++
		}
	}
	if reached < 10 {
		t.Errorf("%d of %d requests reached the backend, want more than a few", reached, len(list))
	}
}

// attackFrame sends a vector, checks what the backend got, and reports whether it got anything.
func (f front) attackFrame(t *testing.T, v vector, token string) bool {
	t.Helper()
	name, port, _ := strings.Cut(f.host, ":")
	text := strings.NewReplacer(
		"HOST", f.host, "TOKEN", token, "NAME", name, "UPPER", strings.ToUpper(f.host), "DOT", name+".:"+port,
	).Replace(v.text)

	var sent head
	var fields []hpack.HeaderField
	for line := range strings.SplitSeq(text, "\n") {
		colon := strings.Index(line[1:], ":") + 1
		if colon == 0 {
			colon = len(line)
		}
		raw := strings.NewReplacer(`\r`, "\r", `\n`, "\n", `\0`, "\x00")
		field := hpack.HeaderField{
			Name:  raw.Replace(line[:colon]),
			Value: raw.Replace(strings.TrimPrefix(strings.TrimPrefix(line[colon:], ":"), " ")),
		}
		switch field.Name {
		case ":method":
			sent.method = field.Value
		case ":path":
			sent.target = field.Value
		}
		fields = append(fields, field)
	}

	// As in HTTP/1.1, for what reads the text.
	text = sent.method + " " + sent.target + "\r\n" + strings.ReplaceAll(text, "\n", "\r\n")
	text = strings.ReplaceAll(text, "\r\nauthorization:", "\r\nAuthorization:")

	return f.compare(t, v.want, text, sent, func() string { return f.exchangeFrames(t, fields) })
}

// exchangeFrames sends one request and returns the address to which its response leads, if it does.
func (f front) exchangeFrames(t *testing.T, fields []hpack.HeaderField) string {
	t.Helper()
	c := f.dialFrames(t)
	defer func() { _ = c.Close() }()

	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	for _, field := range fields {
		if err := encoder.WriteField(field); err != nil {
			t.Fatal(err)
		}
	}

	// A server that has seen enough may close the connection in between: errors of writing are no outcome.
	_, _ = c.Write([]byte(http2.ClientPreface))
	framer := http2.NewFramer(c, c)
	framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	framer.AllowIllegalWrites = true
	_ = framer.WriteSettings()
	_ = framer.WriteHeaders(http2.HeadersFrameParam{
		StreamID:      1,
		BlockFragment: block.Bytes(),
		EndStream:     true,
		EndHeaders:    true,
	})

	location := ""
	for {
		frame, err := framer.ReadFrame()
		if err != nil {
			return location
		}

		switch frame := frame.(type) {
		case *http2.MetaHeadersFrame:
			for _, field := range frame.Fields {
				if field.Name == "location" {
					location = field.Value
				}
			}
		case *http2.RSTStreamFrame:
			return location
		case *http2.GoAwayFrame:
			// Without an error, the stream goes on.
			if frame.ErrCode != http2.ErrCodeNo {
				return location
			}
		case *http2.SettingsFrame:
			if !frame.IsAck() {
				_ = framer.WriteSettingsAck()
			}
		}

		if frame.Header().StreamID == 1 && frame.Header().Flags.Has(http2.FlagDataEndStream) {
			return location
		}
	}
}

// dialFrames opens a connection for HTTP/2: with TLS, or without asking for it (RFC 9113, section 3.3).
func (f front) dialFrames(t *testing.T) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", f.frames)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.SetDeadline(time.Now().Add(e2e.Patience)); err != nil {
		t.Fatal(err)
	}
	if f.asked != nil {
		return c
	}

	secured := tls.Client(c, &tls.Config{RootCAs: f.trust, ServerName: "localhost", NextProtos: []string{"h2"}})
	if err := secured.Handshake(); err != nil {
		t.Fatal(fmt.Errorf("the gateway: %w", err))
	}

	return secured
}

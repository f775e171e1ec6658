package forward

import (
	"errors"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/web"

	"google.golang.org/protobuf/encoding/protowire"
)

// checkPath is the path of the call with which Envoy asks over gRPC (ext_authz with grpc_service).
const checkPath = "/envoy.service.auth.v3.Authorization/Check"

// checked is what a CheckRequest of Envoy says of a request (envoy.service.auth.v3, attributes.request.http).
type checked struct {
	id       string // of the request in Envoy, which no client chooses
	method   string
	path     string // with the query
	host     string
	scheme   string
	query    string // always empty: path has it
	fragment string
	header   http.Header
	pseudo   map[string]string // :method and others, which repeat the fields above
	source   netip.Addr        // of the client
}

// isCheck reports whether a request is a call of Envoy. Nothing else must get the answer to one: its status is 200 also
// for a refusal, which another proxy would take for yes.
func isCheck(r *http.Request) bool {
	kind, _, _ := strings.Cut(r.Header.Get("Content-Type"), "+")
	return r.URL.Path == checkPath && r.ProtoMajor == 2 && r.Method == http.MethodPost && kind == "application/grpc"
}

// serveCheck answers a call of Envoy. A call that is not as Envoy makes it is denied, and no error of gRPC: Envoy can
// be configured to pass requests on after one (failure_mode_allow).
func (f *Forward) serveCheck(w *web.Reply, r *http.Request) (about *http.Request, service string) {
	c := &contract{
		path:     checkPath,
		optional: []string{headerProto, headerFor},
		query:    judged,
		answer:   answerCheck,
	}

	m := &checked{header: http.Header{}, pseudo: map[string]string{}}
	err := f.trusts(r)
	if err == nil {
		err = readCheck(r, m)
	}
	c.read = func(_ *http.Request, a *asked) error {
		if err != nil {
			return err
		}
		return m.read(a)
	}

	return f.decide(c, w, (&http.Request{
		Method:     r.Method,
		URL:        &url.URL{Path: checkPath},
		Header:     m.header,
		RemoteAddr: r.RemoteAddr,
	}).WithContext(r.Context()))
}

// readCheck reads the message of a call.
func readCheck(r *http.Request, m *checked) error {
	b, err := readMessage(r)
	if err != nil {
		return err
	}

	err = eachField(b, func(n protowire.Number, b []byte) error {
		if n != 1 { // attributes
			return nil
		}
		return eachField(b, m.attribute)
	})
	if err != nil {
		return jeton.WithDetail(jeton.ErrInvalid, "the message is not a CheckRequest: "+err.Error())
	}

	return nil
}

// attribute reads a field of AttributeContext.
func (m *checked) attribute(n protowire.Number, b []byte) error {
	switch n {
	case 1: // source: address, socket_address, address
		at, err := fieldAt(b, 1, 1, 2)
		if err != nil {
			return err
		}

		source, err := netip.ParseAddr(string(at))
		if err == nil {
			m.source = source.Unmap().WithZone("")
		}

		return nil
	case 4: // request: http
		return eachField(b, func(n protowire.Number, b []byte) error {
			if n != 2 {
				return nil
			}
			return eachField(b, m.field)
		})
	}

	return nil
}

// field reads a field of AttributeContext.HttpRequest.
func (m *checked) field(n protowire.Number, b []byte) error {
	text := string(b)
	switch n {
	case 1:
		m.id = text
	case 2:
		m.method = text
	case 3:
		return m.addHeader(b)
	case 4:
		m.path = text
	case 5:
		m.host = text
	case 6:
		m.scheme = text
	case 7:
		m.query = text
	case 8:
		m.fragment = text
	case 13: // header_map, if Envoy has encode_raw_headers
		return eachField(b, func(n protowire.Number, b []byte) error {
			if n != 1 {
				return nil
			}
			return m.addHeader(b)
		})
	}

	return nil
}

// addHeader reads an entry of headers, or a HeaderValue, whose value is in raw_value if it is not in value.
func (m *checked) addHeader(b []byte) error {
	var name, value string
	err := eachField(b, func(n protowire.Number, b []byte) error {
		switch n {
		case 1:
			name = string(b)
		case 2, 3:
			value += string(b)
		}
		return nil
	})
	if err != nil {
		return err
	}

	// What is answered with it has to be valid protobuf.
	if !utf8.ValidString(name) || !utf8.ValidString(value) {
		return errors.New("a header is not UTF-8")
	}
	if strings.HasPrefix(name, ":") {
		m.pseudo[name] = value
		return nil
	}

	name = http.CanonicalHeaderKey(name)
	m.header[name] = append(m.header[name], value)

	return nil
}

// read reads the request that Envoy asks about.
func (m *checked) read(a *asked) error {
	if m.query != "" || m.fragment != "" {
		return jeton.WithDetail(jeton.ErrInvalid, "the query or the fragment is outside of the path")
	}
	for name, value := range map[string]string{
		":method":    m.method,
		":path":      m.path,
		":authority": m.host,
		":scheme":    m.scheme,
	} {
		other, ok := m.pseudo[name]
		if ok && other != value {
			return jeton.WithDetail(jeton.ErrInvalid, name+" differs from the field with the same meaning")
		}
	}

	proto := m.header.Get(headerProto)
	if m.scheme != "" && proto != "" && proto != m.scheme {
		return jeton.WithDetail(jeton.ErrInvalid, headerProto+" differs from the scheme")
	}

	a.method = m.method
	a.host, a.target = m.host, m.path
	a.scheme = m.scheme
	if a.scheme == "" {
		a.scheme = proto
	}

	a.source = m.source
	// Envoy has an id of its own for each request. A program that repeats the header of the client would let the client
	// have many requests for one use.
	if web.ValidID(m.id) && !slices.Contains(m.header["X-Request-Id"], m.id) {
		a.id = m.id
	}

	return nil
}

// eachField calls do with the number and the content of each field of a message that is a text, bytes or a message.
func eachField(b []byte, do func(n protowire.Number, content []byte) error) error {
	for len(b) > 0 {
		number, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return protowire.ParseError(n)
		}
		b = b[n:]

		if kind != protowire.BytesType {
			n = protowire.ConsumeFieldValue(number, kind, b)
			if n < 0 {
				return protowire.ParseError(n)
			}
			b = b[n:]

			continue
		}

		content, n := protowire.ConsumeBytes(b)
		if n < 0 {
			return protowire.ParseError(n)
		}
		b = b[n:]

		if err := do(number, content); err != nil {
			return err
		}
	}

	return nil
}

// fieldAt returns the content of a field in nested messages, by its path of numbers, or nil.
func fieldAt(b []byte, path ...protowire.Number) (found []byte, err error) {
	found = b
	for _, want := range path {
		within := found
		found = nil
		err = eachField(within, func(n protowire.Number, content []byte) error {
			if n == want {
				found = content
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}

	return found, nil
}

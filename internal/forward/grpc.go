package forward

import (
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/web"

	"google.golang.org/protobuf/encoding/protowire"
)

const (
	// maxMessage bounds the message of a call, in bytes. Envoy sends the body of a request only if configured to.
	maxMessage = 256 << 10
	// framePrefix is the length of what precedes a message: whether it is compressed, and its length.
	framePrefix = 5
)

// readMessage reads the one message of a unary call of gRPC over HTTP/2.
func readMessage(r *http.Request) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r.Body, framePrefix+maxMessage+1))
	if err != nil {
		return nil, fmt.Errorf("%w: read the message: %w", jeton.ErrInvalid, err)
	}
	if len(b) > framePrefix+maxMessage {
		return nil, jeton.WithDetail(jeton.ErrInvalid, fmt.Sprintf("the message is over %d KiB", maxMessage>>10))
	}
	if len(b) < framePrefix || b[0] != 0 || int(binary.BigEndian.Uint32(b[1:])) != len(b)-framePrefix {
		return nil, jeton.WithDetail(jeton.ErrInvalid, "the body is not one message of gRPC without compression")
	}

	return b[framePrefix:], nil
}

// writeMessage answers a call with one message.
func writeMessage(w *web.Reply, message []byte) {
	h := w.Header()
	h["Content-Type"] = []string{"application/grpc"}
	h["Trailer"] = []string{"Grpc-Status"}
	w.WriteHeader(http.StatusOK)

	frame := binary.BigEndian.AppendUint32([]byte{0}, uint32(len(message)))
	_, _ = w.Write(append(frame, message...)) // a proxy that has gone gets less
	h["Grpc-Status"] = []string{"0"}
}

// The codes of gRPC in a CheckResponse.
const (
	grpcPermissionDenied = 7
	grpcUnauthenticated  = 16
)

// answerCheck answers a call of Envoy with a CheckResponse.
func answerCheck(w, inner *web.Reply, v *verdict) {
	refuse(inner, v)
	if inner.Passes {
		writeMessage(w, admitted(v))
		return
	}

	code := uint64(grpcPermissionDenied)
	if v.status == http.StatusUnauthorized {
		code = grpcUnauthenticated
	}

	message := appendMessage(nil, 1, appendNumber(nil, 1, code))
	writeMessage(w, appendMessage(message, 2, denied(v)))
}

// admitted returns a CheckResponse with an OkHttpResponse. Envoy applies no empty value, so it names the headers to
// remove.
func admitted(v *verdict) []byte {
	var ok []byte
	remove := []string{"authorization", strings.ToLower(web.HeaderCookie)}

	for _, name := range web.IdentityHeaders {
		to := strings.ToLower(name)
		if name == web.HeaderCookie {
			to = "cookie"
		}

		value := v.header.Get(name)
		if value == "" {
			remove = append(remove, to)
		} else {
			ok = appendHeader(ok, 2, to, value, false)
		}
	}
	for _, name := range remove {
		ok = appendMessage(ok, 5, []byte(name))
	}

	// The status is that of an admission, 0, which is not sent.
	return appendMessage(appendMessage(nil, 1, nil), 3, ok)
}

// denied returns a DeniedHttpResponse: the whole refusal.
func denied(v *verdict) []byte {
	b := appendMessage(nil, 1, appendNumber(nil, 1, uint64(v.status)))

	for name, values := range v.header {
		if slices.Contains(web.IdentityHeaders[:], name) || name == "Content-Length" {
			continue
		}
		for i, value := range values {
			b = appendHeader(b, 2, strings.ToLower(name), value, i > 0)
		}
	}
	if len(v.body) > 0 {
		b = appendMessage(b, 3, v.body)
	}

	return b
}

// appendHeader appends a HeaderValueOption, which replaces a header, or appends to it.
func appendHeader(b []byte, n protowire.Number, name, value string, more bool) []byte {
	header := appendMessage(appendMessage(nil, 1, []byte(name)), 2, []byte(value))
	option := appendMessage(nil, 1, header)
	if more {
		option = appendMessage(option, 2, appendNumber(nil, 1, 1)) // append, a BoolValue
	} else {
		option = appendMessage(option, 2, nil)
	}

	return appendMessage(b, n, option)
}

// appendMessage appends a field that is a message, a text or bytes.
func appendMessage(b []byte, n protowire.Number, content []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(b, n, protowire.BytesType), content)
}

// appendNumber appends a field that is a number.
func appendNumber(b []byte, n protowire.Number, value uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(b, n, protowire.VarintType), value)
}

package server_test

import (
	"crypto/tls"
	"encoding/binary"
	"io"
	"slices"
	"testing"
	"time"

	"github.com/jeton-auth/jeton/internal/test/need"
	"github.com/jeton-auth/jeton/jetontest"
)

// The types of frames of HTTP/2 that the test needs (RFC 9113, section 6).
const (
	frameHeaders  = 1
	frameReset    = 3
	frameSettings = 4
)

// frame returns a frame of HTTP/2 (RFC 9113, section 4.1).
func frame(kind, flags byte, stream uint32, payload []byte) []byte {
	n := len(payload)
	b := []byte{byte(n >> 16), byte(n >> 8), byte(n), kind, flags}

	return append(binary.BigEndian.AppendUint32(b, stream), payload...)
}

// get returns the header block of GET / (RFC 7541, section 6), with further headers, encoded.
func get(further string) []byte {
	b := []byte{0x82, 0x84, 0x87, 0x01, byte(len("localhost"))} // :method, :path, :scheme and the name of :authority
	return append(append(b, "localhost"...), further...)
}

// resetOf waits until the server resets a stream, and returns the error if it does not.
func resetOf(conn io.Reader, stream uint32) error {
	head := make([]byte, 9)
	for {
		_, err := io.ReadFull(conn, head)
		if err != nil {
			return err
		}

		n := int64(head[0])<<16 | int64(head[1])<<8 | int64(head[2])
		_, err = io.CopyN(io.Discard, conn, n)
		if err != nil {
			return err
		}

		if head[3] == frameReset && binary.BigEndian.Uint32(head[5:]) == stream {
			return nil
		}
	}
}

// TestAStreamWithoutAWindowIsReset asks for short responses and lets the server send no byte of them: each would keep
// memory of the server for as long as the connection is open.
func TestAStreamWithoutAWindowIsReset(t *testing.T) {
	s := jetontest.Start(t, `
limits: {min_rate: 1000000, behind: 1s}
services:
  - name: app
    listen: localhost:0
    routes: [{match: 'GET /{$}', open: true, respond: {text: hello}}]
`)

	for _, tc := range []struct {
		name    string
		further string
		soak    bool
	}{
		{"a response of a route", "", false},
		// Connection is not valid in HTTP/2: net/http answers. It waits for 30 s.
		{"a response of net/http", "\x00\x0aconnection\x01x", true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if tc.soak {
				need.Soak(t)
			}

			conf := s.TLS()
			conf.ServerName = "localhost"
			conf.NextProtos = []string{"h2"}
			conn, err := tls.Dial("tcp", s.Addr("app"), conf)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()

			const noWindow = "\x00\x04\x00\x00\x00\x00" // SETTINGS_INITIAL_WINDOW_SIZE is 0
			_, err = conn.Write(slices.Concat(
				[]byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
				frame(frameSettings, 0, 0, []byte(noWindow)),
				frame(frameHeaders, 0x5, 1, get(tc.further)), // END_STREAM and END_HEADERS
			))
			if err != nil {
				t.Fatal(err)
			}

			_ = conn.SetReadDeadline(time.Now().Add(2 * time.Minute))
			err = resetOf(conn, 1)
			if err != nil {
				t.Errorf("the stream is not reset within 2m (%v), want it reset", err)
			}
		})
	}
}

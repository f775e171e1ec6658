package gateway_test

import (
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/jeton-auth/jeton/jetontest"
)

const protocols = `
services:
  - name: app
    listen: localhost:0
    plain_http: true
    routes:
      - {match: '/auto/{rest...}', open: true, upstream: {url: '${TLS}', ca: '${CA}'}}
      - {match: '/http1/{rest...}', open: true, upstream: {url: '${TLS}', ca: '${CA}', protocol: http1}}
      - {match: '/plain/{rest...}', open: true, upstream: {url: '${H2C}'}}
      - {match: '/h2c/{rest...}', open: true, upstream: {url: '${H2C}', protocol: h2c}}
`

// newProtocols starts a server with TLS and one without, which answer with the version of HTTP and the target of a
// request, and switch to WebSockets.
func newProtocols(t *testing.T) *jetontest.Server {
	t.Helper()

	answer := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") != "" {
			w.Header().Set("Connection", "Upgrade")
			w.Header().Set("Upgrade", "websocket")
			w.Header().Set("Sec-WebSocket-Accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
			w.WriteHeader(http.StatusSwitchingProtocols)

			return
		}

		fmt.Fprintf(w, "HTTP/%d %s", r.ProtoMajor, r.RequestURI)
	})

	secure := httptest.NewUnstartedServer(answer)
	secure.EnableHTTP2 = true
	secure.StartTLS()
	t.Cleanup(secure.Close)

	plain := httptest.NewUnstartedServer(answer)
	plain.Config.Protocols = new(http.Protocols)
	plain.Config.Protocols.SetHTTP1(true)
	plain.Config.Protocols.SetUnencryptedHTTP2(true)
	plain.Start()
	t.Cleanup(plain.Close)

	ca := filepath.Join(t.TempDir(), "ca.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: secure.Certificate().Raw})
	if err := os.WriteFile(ca, text, 0o600); err != nil {
		t.Fatal(err)
	}

	return jetontest.Start(t, easy+protocols, jetontest.Env("TLS", secure.URL), jetontest.Env("CA", ca),
		jetontest.Env("H2C", plain.URL))
}

func TestProtocolsOfUpstreams(t *testing.T) {
	s := newProtocols(t)

	for path, want := range map[string]string{
		"/auto/a|b?x;%zz": "HTTP/2 /auto/a|b?x;%zz",
		"/http1/a":        "HTTP/1 /http1/a",
		"/plain/a":        "HTTP/1 /plain/a",
		"/h2c/a|b?x;%zz":  "HTTP/2 /h2c/a|b?x;%zz",
	} {
		_, body := dial(t, s, "app").ask("GET " + path + " HTTP/1.1\r\nHost: localhost\r\n\r\n")
		if body != want {
			t.Errorf("GET %s is answered %q, want %q", path, body, want)
		}
	}
}

func TestWebSocketsPassWhateverTheProtocol(t *testing.T) {
	s := newProtocols(t)

	for _, path := range []string{"/auto/ws", "/http1/ws", "/plain/ws", "/h2c/ws"} {
		resp, _ := dial(t, s, "app").ask("GET " + path + " HTTP/1.1\r\nHost: localhost\r\n" + handshake + "\r\n")
		if resp.StatusCode != http.StatusSwitchingProtocols {
			t.Errorf("the handshake at %s is answered %d, want 101", path, resp.StatusCode)
		}
	}
}

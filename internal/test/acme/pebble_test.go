// Package acme orders certificates from Pebble, the server that Let's Encrypt tests clients with. It is a module of
// its own, so that the product does not need it.
package acme

import (
	"crypto/x509"
	"encoding/pem"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/letsencrypt/pebble/v2/ca"
	"github.com/letsencrypt/pebble/v2/db"
	"github.com/letsencrypt/pebble/v2/va"
	"github.com/letsencrypt/pebble/v2/wfe"
	"github.com/miekg/dns"
)

// authority is a certificate authority on this machine. It validates host names for real: all of them are at
// 127.0.0.1, as its DNS says.
type authority struct {
	directory string // URL
	file      string // certificate of the server of the directory
	roots     *x509.CertPool
	server    *httptest.Server
	gate      sync.RWMutex // closed for requests until validate
	answers   http.Handler

	data *db.MemoryStore
	ca   *ca.CAImpl
	log  *log.Logger
}

// newAuthority starts an authority. Requests to it wait for validate.
func newAuthority(t *testing.T) *authority {
	t.Helper()
	t.Setenv("PEBBLE_VA_NOSLEEP", "1")
	t.Setenv("PEBBLE_WFE_NONCEREJECT", "0")

	a := &authority{
		roots: x509.NewCertPool(),
		data:  db.NewMemoryStore(),
		log:   log.New(io.Discard, "", 0),
	}
	a.ca = ca.New(a.log, a.data, "", "ecdsa", 0, 1, map[string]ca.Profile{"default": {}})
	root, err := x509.ParseCertificate(a.ca.GetRootCert(0).DER)
	if err != nil {
		t.Fatal(err)
	}
	a.roots.AddCert(root)

	a.gate.Lock()
	a.server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.gate.RLock()
		defer a.gate.RUnlock()
		a.answers.ServeHTTP(w, r)
	}))
	t.Cleanup(a.server.Close)

	a.directory = a.server.URL + wfe.DirectoryPath
	a.file = filepath.Join(t.TempDir(), "directory.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.server.Certificate().Raw})
	if err := os.WriteFile(a.file, text, 0o600); err != nil {
		t.Fatal(err)
	}

	return a
}

// validate makes the authority answer, and validate over these ports of 127.0.0.1 from now on. After a first time, the
// gate has to be locked before.
func (a *authority) validate(t *testing.T, httpPort, tlsPort int) {
	t.Helper()
	validator := va.New(a.log, httpPort, tlsPort, true, startDNS(t), a.data)
	front := wfe.New(a.log, a.data, validator, a.ca, []string{"pebble.example"}, true, false, 1, 1)
	a.answers = front.Handler()
	a.gate.Unlock()
}

// startDNS starts a DNS server for which every name is at 127.0.0.1, and returns its address.
func startDNS(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}

	s := &dns.Server{Listener: l, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, r *dns.Msg) {
		m := new(dns.Msg)
		m.SetReply(r)
		if r.Question[0].Qtype == dns.TypeA {
			m.Answer = []dns.RR{&dns.A{
				Hdr: dns.RR_Header{Name: r.Question[0].Name, Rrtype: dns.TypeA, Class: dns.ClassINET},
				A:   net.IPv4(127, 0, 0, 1),
			}}
		}
		_ = w.WriteMsg(m)
	})}
	go func() { _ = s.ActivateAndServe() }()
	t.Cleanup(func() { _ = s.Shutdown() })

	return l.Addr().String()
}

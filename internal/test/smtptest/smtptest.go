// Package smtptest is a mail server for tests.
//
// It keeps what it is sent, with STARTTLS and a certificate of its own, and fails where a test wants. It reads as much
// of SMTP (RFC 5321) as a client of ours speaks.
package smtptest

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/mail"
	"strings"
	"sync"
	"testing"
	"time"
)

// Options are how the server fails.
type Options struct {
	NoTLS   bool   // STARTTLS is not offered
	TLS     bool   // from the first byte (RFC 8314)
	UTF8    bool   // SMTPUTF8 is offered (RFC 6531)
	Login   string // "user password" that is required; "": none
	Refuse  string // response to RCPT, such as "550 no such user"; "": accepted
	DieOnce bool   // the first mail is kept, and the connection closed before the response
	// At is called at the stages of a mail, by the connection that it comes on; nil: it is not.
	At func(Stage)
}

// Stage is how far a mail has come.
type Stage int

// The stages at which a client may stop.
const (
	Kept     Stage = iota // the server has the whole mail, and has not answered
	Accepted              // the client has read that the mail is accepted, and says QUIT
)

// Server is a mail server.
type Server struct {
	Port        int
	Certificate []byte         // of itself, DER
	Authorities *x509.CertPool // that vouch for it
	options     Options
	tls         *tls.Config
	mails       chan Mail

	mu   sync.Mutex
	died bool
}

// Mail is what the server was sent.
type Mail struct {
	To     string // of the envelope
	Raw    string // with its header
	Header mail.Header
	Text   string // the first part, decoded
}

// Start starts a server that ends with the test.
func Start(t *testing.T, o Options) *Server {
	t.Helper()

	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}

	certificate, authorities := newCertificate(t)
	s := &Server{
		Port:        listener.Addr().(*net.TCPAddr).Port,
		Certificate: certificate.Certificate[0],
		Authorities: authorities,
		options:     o,
		tls:         &tls.Config{Certificates: []tls.Certificate{certificate}},
		mails:       make(chan Mail, 100),
	}

	var running sync.WaitGroup
	running.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go s.serve(conn)
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		running.Wait()
	})

	return s
}

// Next waits for the next mail.
func (s *Server) Next(t *testing.T) Mail {
	t.Helper()

	select {
	case m := <-s.mails:
		return m
	case <-time.After(2 * time.Minute):
		t.Fatal("no mail came")
		return Mail{}
	}
}

// All returns the mails that have come since the last call.
func (s *Server) All() []Mail {
	var list []Mail
	for {
		select {
		case m := <-s.mails:
			list = append(list, m)
		default:
			return list
		}
	}
}

// None fails if a mail has come.
func (s *Server) None(t *testing.T) {
	t.Helper()

	select {
	case m := <-s.mails:
		t.Errorf("got a mail to %s: %s; want none", m.To, m.Header.Get("Subject"))
	default:
	}
}

// newCertificate makes a certificate for localhost.
func newCertificate(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()

	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(24 * time.Hour),
		DNSNames:     []string{"localhost"},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}

	pool := x509.NewCertPool()
	pool.AddCert(parsed)

	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}

// session is a connection.
type session struct {
	*Server
	conn   net.Conn
	in     *bufio.Reader
	secure bool
	proved bool
	to     string

	international bool // the mail in transit has asked for SMTPUTF8
}

// serve answers the commands of a connection.
func (s *Server) serve(conn net.Conn) {
	if s.options.TLS {
		conn = s.Secure(conn)
	}
	c := &session{
		Server: s,
		conn:   conn,
		in:     bufio.NewReader(conn),
		secure: s.options.TLS,
	}
	defer func() { _ = c.conn.Close() }()

	c.say("220 test")
	for {
		line, err := c.in.ReadString('\n')
		if err != nil || !c.command(strings.TrimSpace(line)) {
			return
		}
	}
}

// Secure returns the server's side of TLS on a connection.
func (s *Server) Secure(conn net.Conn) *tls.Conn { return tls.Server(conn, s.tls) }

// say sends a response.
func (c *session) say(line string) { _, _ = fmt.Fprintf(c.conn, "%s\r\n", line) }

// command answers one command, and reports whether the connection goes on.
func (c *session) command(line string) bool {
	verb, rest, _ := strings.Cut(line, " ")

	switch strings.ToUpper(verb) {
	case "EHLO":
		c.hello()
	case "STARTTLS":
		c.say("220 go on")
		c.conn = c.Secure(c.conn)
		c.in = bufio.NewReader(c.conn)
		c.secure = true
	case "AUTH":
		c.authenticate(rest)
	case "MAIL":
		if c.options.Login != "" && !c.proved {
			c.say("530 authentication required")
			break
		}
		c.international = c.options.UTF8 && strings.HasSuffix(rest, " SMTPUTF8")
		c.say("250 ok")
	case "RCPT":
		if c.options.Refuse != "" {
			c.say(c.options.Refuse)
			break
		}
		if !c.international && strings.ContainsFunc(rest, func(r rune) bool { return r > '\x7f' }) {
			c.say("553 the address needs SMTPUTF8")
			break
		}
		c.to = strings.TrimSuffix(strings.TrimPrefix(rest, "TO:<"), ">")
		c.say("250 ok")
	case "DATA":
		return c.data()
	case "QUIT":
		c.reach(Accepted)
		c.say("221 bye")
		return false
	default:
		c.say("250 ok")
	}

	return true
}

// reach reports a stage to the test.
func (c *session) reach(s Stage) {
	if c.options.At != nil {
		c.options.At(s)
	}
}

func (c *session) hello() {
	c.say("250-localhost")
	if !c.options.NoTLS && !c.secure {
		c.say("250-STARTTLS")
	}
	if c.options.Login != "" {
		c.say("250-AUTH PLAIN")
	}
	if c.options.UTF8 {
		c.say("250-SMTPUTF8")
	}
	c.say("250 8BITMIME")
}

// authenticate reads AUTH PLAIN (RFC 4616).
func (c *session) authenticate(rest string) {
	_, text, _ := strings.Cut(rest, " ")
	plain, _ := base64.StdEncoding.DecodeString(text)
	parts := strings.Split(string(plain), "\x00")
	c.proved = len(parts) == 3 && parts[1]+" "+parts[2] == c.options.Login

	if c.proved {
		c.say("235 ok")
	} else {
		c.say("535 wrong password")
	}
}

// data keeps a mail.
func (c *session) data() bool {
	c.say("354 go on")

	var raw strings.Builder
	for {
		line, err := c.in.ReadString('\n')
		if err != nil {
			return false
		}
		if line == ".\r\n" {
			break
		}
		raw.WriteString(strings.TrimPrefix(line, "."))
	}

	c.mails <- read(c.to, raw.String())
	c.reach(Kept)

	c.mu.Lock()
	dies := c.options.DieOnce && !c.died
	c.died = c.died || dies
	c.mu.Unlock()
	if dies {
		return false
	}
	c.say("250 kept")

	return true
}

// read returns a mail. A test compares what is missing in one that is malformed.
func read(to, raw string) Mail {
	m := Mail{To: to, Raw: raw}
	parsed, err := mail.ReadMessage(strings.NewReader(raw))
	if err != nil {
		return m
	}

	m.Header = parsed.Header
	body, err := io.ReadAll(parsed.Body)
	if err != nil {
		return m
	}
	m.Text = firstPart(parsed.Header.Get("Content-Type"), body)

	return m
}

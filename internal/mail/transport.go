package mail

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/jeton-auth/jeton"

	gomail "github.com/wneessen/go-mail"
)

// sendTimeout is how long a mail server may take for one mail. It is shorter than the first retry, so that no other
// node sends while one still waits.
const sendTimeout = 30 * time.Second

// Transport sends a mail that was composed. It returns ErrRefused if trying again is of no use.
type Transport interface {
	// Send sends the mail of an id, which has only digits, small letters and underscores.
	Send(ctx context.Context, id string, m *gomail.Msg) error
}

// ErrRefused means that the mail server refuses the recipient for good.
var ErrRefused = errors.New("the mail server refuses the address")

// TLS of a connection to a mail server.
const (
	StartTLS    = "starttls" // required, not tried: a server without it gets no mail
	ImplicitTLS = "implicit" // from the first byte (RFC 8314)
	NoTLS       = "off"      // for a server on this machine
)

// SMTP is a mail server.
type SMTP struct {
	Host        string
	Port        int
	TLS         string         // StartTLS, ImplicitTLS or NoTLS
	Authorities *x509.CertPool // nil: those of the system
	User        string         // "": no authentication
	Password    jeton.Secret
	Hello       string // name of this server
}

// Send implements Transport with a connection for each mail: they are too rare to keep one open.
func (s SMTP) Send(ctx context.Context, _ string, m *gomail.Msg) error {
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()

	c, err := s.client(ctx)
	if err != nil {
		return err
	}

	conn, err := c.DialToSMTPClientWithContext(ctx)
	if err != nil {
		return fmt.Errorf("connect to the mail server: %w", err)
	}

	international, _ := conn.Extension("SMTPUTF8")
	if err := fits(m, international); err != nil {
		_ = c.CloseWithSMTPClient(conn)
		return err
	}

	// go-mail asks for SMTPUTF8 wherever the server offers it.
	err = c.SendWithSMTPClient(conn, m)
	// The mail was accepted or not: what the server says to QUIT changes nothing.
	_ = c.CloseWithSMTPClient(conn)

	var refused *gomail.SendError
	if errors.As(err, &refused) && refused.Reason == gomail.ErrSMTPRcptTo && !refused.IsTemp() {
		return fmt.Errorf("%w: %w", ErrRefused, err)
	}

	return err
}

// dial connects to the mail server. The connection knows deadlines and no contexts: it is closed when until ends, as a
// server that stalls, also before its greeting, would otherwise hold up the end.
func (s SMTP) dial(until context.Context, settings *tls.Config) gomail.DialContextFunc {
	return func(ctx context.Context, network, address string) (conn net.Conn, err error) {
		if s.TLS == ImplicitTLS {
			conn, err = (&tls.Dialer{Config: settings}).DialContext(ctx, network, address)
		} else {
			conn, err = (&net.Dialer{}).DialContext(ctx, network, address)
		}
		if err == nil {
			context.AfterFunc(until, func() { _ = conn.Close() })
		}

		return conn, err
	}
}

// client returns a client for one connection, which ends with ctx.
func (s SMTP) client(ctx context.Context) (*gomail.Client, error) {
	settings := &tls.Config{
		ServerName: s.Host,
		RootCAs:    s.Authorities,
		MinVersion: tls.VersionTLS12,
	}
	options := []gomail.Option{
		gomail.WithPort(s.Port),
		gomail.WithTimeout(sendTimeout),
		// After the mail was accepted, nothing may fail that would send it again.
		gomail.WithoutRset(),
		gomail.WithTLSConfig(settings),
		gomail.WithDialContextFunc(s.dial(ctx, settings)),
	}
	if s.Hello != "" {
		options = append(options, gomail.WithHELO(s.Hello))
	}

	switch s.TLS {
	case ImplicitTLS:
		options = append(options, gomail.WithSSL())
	case NoTLS:
		options = append(options, gomail.WithTLSPolicy(gomail.NoTLS))
	default:
		options = append(options, gomail.WithTLSPolicy(gomail.TLSMandatory))
	}

	if s.User != "" {
		options = append(
			options,
			s.authentication(),
			gomail.WithUsername(s.User),
			gomail.WithPassword(s.Password.Reveal()),
		)
	}

	return gomail.NewClient(s.Host, options...)
}

// authentication returns how this server proves itself: the first of the methods that both know. go-mail does not see
// that a connection of dial has TLS from its first byte, and would refuse to send the password over it.
func (s SMTP) authentication() gomail.Option {
	if s.TLS != ImplicitTLS {
		return gomail.WithSMTPAuth(gomail.SMTPAuthAutoDiscover)
	}

	return gomail.WithOpportunisticSMTPAuth(
		gomail.SMTPAuthSCRAMSHA256PLUS,
		gomail.SMTPAuthSCRAMSHA256,
		gomail.SMTPAuthSCRAMSHA1PLUS,
		gomail.SMTPAuthSCRAMSHA1,
		gomail.SMTPAuthCramMD5,
		gomail.SMTPAuthPlain,
		gomail.SMTPAuthLogin,
	)
}

// Directory writes each mail to a file of its own instead of sending it.
type Directory string

// Send implements Transport. A mail that is sent twice has one file.
func (d Directory) Send(_ context.Context, id string, m *gomail.Msg) error {
	var b bytes.Buffer
	if _, err := m.WriteTo(&b); err != nil {
		return err
	}
	if err := os.MkdirAll(string(d), 0o700); err != nil {
		return err
	}

	// Moved into place whole: a program that watches the directory must not read half a mail.
	part, err := os.CreateTemp(string(d), "*.part")
	if err != nil {
		return err
	}
	_, err = part.Write(b.Bytes())
	if err := errors.Join(err, part.Close()); err != nil {
		return errors.Join(err, os.Remove(part.Name()))
	}

	return os.Rename(part.Name(), filepath.Join(string(d), id+".eml"))
}

// Console prints each mail instead of sending it, for trying out. It is safe for concurrent use.
type Console struct {
	mu sync.Mutex
	to io.Writer
}

// NewConsole returns a console that prints to a writer.
func NewConsole(to io.Writer) *Console { return &Console{to: to} }

// Send implements Transport.
func (c *Console) Send(_ context.Context, _ string, m *gomail.Msg) error {
	c.mu.Lock()
	defer c.mu.Unlock()

	for _, to := range m.GetToString() {
		if _, err := fmt.Fprintf(c.to, "To: %s\n", to); err != nil {
			return err
		}
	}

	// The first part is the text, before any encoding.
	text, err := m.GetParts()[0].GetContent()
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(c.to, "%s\n", text)

	return err
}
